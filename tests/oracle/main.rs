//! PyTorch's float64 answers: operators on the GPU in every variant, learning-rate schedules, and whole training runs on
//! every kind of session. (`tests/reference` holds the references against the operator cases.)
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../common/adapter.rs"]
mod adapter;
mod operators;
mod schedules;
mod training;

use std::path::{Path, PathBuf};

use adapter::adapter;

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle").join(folder)
}
