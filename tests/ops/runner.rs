//! The one runner: cases of the sweep, and named ones, through the verification that `wgrad verify` uses.

use wgrad::session::Device;
use wgrad::verify::case::{Case, Depth};
use wgrad::verify::sweep;
use wgrad::verify::trial::{Outcome, Settings, Verdict, ask};

pub use crate::adapter::adapter as gpu;

/// Asks the adapter these cases; reports all that is wrong and fails once.
pub fn check(cases: &[Case]) {
    let Some(gpu) = gpu() else { return };
    let outcomes = ask(&Device::Gpu(gpu), cases, &Settings::default(), |_| ());
    assert!(!outcomes.is_empty(), "no case was asked");
    let told = |outcome: &Outcome| {
        let Outcome { operator, direction, variant, case, story, .. } = outcome;
        format!("{operator} {direction} / {variant} / {case}: {}", story.as_deref().unwrap_or_default())
    };
    let wrong: Vec<String> = outcomes.iter().filter(|o| o.verdict == Verdict::Failed).map(told).collect();
    assert!(wrong.is_empty(), "{} of {} cases are wrong\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));
}

/// Asks the adapter the standard sweep of a room of operators.
pub fn sweep(room: &str) {
    let Some(gpu) = gpu() else { return };
    check(&sweep::room(room, Depth::Standard, gpu.caps()));
}
