//! Every operator's kernels against its float64 reference: one table of cases an operator, one runner.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod activation;
#[path = "../common/adapter.rs"]
mod adapter;
mod alive;
mod augment;
mod batch;
mod batch_norm2d;
mod control;
mod conv2d;
mod dropout;
mod elementwise;
mod group_norm;
mod linear;
mod loss;
mod optimizer;
mod pool2d;
mod random;
mod reduce;
mod runner;
mod shaders;
mod softmax;
mod statistics;
