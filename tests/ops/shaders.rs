//! What can be said of the shaders without running them.

use wgrad::gpu::compose::{Module, compose, files};
use wgrad::gpu::reflect::{Entry, Kind, reflect};

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
