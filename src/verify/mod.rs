//! Verification: answers computed elsewhere against answers computed here.
//!
//! [`oracle`] reads cases that PyTorch answered in float64 and runs them, [`compare`] says whether two tensors are
//! equal and tells the story where they are not. Neither knows who computes: a case is run through a function that
//! executes one operator, which may be the reference in plain loops or a kernel on a GPU. [`export`] writes cases down for
//! other WebGPU stacks.

pub mod compare;
pub mod export;
pub mod oracle;
