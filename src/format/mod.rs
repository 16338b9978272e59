//! Files of other worlds: the only place where layouts other than the crate's own exist.
//!
//! [`safetensors`] holds weights under PyTorch's names and in PyTorch's layouts; [`atomic`] replaces a file wholly or
//! not at all, which is how everything that a run writes should be written; [`tensorboard`] writes event files. [`document`] reads TOML
//! with the place of everything in it, checked against a [`schema`].

pub mod atomic;
pub mod cache;
pub mod document;
pub mod safetensors;
pub mod schema;
pub mod tensorboard;

pub use atomic::{write_atomic, write_atomic_parts};
pub use safetensors::{Checkpoint, Layout, NamedTensor, load, save};
