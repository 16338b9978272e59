//! A step taken apart: when each dispatch began and how long it took, and what the host did meanwhile.

use std::time::Instant;

pub use crate::gpu::timing::Interval;

/// What measured the dispatches of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clock {
    /// The device's own timestamps, round a pass for each dispatch.
    Timestamps {
        /// Nanoseconds of a tick.
        period_ns: f64,
        /// Seconds of a pass without a dispatch, which are in every time; 0 where that was not measured.
        empty: f64,
    },
    /// The host's clock, with a submission for each dispatch that is waited for: its costs are in every time.
    WallClock {
        /// Seconds of a submission of nothing.
        empty: f64,
    },
    /// The host's clock, round each reference operator.
    Reference,
}

/// A dispatch, or a reference operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// The shader's entry point.
    pub entry: String,
    /// When, after the beginning of the step on the host's clock; `None` where the device's answer was absurd.
    pub at: Option<Interval>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// What measured it.
    pub clock: Clock,
    /// When it began on the host.
    pub begun: Instant,
    /// Seconds on the host's clock, waiting included.
    pub wall: f64,
    /// For each node, its dispatches.
    pub nodes: Vec<Vec<Timed>>,
    /// What the host did: `record`, `submit`, `wait`.
    pub host: Vec<(&'static str, Interval)>,
}

/// What a submission cost the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Launch {
    /// When recording began.
    pub begun: Instant,
    /// Seconds of recording.
    pub record: f64,
    /// Seconds of submitting.
    pub submit: f64,
    /// Seconds that the thread spent on a processor for both; `None` where the system does not tell.
    pub processor: Option<f64>,
}
