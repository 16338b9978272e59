//! The structure of the repository itself: who may import whom, what an operator consists of, how large a file may grow,
//! and what must not be written.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod documents;
mod drawers;
mod floors;
mod sources;
mod writing;
