//! The conformance suite that other WebGPU stacks run: its files are complete and hold together.

use wgrad::verify::case::Depth;
use wgrad::verify::export::write;
use wgrad::verify::sweep::cases;

#[test]
fn the_files_of_the_suite_hold_together() {
    let passing = tempfile::tempdir().unwrap();
    let folder = passing.path();
    let (programs, count) = write(folder, |caps| Ok(cases(Depth::Quick, caps)), 0).unwrap();
    let text = std::fs::read_to_string(folder.join("cases.json")).unwrap();
    let suite: serde_json::Value = serde_json::from_str(&text).unwrap();
    let bytes = std::fs::metadata(folder.join("data.bin")).unwrap().len();
    let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
    assert_eq!([list(&suite["programs"]).len(), list(&suite["cases"]).len()], [programs, count]);
    for case in list(&suite["cases"]) {
        let buffers = list(&case["buffers"]);
        let inside = |data: &serde_json::Value, size: u64| {
            let (offset, length) = (data["offset"].as_u64().unwrap(), data["bytes"].as_u64().unwrap());
            assert!(offset % 8 == 0 && offset + length <= bytes && length == size, "{}: {data}", case["name"]);
        };
        for buffer in buffers.iter().filter(|buffer| !buffer["data"].is_null()) {
            inside(&buffer["data"], buffer["bytes"].as_u64().unwrap());
        }
        for output in list(&case["outputs"]) {
            let len: u64 = list(&output["shape"]).iter().map(|size| size.as_u64().unwrap()).product();
            inside(&output["want"], len * if output["type"] == "f32" { 8 } else { 4 });
        }
        for dispatch in list(&case["dispatches"]) {
            assert!(dispatch["program"].as_u64().unwrap() < programs as u64);
            for texture in list(&dispatch["textures"]) {
                let size = buffers[texture["buffer"].as_u64().unwrap() as usize]["bytes"].as_u64().unwrap();
                let [texels, rows] = ["texels", "rows"].map(|field| texture[field].as_u64().unwrap());
                let fits = (16 * texels).saturating_sub(size) < 16 && rows == 1 + texels.div_ceil(256);
                assert!(fits, "{}: {texture} is no copy of {size} bytes", case["name"]);
            }
            for binding in list(&dispatch["bindings"]) {
                let size = buffers[binding["buffer"].as_u64().unwrap() as usize]["bytes"].as_u64().unwrap();
                let end = binding["offset"].as_u64().unwrap() + binding["bytes"].as_u64().unwrap();
                assert!(end <= size, "{}: {binding} ends beyond its buffer of {size} bytes", case["name"]);
            }
        }
    }
}
