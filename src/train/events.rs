//! What a run tells while it goes on, and when it ends.

use std::time::Duration;

use super::evaluation::Evaluation;
use super::flow::{Flow, Verdict};

/// One step's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepFigures {
    /// The step, from 1, since training began.
    pub step: u64,
    /// Mean loss of the batch, with label smoothing.
    pub loss: f64,
    /// Share of right answers in the batch.
    pub accuracy: f64,
    /// Norm of the whole gradient, before clipping.
    pub gradient_norm: f64,
    /// Learning rate.
    pub lr: f64,
}

/// Where a running epoch stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done in this epoch, and in all of it.
    pub step: u64,
    /// Steps of an epoch.
    pub steps: u64,
    /// Steps done since training began.
    pub total: u64,
    /// Mean loss of the steps that this report adds.
    pub loss: f64,
    /// Share of right answers in these steps.
    pub accuracy: f64,
    /// These steps one by one; never empty.
    pub recent: Vec<StepFigures>,
    /// Training images a second since the epoch began.
    pub images_per_second: f64,
}

/// A finished epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Mean training loss over its steps.
    pub loss: f64,
    /// Share of right answers while training.
    pub accuracy: f64,
    /// The score on the validation images.
    pub validation: Evaluation,
    /// Learning rate of its last step.
    pub lr: f64,
    /// Training images a second, validation not counted.
    pub images_per_second: f64,
    /// Seconds in its steps, validation not counted.
    pub seconds: f64,
    /// How its gradients flowed, where the run is watched.
    pub verdict: Option<Verdict>,
}

/// What a run tells while it goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The first step is done, so many seconds after [`super::Trainer::fit`] was called.
    FirstStep(Duration),
    /// Some steps are done.
    Progress(Progress),
    /// A step was watched.
    Flow(Box<Flow>),
    /// What the readings so far mean is something else than it was.
    Verdict(Verdict),
    /// An epoch is done.
    Epoch(EpochReport),
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The validation loss no longer fell.
    Patience,
    /// Somebody asked for it.
    Interrupted,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub ending: Ending,
    /// The score on the test images.
    pub test: Evaluation,
    /// Steps done.
    pub steps: u64,
    /// Epochs finished.
    pub epochs: u64,
    /// Seconds in training steps.
    pub seconds: f64,
    /// Training images a second.
    pub images_per_second: f64,
}

impl EpochReport {
    /// The epoch in one line of JSON, as metrics and `--json` have it.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "event": "epoch", "epoch": self.epoch, "train_loss": self.loss, "train_accuracy": self.accuracy,
            "validation_loss": self.validation.loss, "validation_accuracy": self.validation.accuracy,
            "lr": self.lr, "images_per_second": self.images_per_second, "seconds": self.seconds,
            "verdict": self.verdict.as_ref().map(|verdict| verdict.kind),
        })
    }
}
