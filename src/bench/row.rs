//! A result, as tables, files and comparisons hold it.

use serde::{Deserialize, Serialize};

use super::roof::Roofs;
use super::sample::Sample;
use crate::session::Device;

/// What became of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was right, and timed.
    #[default]
    Measured,
    /// It was not tried; the row says why.
    NotRun,
    /// It gave a wrong answer, and was not timed.
    Wrong,
}

/// One line of results. Rows of other programs, which may lack most of it, can be read too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// What was timed: `reference/conv2`, or a network's name for its training step.
    pub workload: String,
    /// `forward`, `grad_input` …; `step`, `inference` or `start_up` of a network.
    pub direction: String,
    /// The kernel variant; `chosen` where each node has its own.
    pub variant: String,
    /// Whether this is the variant that is guessed to be the fastest before anything was measured.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guess: bool,
    /// The device's name.
    pub device: String,
    /// Milliseconds of one run, the median.
    pub ms: Option<f64>,
    /// Floating-point operations a nanosecond.
    pub gflops: Option<f64>,
    /// Bytes a nanosecond, each operand counted once.
    pub gb_s: Option<f64>,
    /// The time that the device needs at least, by its own roofs, as a share of the time that it took.
    pub percent_of_roof: Option<f64>,
    /// Milliseconds of a whole step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms_per_step: Option<f64>,
    /// Images of the batch over the time of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// The distance between the quartiles as a share of the median.
    pub spread_percent: Option<f64>,
    /// The roof that binds, `compute` or `memory`.
    pub bound: Option<String>,
    /// Operations of one run.
    pub flops: u64,
    /// Bytes of one run, each operand counted once.
    pub bytes: u64,
    /// Images, in rows of whole networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Submissions that were timed.
    pub submissions: usize,
    /// Runs in each of them.
    pub together: usize,
    /// The graphics API, or `cpu`.
    pub backend: String,
    /// The driver with its version.
    pub driver: String,
    /// The device's best rate of multiply-adds, in GFLOP/s.
    pub roof_gflops: Option<f64>,
    /// The device's copy bandwidth, in GB/s.
    pub roof_gb_s: Option<f64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why there is no number.
    pub reason: Option<String>,
}

impl Row {
    /// A row without a number, of work on a device.
    pub(super) fn new(workload: &str, direction: &str, variant: &str, device: &Device, roofs: Option<&Roofs>) -> Self {
        Self {
            workload: workload.into(),
            direction: direction.into(),
            variant: variant.into(),
            device: device.name(),
            backend: device.backend().into(),
            driver: match device {
                Device::Gpu(gpu) => gpu.adapter().driver.clone(),
                Device::Cpu(_) => String::new(),
            },
            roof_gflops: roofs.map(|roofs| roofs.flops / 1e9),
            roof_gb_s: roofs.map(|roofs| roofs.bytes / 1e9),
            ..Self::default()
        }
    }

    /// The same for work that costs so much.
    pub(super) fn costs(self, flops: u64, bytes: u64) -> Self {
        Self { flops, bytes, ..self }
    }

    /// The same, not run.
    pub(super) fn not_run(self, reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotRun, reason: Some(reason.into()), ..self }
    }

    /// The same, found to be wrong.
    pub(super) fn wrong(self, reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Wrong, reason: Some(reason.into()), ..self }
    }

    /// The same with its numbers.
    pub(super) fn timed(self, sample: &Sample, roofs: Option<&Roofs>) -> Self {
        let seconds = sample.median.max(1e-12);
        let least = roofs.map(|roofs| roofs.least(self.flops, self.bytes));
        Self {
            ms: Some(seconds * 1e3),
            gflops: Some(self.flops as f64 / seconds / 1e9),
            gb_s: Some(self.bytes as f64 / seconds / 1e9),
            percent_of_roof: least.map(|(least, _)| 100.0 * least / seconds),
            bound: least.map(|(_, bound)| bound.name().into()),
            spread_percent: Some(100.0 * sample.spread),
            submissions: sample.submissions,
            together: sample.together,
            ..self
        }
    }

    /// The same, as a whole step of so many images.
    pub(super) fn step(self, batch: usize) -> Self {
        Self {
            ms_per_step: self.ms,
            images_per_second: self.ms.map(|ms| batch as f64 / ms * 1e3),
            batch: Some(batch),
            ..self
        }
    }

    /// What it is a row of, on whichever device.
    pub fn subject(&self) -> [&str; 3] {
        [&self.workload, &self.direction, &self.variant]
    }

    /// The device's name with its graphics API: one adapter may be reached through several.
    pub fn place(&self) -> String {
        match self.backend.as_str() {
            "" | "cpu" => self.device.clone(),
            backend => format!("{} ({backend})", self.device),
        }
    }
}
