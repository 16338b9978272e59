//! How gradients flow through a network while it trains: what is measured of every parameter and of every activation, and what
//! that means.
//!
//! [`Watcher`] adds nodes to a step's graph that measure on the device and runs in one step of [`Watch::every`];
//! what they find is a [`Flow`]. [`judge`] makes a [`Verdict`] of several of them.

mod cures;
mod findings;
mod hidden;
mod measured;
mod thresholds;
mod units;
mod verdict;
mod watcher;

pub use cures::Cure;
pub use findings::{figure, first_over_last};
pub use measured::{ActivationFlow, Flow, Measured, ParameterFlow, Units};
pub use thresholds::{Thresholds, Watch};
pub use verdict::{Facts, Finding, Judge, Kind, LayerFact, Verdict, judge};
pub use watcher::{READ, Watcher};
