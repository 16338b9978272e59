//! The conformance suite that other WebGPU stacks run: its files are complete and hold together.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use wgrad::verify::export::{Case, Suite, cases};

use crate::problems::problems;
use crate::programs::DEVICES;

/// Every case of every kind of device, each once.
pub fn all_cases() -> Vec<Case> {
    let (mut seen, mut all) = (HashSet::new(), Vec::new());
    for problem in problems() {
        for (_, caps) in DEVICES {
            for case in cases(&problem.name, &problem.op, &problem.inputs, &caps).unwrap() {
                let runs = case
                    .launches
                    .iter()
                    .map(|launch| format!("{:?}{:?}{:?}", launch.module, launch.uniform, launch.workgroups));
                if seen.insert(format!("{}{}{}", case.operator, case.name, runs.collect::<String>())) {
                    all.push(case);
                }
            }
        }
    }
    all
}

fn write(folder: &Path) -> (usize, usize) {
    let mut suite = Suite::create(folder).unwrap();
    all_cases().iter().for_each(|case| suite.add(case).unwrap());
    suite.finish().unwrap()
}

/// Writes the suite, to the folder that `WGRAD_EXPORT` names or to a passing one, and reads it again.
#[test]
fn the_files_of_the_suite_hold_together() {
    let passing = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("WGRAD_EXPORT").map_or_else(|| passing.path().to_owned(), PathBuf::from);
    let (programs, cases) = write(&folder);
    println!("{programs} programs, {cases} cases");
    let text = std::fs::read_to_string(folder.join("cases.json")).unwrap();
    let suite: serde_json::Value = serde_json::from_str(&text).unwrap();
    let bytes = std::fs::metadata(folder.join("data.bin")).unwrap().len();
    let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
    assert_eq!([list(&suite["programs"]).len(), list(&suite["cases"]).len()], [programs, cases]);
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
            for binding in list(&dispatch["bindings"]) {
                let size = buffers[binding["buffer"].as_u64().unwrap() as usize]["bytes"].as_u64().unwrap();
                let end = binding["offset"].as_u64().unwrap() + binding["bytes"].as_u64().unwrap();
                assert!(end <= size, "{}: {binding} ends beyond its buffer of {size} bytes", case["name"]);
            }
        }
    }
}
