//! The machine: adapters and devices, shader composing and reflection, pipelines, buffers and readback.
//!
//! This floor knows nothing of what the shaders compute: the word "convolution" does not occur in it.

mod backend;
mod caps;
pub mod compose;
pub mod device;
mod expression;
pub mod pipeline;
mod poll;
pub mod probe;
pub mod readback;
pub mod reflect;
pub mod sources;
pub mod timing;
mod trust;
mod trusted;
mod workgroup_memory;

pub use backend::BackendChoice;
pub use caps::Caps;
pub use compose::Module;
pub use device::{AdapterSummary, Gpu};
pub use trust::{Policy, Proof, Proving, Trust};

/// The version of wgpu that is built in.
pub const WGPU_VERSION: &str = env!("WGRAD_WGPU_VERSION");
