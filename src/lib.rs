#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic is how a test fails"))]

pub mod bench;
pub mod data;
pub mod error;
pub mod format;
pub mod gpu;
pub mod graph;
pub mod kernels;
pub mod nn;
pub mod ops;
pub mod report;
pub mod session;
pub mod tensor;
pub mod train;
pub mod verify;

pub use error::{Error, Result};
pub use tensor::{DType, Spec, Tensor};
