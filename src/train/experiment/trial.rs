//! One version, trained into a run of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::{Measurement, Version, reference};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::session::Device;
use crate::train::events::{Ending, Event, Outcome};
use crate::train::flow::{self, Facts, Flow, Kind};
use crate::train::run::{Figures, RunDir, RunRecord, RunWriter, Status};
use crate::train::{Evaluation, Trainer};

/// What versions are trained with.
pub struct Trial<'a> {
    /// The device.
    pub device: &'a Device,
    /// The images.
    pub data: &'a Dataset,
    /// Whether the first step is repeated in float64 on the CPU.
    pub reference: bool,
    /// Set it to end the version that is being trained.
    pub stop: Arc<AtomicBool>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Tried {
    /// It was measured.
    Measured(Box<Measurement>),
    /// Somebody asked for the end; its run is that of an interrupted one.
    Interrupted,
}

impl Trial<'_> {
    /// Trains a version into the run `directory`, which the experiment calls `run`, and tells `observe` what happens. A version that
    /// leaves the finite numbers is measured too: that is what it shows.
    ///
    /// # Errors
    /// Where the version cannot be trained on these images, the device fails, or the run cannot be written.
    pub async fn run(
        &self,
        version: &Version,
        depth: usize,
        (directory, run): (RunDir, String),
        mut observe: impl FnMut(&Event),
    ) -> Result<Tried> {
        let began = Instant::now();
        let float64 = self
            .reference
            .then(|| reference::first_over_last(version, self.data))
            .transpose()?
            .map(Option::unwrap_or_default);
        let mut trainer = Trainer::new(self.device, &version.network, self.data, &version.config)?;
        trainer.stop = self.stop.clone();
        let mut record = RunRecord::new(&trainer);
        let mut writer = directory.begin(&record)?;
        let (mut flows, mut written) = (Vec::<Flow>::new(), Ok(()));
        let ended = {
            let follow = |event: Event| {
                observe(&event);
                if written.is_ok() {
                    written = write(&mut writer, &event);
                }
                if let Event::Flow(flow) = event {
                    flows.push(*flow);
                }
            };
            trainer.fit(follow).await
        };
        written?;
        let facts = Facts::new(&version.network, &version.config, self.data.classes.len());
        let (test, error) = match &ended {
            Ok(outcome) => (Some(&outcome.test), None),
            Err(error @ Error::Diverged { .. }) => (None, Some(error.to_string())),
            Err(_) => (None, None),
        };
        record.steps = trainer.steps();
        record.error = error.clone();
        record.ending = match &ended {
            Ok(outcome) => outcome.ending.into(),
            Err(Error::Diverged { .. }) => Status::Diverged,
            Err(_) => Status::Failed,
        };
        record.figures = ended.as_ref().ok().map(|outcome| Figures::new(outcome, None));
        if record.ending == Status::Failed {
            record.error = ended.as_ref().err().map(ToString::to_string);
            writer.record(&record)?;
            return ended.map(|_| Tried::Interrupted);
        }
        let last_good = match test {
            Some(_) => None,
            None => Some(trainer.evaluate().await?),
        };
        let state = trainer.state().await?;
        writer.model(trainer.network(), trainer.layout(), &state, trainer.steps())?;
        writer.record(&record)?;
        if matches!(ended, Ok(Outcome { ending: Ending::Interrupted, .. })) {
            return Ok(Tried::Interrupted);
        }
        let thresholds = version.config.watch.thresholds;
        let verdict = flow::judge(&facts, &thresholds, &flows);
        let said = verdict.as_ref().and_then(|verdict| verdict.findings.first()).map(|finding| finding.words.clone());
        let (verdict, words) = match &error {
            // Numbers that are no numbers any more are the gravest finding, though no reading has seen them.
            Some(error) => (Kind::Exploding, error.clone()),
            None => (verdict.map_or(Kind::Healthy, |verdict| verdict.kind), said.unwrap_or_default()),
        };
        let window = &flows[flows.len().saturating_sub(thresholds.window)..];
        let Evaluation { loss, accuracy, .. } = test.or(last_good.as_ref()).cloned().unwrap_or_default();
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        Ok(Tried::Measured(Box::new(Measurement {
            version: version.name.clone(),
            depth,
            first_over_last_start: flows.first().and_then(|first| ratio(&facts, std::slice::from_ref(first))),
            first_over_last_start_float64: float64.and_then(finite),
            first_over_last_end: ratio(&facts, window),
            loss: finite(loss),
            accuracy: finite(accuracy),
            verdict,
            words,
            steps: trainer.steps(),
            seconds: began.elapsed().as_secs_f64(),
            error,
            run,
        })))
    }
}

fn ratio(facts: &Facts, flows: &[Flow]) -> Option<f64> {
    flow::first_over_last(facts, flows).filter(|ratio| ratio.is_finite())
}

fn write(writer: &mut RunWriter, event: &Event) -> Result<()> {
    match event {
        Event::FirstStep(_) => Ok(()),
        Event::Progress(progress) => progress.recent.iter().try_for_each(|figures| writer.step(progress, figures)),
        Event::Flow(flow) => writer.flow(flow),
        Event::Verdict(verdict) => writer.verdict(verdict),
        Event::Epoch(report) => writer.epoch(report),
    }
}
