//! Verification: that what a device computes is right.
//!
//! [`gradients`] holds the float64 references against central differences; [`sweep`] makes [`case`]s from the edges that each
//! variant declares, [`trial`] asks a device for the answers and holds them against the references, [`export`] writes them
//! down for other WebGPU stacks; [`oracle`] reads cases that PyTorch answered in float64; [`compare`] says whether two
//! tensors are equal and tells the story where they are not. [`trust`] lets a device use what was proven there, and [`preference`] the fastest of it.

pub mod case;
pub mod compare;
pub mod dump;
pub mod export;
pub mod gradients;
pub mod oracle;
pub mod preference;
pub mod sweep;
pub mod trial;
pub mod trust;
