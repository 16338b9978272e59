//! The conformance suite that other WebGPU stacks run: its files are complete and hold together.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use wgrad::ops::Operator;
use wgrad::tensor::Spec;
use wgrad::verify::case::{Case, Depth};
use wgrad::verify::export::{Suite, recipes};
use wgrad::verify::sweep::cases;

use crate::programs::DEVICES;

/// Floating-point operations of a case.
pub fn cost(case: &Case) -> u64 {
    let inputs: Vec<Spec> = case.operands.iter().map(|operand| operand.spec.clone()).collect();
    let outputs = case.op.infer(&inputs).unwrap();
    case.op.flops(&inputs, &outputs).max(case.op.bytes(&inputs, &outputs) / 4)
}

/// Writes every case up to a depth, each once although several kinds of devices are asked it.
fn write(folder: &Path, depth: Depth) -> (usize, usize) {
    let (mut suite, mut seen) = (Suite::create(folder).unwrap(), HashSet::new());
    for (_, caps) in DEVICES {
        let all: Vec<_> = cases(depth, &caps).par_iter().map(|case| recipes(case, &caps, 0).unwrap()).collect();
        for recipe in all.into_iter().flatten() {
            let runs = recipe.launches.iter();
            let runs = runs.map(|launch| format!("{:?}{:?}{:?}", launch.module, launch.uniform, launch.workgroups));
            if seen.insert(format!("{} {} {}", recipe.operator, recipe.name, runs.collect::<String>())) {
                suite.add(&recipe).unwrap();
            }
        }
    }
    suite.finish().unwrap()
}

/// Writes the suite, to the folder that `WGRAD_EXPORT` names, or a short one to a passing folder, and reads it again.
#[test]
fn the_files_of_the_suite_hold_together() {
    let passing = tempfile::tempdir().unwrap();
    let wanted = std::env::var_os("WGRAD_EXPORT").map(PathBuf::from);
    let depth = if wanted.is_some() { Depth::Standard } else { Depth::Quick };
    let folder = wanted.unwrap_or_else(|| passing.path().to_owned());
    let (programs, cases) = write(&folder, depth);
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
