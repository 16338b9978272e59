//! The machine: adapters and devices, shader composing and reflection, pipelines, buffers and readback.
//!
//! This floor knows nothing of what the shaders compute: the word "convolution" does not occur in it.

pub mod compose;
pub mod device;
mod expression;
pub mod pipeline;
mod poll;
pub mod readback;
pub mod reflect;
pub mod sources;
mod trusted;

pub use compose::Module;
pub use device::{AdapterSummary, BackendChoice, Caps, Gpu};
