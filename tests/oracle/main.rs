//! PyTorch's float64 answers: operators on the GPU in every variant, learning-rate schedules, and whole training runs on
//! every kind of session. (`tests/reference` holds the references against the operator cases.)
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod operators;
mod schedules;
mod training;

use std::path::{Path, PathBuf};

use wgrad::gpu::Gpu;

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle").join(folder)
}

/// The adapter, or `None` after saying so where a missing one is allowed.
fn adapter() -> Option<Gpu> {
    match Gpu::shared() {
        Ok(gpu) => Some(gpu),
        Err(problem) => {
            assert!(std::env::var_os("WGRAD_REQUIRE_GPU").is_none(), "WGRAD_REQUIRE_GPU is set, but {problem}");
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            println!("skipped: {test}: no GPU adapter ({problem})");
            None
        }
    }
}
