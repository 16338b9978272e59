//! What shaders and host must say alike.

use wgrad::gpu::compose::files;
use wgrad::gpu::sources::source;
use wgrad::kernels;

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
