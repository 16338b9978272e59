//! Proves the reference operators: against PyTorch's answers, against finite differences, and at kinks by name.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod augment;
mod clipping;
mod fusion;
mod gradients;
mod named;
mod normalisation;
mod oracle;
mod refusals;
mod state;
