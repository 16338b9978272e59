//! The one runner: cases of the sweep, and named ones, through the verification that `wgrad verify` uses.

use std::collections::BTreeSet;

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
    let story = |outcome: &Outcome| outcome.story.clone().unwrap_or_default();
    let told = |outcome: &Outcome| {
        let Outcome { operator, direction, variant, case, story, .. } = outcome;
        format!("{operator} {direction} / {variant} / {case}: {}", story.as_deref().unwrap_or_default())
    };
    let wrong: Vec<String> = outcomes.iter().filter(|o| o.verdict == Verdict::Failed).map(told).collect();
    assert!(wrong.is_empty(), "{} of {} cases are wrong\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));
    // The standard sweep is small enough for any adapter: a baseline that refuses it has lost what it could do.
    let refused = outcomes.iter().filter(|o| o.verdict == Verdict::NotRun && o.variant == "baseline");
    let refused: Vec<String> = refused.filter(|o| !story(o).contains("a probe shows")).map(told).collect();
    assert!(refused.is_empty(), "{} cases were refused\n{}", refused.len(), refused.join("\n"));
    let asked: BTreeSet<&str> = outcomes.iter().map(|outcome| outcome.variant.as_str()).collect();
    for variant in asked {
        let of_it = || outcomes.iter().filter(|outcome| outcome.variant == variant);
        let can = of_it().any(|outcome| outcome.verdict == Verdict::Passed);
        assert!(can || of_it().all(|outcome| story(outcome).contains("this adapter")), "{variant} never ran");
    }
}

/// Asks the adapter the standard sweep of a room of operators.
pub fn sweep(room: &str) {
    let Some(gpu) = gpu() else { return };
    check(&sweep::room(room, Depth::Standard, gpu.caps()));
}
