//! One version, trained into a run of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::{Measurement, Version, reference};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::session::Device;
use crate::train::Trainer;
use crate::train::events::Event;
use crate::train::flow::{self, Facts, Flow, Kind};
use crate::train::run::{Figures, RunDir, RunRecord, RunWriter, Status};

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
        let float64 = match self.reference {
            true => reference::first_over_last(version, self.data)?,
            false => None,
        };
        let mut trainer = Trainer::new(self.device, &version.network, self.data, &version.config)?;
        trainer.stop = self.stop.clone();
        let mut record = RunRecord::new(&trainer);
        let mut writer = directory.begin(&record)?;
        let (mut flows, mut written) = (Vec::<Flow>::new(), Ok(()));
        let follow = |event: Event| {
            observe(&event);
            if written.is_ok() {
                written = write(&mut writer, &event);
            }
            if let Event::Flow(flow) = event {
                flows.push(*flow);
            }
        };
        let ended = trainer.fit(follow).await;
        written?;
        record.steps = trainer.steps();
        let test = match ended {
            Ok(outcome) => {
                record.ending = outcome.ending.into();
                record.figures = Some(Figures::new(&outcome, None));
                outcome.test
            }
            Err(error) => {
                record.error = Some(error.to_string());
                if !matches!(error, Error::Diverged { .. }) {
                    record.ending = Status::Failed;
                    writer.record(&record)?;
                    return Err(error);
                }
                record.ending = Status::Diverged;
                // What it had learnt before.
                trainer.evaluate().await?
            }
        };
        let state = trainer.state().await?;
        writer.model(trainer.network(), trainer.layout(), &state, trainer.batches())?;
        writer.record(&record)?;
        if record.ending == Status::Interrupted {
            return Ok(Tried::Interrupted);
        }
        let facts = Facts::new(&version.network, &version.config, self.data.classes.len());
        let (verdict, words) = judged(version, &facts, &flows, record.error.as_deref());
        let last = &flows[flows.len().saturating_sub(version.config.watch.thresholds.window)..];
        Ok(Tried::Measured(Box::new(Measurement {
            version: version.name.clone(),
            depth,
            first_over_last_start: flows.first().and_then(|first| ratio(&facts, std::slice::from_ref(first))),
            first_over_last_start_float64: float64.filter(|ratio| ratio.is_finite()),
            first_over_last_end: ratio(&facts, last),
            loss: Some(test.loss).filter(|loss| loss.is_finite()),
            accuracy: Some(test.accuracy).filter(|accuracy| accuracy.is_finite()),
            verdict,
            words,
            steps: trainer.steps(),
            seconds: began.elapsed().as_secs_f64(),
            error: record.error,
            run,
        })))
    }
}

/// The verdict on the last readings and what it follows from. Numbers that are no numbers any more are the gravest finding, though no
/// reading has seen them.
fn judged(version: &Version, facts: &Facts, flows: &[Flow], error: Option<&str>) -> (Kind, String) {
    if let Some(error) = error {
        return (Kind::Exploding, error.to_owned());
    }
    let verdict = flow::judge(facts, &version.config.watch.thresholds, flows);
    let gravest = verdict.and_then(|verdict| verdict.findings.into_iter().next());
    gravest.map_or((Kind::Healthy, String::new()), |finding| (finding.kind, finding.words))
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
