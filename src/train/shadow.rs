//! Training under observation: every so many steps, the float64 reference repeats a step and its outcome is compared.
//!
//! The state before the step is read, the step runs as always, and what outlives it is compared with what the reference makes
//! of the same state. Where something is beyond tolerance, the device repeats the step with memory of its own for every
//! value, and a walk through all of them tells whether an operator is wrong, the plan is, or rounding took another branch at
//! a kink, in which case the run goes on.

use super::Trainer;
use super::divergence::{Divergence, pieces, planned};
use super::pair::{Drift, Side, State, difference, lasting, walk};
use super::program::{self, names};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::verify::compare::FLOAT32;

/// What the checks of a run found.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct ShadowReport {
    /// One step in so many was checked.
    pub every: u64,
    /// Steps checked.
    pub checked: u64,
    /// Steps of these with values beyond tolerance although every operator was right on the operands that it had.
    pub inherited: u64,
    /// The largest error of the others.
    pub worst: Option<Drift>,
}

/// The reference beside a trainer.
pub(super) struct Shadow {
    pub report: ShadowReport,
    graph: Graph,
    lasting: Vec<String>,
    reference: Side,
    /// The device without shared memory; there from the start, so that what does not fit is known before the first step.
    separate: Side,
}

impl Shadow {
    /// Bytes of device memory beside the plan's.
    pub fn bytes(&self) -> u64 {
        self.separate.bytes()
    }

    /// Whether the step after `done` steps is checked.
    pub fn is_due(&self, done: u64) -> bool {
        done.is_multiple_of(self.report.every)
    }

    /// How many steps of `most` may be submitted together after `done` steps: a step that is checked is alone.
    pub fn together(&self, done: u64, most: u64) -> u64 {
        let every = self.report.every;
        if self.is_due(done) { 1 } else { most.min(every - done % every) }
    }
}

impl Trainer {
    /// From now on, checks one step in `every` against the float64 reference: the first one, and each `every`-th after it. A
    /// checked step takes as long as the reference needs for it. [`Trainer::fit`] stops with [`Error::Disagreed`] where the
    /// device is wrong; the state is then the one before that step.
    pub fn shadow_check(&mut self, every: u64) -> Result<()> {
        if every == 0 {
            return Err(Error::Invalid("one step in 0 cannot be checked: --shadow-check takes a number from 1".into()));
        }
        let graph = program::train(&self.network, &self.layout, &self.train, &self.config)?;
        // As it trains, so that a fused kernel that is wrong is named.
        let (graph, _) = self.device.fuse(graph, &self.config.no_fuse)?;
        let data = (&self.train, &self.data.train);
        let (reference, separate) = (Side::reference(&graph, data)?, Side::device(&self.device, &graph, data)?);
        let (lasting, report) = (lasting(&graph), ShadowReport { every, ..ShadowReport::default() });
        self.shadow = Some(Box::new(Shadow { report, graph, lasting, reference, separate }));
        Ok(())
    }

    /// What the checks have found, where they were asked for.
    pub fn shadow(&self) -> Option<&ShadowReport> {
        self.shadow.as_ref().map(|shadow| &shadow.report)
    }

    /// The state before a step that is checked.
    pub(super) async fn before(&mut self) -> Result<State> {
        let lasting = self.shadow.as_ref().map(|shadow| shadow.lasting.clone()).unwrap_or_default();
        let names: Vec<&str> = lasting.iter().map(String::as_str).chain([names::RATES]).collect();
        let read = self.session.read(&names).await?;
        Ok(names.into_iter().map(str::to_owned).zip(read).collect())
    }

    /// Checks the step that has led from `before` to the present state; an error leaves the state as it was before.
    pub(super) async fn compare(&mut self, before: &State) -> Result<()> {
        let Some(mut shadow) = self.shadow.take() else { return Ok(()) };
        let found = self.explain(&mut shadow, before).await;
        self.shadow = Some(shadow);
        let Some(divergence) = found? else { return Ok(()) };
        before.iter().try_for_each(|(name, tensor)| self.session.write(name, tensor))?;
        let (operator, device) = (divergence.place(), divergence.device.clone());
        Err(Error::Disagreed { step: divergence.step, operator, device, story: divergence.to_string() })
    }

    async fn explain(&mut self, shadow: &mut Shadow, before: &State) -> Result<Option<Divergence>> {
        let Shadow { report, graph, lasting, reference, separate } = shadow;
        reference.load(before)?;
        reference.run()?;
        let names: Vec<&str> = lasting.iter().map(String::as_str).collect();
        let got: State = lasting.iter().cloned().zip(self.session.read(&names).await?).collect();
        report.checked += 1;
        let (mut agrees, mut worst) = (true, report.worst.clone());
        for (name, tensor) in &got {
            let wanted = pieces(&self.layout, name, reference.read(name)?);
            for ((piece, want), (_, got)) in wanted.iter().zip(pieces(&self.layout, name, &tensor.widen())) {
                let difference = difference(&got, want, FLOAT32);
                agrees &= difference.passes();
                Drift::raise(&mut worst, piece, &difference);
            }
        }
        if agrees {
            report.worst = worst;
            return Ok(None);
        }
        reference.load(before)?;
        separate.load(before)?;
        let step = self.step + 1;
        let found = walk(graph, reference, separate, step).await?;
        if found.divergence.is_some() {
            return Ok(found.divergence);
        }
        report.inherited += 1;
        Ok(planned(&self.device, &self.layout, &got, &separate.state(lasting)?, step).divergence)
    }
}
