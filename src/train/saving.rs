//! From a trainer to a run's directory, in one call.

use std::path::Path;

use super::Trainer;
use super::run::{Figures, RunDir, RunRecord, Status};
use crate::error::Result;

impl RunRecord {
    /// What there is to say about a trainer's run before its first step.
    pub fn new(trainer: &Trainer) -> Self {
        Self {
            wgrad: env!("CARGO_PKG_VERSION").into(),
            started: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            ending: Status::Running,
            error: None,
            seed: trainer.config().seed,
            steps: trainer.steps(),
            figures: None,
            config: trainer.config().clone(),
            network: trainer.network().clone(),
            input_shape: trainer.image(),
            classes: trainer.classes().to_vec(),
            data: trainer.described().clone(),
            device: trainer.device().into(),
            memory_bytes: trainer.bytes(),
            variants: trainer.plan().into_iter().filter(|row| !row.watch).map(Into::into).collect(),
        }
    }
}

impl Trainer {
    /// Saves the run as `wgrad train` does, for `wgrad evaluate` and `wgrad predict` to read: weights under PyTorch's names,
    /// and a description. `path` must not hold anything yet.
    pub async fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let mut record = RunRecord::new(self);
        let writer = RunDir::check(path.as_ref(), false)?.begin(&record)?;
        let state = self.state().await?;
        writer.model(self.network(), self.layout(), &state, self.batches())?;
        if let Some(outcome) = self.outcome() {
            record.ending = outcome.ending.into();
            record.figures = Some(Figures::new(outcome, None));
        }
        writer.record(&record)
    }
}
