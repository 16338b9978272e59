//! What can be said of every kernel without the hardware: that all backends can express it, that it keeps clear of what is
//! known to break somewhere, that it stays inside the limits that it declares.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../common/adapter.rs"]
mod adapter;
mod lint;
mod programs;
mod suite;
mod table;
mod translate;
mod trips;
mod uniforms;
