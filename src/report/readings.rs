//! What a run measured on the way, read from its `metrics.jsonl`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::train::run::METRICS;

/// A step's line. A number that was not finite is missing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Step {
    /// The step, from 1.
    pub step: u64,
    /// Mean loss of the batch, in nats.
    pub loss: Option<f64>,
    /// Share of right answers in the batch.
    pub accuracy: Option<f64>,
    /// Norm of the whole gradient, before clipping.
    pub gradient_norm: Option<f64>,
    /// Learning rate.
    pub lr: Option<f64>,
    /// Training images a second since the epoch began; older runs do not say it.
    #[serde(default)]
    pub images_per_second: Option<f64>,
}

/// An epoch's line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Epoch {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Mean training loss over its steps.
    pub train_loss: Option<f64>,
    /// Share of right answers while training.
    pub train_accuracy: Option<f64>,
    /// Mean loss of the validation images.
    pub validation_loss: Option<f64>,
    /// Share of right answers among them.
    pub validation_accuracy: Option<f64>,
    /// Training images a second, validation not counted.
    pub images_per_second: Option<f64>,
    /// Seconds in its steps, validation not counted.
    pub seconds: Option<f64>,
}

/// All lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    /// The steps that were written.
    pub steps: Vec<Step>,
    /// The epochs that came to their end.
    pub epochs: Vec<Epoch>,
    /// Readings of how gradients flow through the layers, and verdicts; [`super::flow`] knows what they hold.
    pub flow: Vec<Value>,
    /// Lines that could not be understood.
    pub damaged: usize,
}

impl Readings {
    /// Reads what the run in `run` has measured so far; a run without metrics has measured nothing.
    ///
    /// # Errors
    /// [`Error::File`] where there are metrics that cannot be read.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(METRICS);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = std::fs::read(&path).map_err(|error| Error::file(&path, format!("cannot be read: {error}")))?;
        Ok(Self::parsed(&String::from_utf8_lossy(&bytes)))
    }

    /// Understands the lines, except a last one that is still being written.
    fn parsed(text: &str) -> Self {
        let mut readings = Self::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let understood = serde_json::from_str::<Value>(line).ok().and_then(|value| readings.add(value));
            readings.damaged += usize::from(understood.is_none());
        }
        readings
    }

    fn add(&mut self, line: Value) -> Option<()> {
        match line.get("event").and_then(Value::as_str)? {
            "step" => self.steps.push(serde_json::from_value(line).ok()?),
            "epoch" => self.epochs.push(serde_json::from_value(line).ok()?),
            "flow" | "verdict" => self.flow.push(line),
            // What a later version measures besides is no damage.
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_lines_are_counted_and_a_half_line_is_not_read_yet() {
        let text = "{\"event\":\"step\",\"step\":10,\"loss\":null,\"accuracy\":0.5,\"gradient_norm\":1,\"lr\":0.1}\n\
                    {\"event\":\"flow\",\"step\":10}\n{\"event\":\"later\"}\n{\"event\":\"step\"}\nnonsense\n{\"event\":\"st";
        let readings = Readings::parsed(text);
        assert_eq!((readings.steps.len(), readings.flow.len(), readings.damaged), (1, 1, 2));
        assert_eq!((readings.steps[0].loss, readings.steps[0].accuracy), (None, Some(0.5)));
    }
}
