//! What can be said of the shaders without running them.

use wgrad::gpu::compose::{Module, compose, files};
use wgrad::gpu::reflect::{Entry, Kind, reflect};
use wgrad::gpu::sources::source;
use wgrad::kernels;

/// Families beyond the baseline ask for more than WebGPU's default limits, and say so themselves.
const VARIANTS: [&str; 2] = ["_tiled", "_broadcast"];

fn entries(file: &'static str) -> Vec<Entry> {
    let composed = compose(&Module::new(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    reflect(&composed).unwrap_or_else(|e| panic!("{e}"))
}

fn programs() -> impl Iterator<Item = &'static str> {
    files().filter(|file| !file.starts_with("shared/"))
}

#[test]
fn every_shader_entry_point_reflects() {
    for file in programs() {
        assert!(!entries(file).is_empty(), "{file} has no entry point");
    }
}

#[test]
fn every_baseline_kernel_stays_inside_the_default_limits() {
    for file in programs().filter(|file| !VARIANTS.iter().any(|variant| file.contains(variant))) {
        for entry in entries(file) {
            let name = format!("{file}, {}", entry.name);
            let buffers = entry.bindings.iter().filter(|b| matches!(b.kind, Kind::Storage { .. })).count();
            assert!(buffers <= 8, "{name} binds {buffers} storage buffers");
            assert!(
                entry.workgroup_bytes <= 16 << 10,
                "{name} uses {} bytes of workgroup memory",
                entry.workgroup_bytes
            );
            assert!(entry.workgroup_size.iter().product::<u32>() <= 256, "{name}: {:?}", entry.workgroup_size);
        }
    }
}

/// The numbers that shaders and host both say, by their names in WGSL.
const SAID_TWICE: [(&str, usize); 2] = [("WORKGROUP", kernels::WORKGROUP), ("BLOCK", kernels::BLOCK)];

#[test]
fn shaders_and_host_agree_on_workgroups_and_blocks() {
    let mut met = [0; SAID_TWICE.len()];
    for file in files() {
        let (_, text) = source(file).unwrap().unwrap();
        for (found, (name, value)) in met.iter_mut().zip(SAID_TWICE) {
            for line in text.lines().filter(|line| line.starts_with(&format!("const {name}:"))) {
                assert_eq!(line, format!("const {name}: u32 = {value}u;"), "{file}");
                *found += 1;
            }
        }
    }
    assert!(met.iter().all(|found| *found >= 6), "{SAID_TWICE:?} were found {met:?} times");
}
