//! Figures of some steps together.

use crate::tensor::Tensor;

/// The float64 with the fewest digits that is this float32: 0.001 rather than 0.0010000000474974513.
pub(super) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Losses and right answers of some steps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    loss: f64,
    correct: u64,
    steps: u64,
}

impl Tally {
    /// Adds the steps in `range` of what was read and answers them alone.
    pub(super) fn add(&mut self, read: &[Tensor], range: std::ops::Range<usize>) -> Self {
        let loss = read[1].floats()[range.clone()].iter().map(|&loss| f64::from(loss)).sum();
        let correct = read[3].u32s()[range.clone()].iter().map(|&count| u64::from(count)).sum();
        let part = Self { loss, correct, steps: range.len() as u64 };
        self.loss += part.loss;
        self.correct += part.correct;
        self.steps += part.steps;
        part
    }

    pub(super) fn loss(&self) -> f64 {
        self.loss / self.steps.max(1) as f64
    }

    pub(super) fn accuracy(&self, batch: usize) -> f64 {
        self.correct as f64 / (self.steps.max(1) * batch as u64) as f64
    }
}
