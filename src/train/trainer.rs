//! The loop: several steps a submission, two submissions in flight, nothing uploaded and nothing allocated on the way.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::config::TrainConfig;
use super::evaluation::{Evaluation, Scored, check_fit, upload, write_state};
use super::events::{Ending, EpochReport, Event, Outcome};
use super::flow::{Facts, Judge, Watcher};
use super::micro_batch;
use super::program::{self, Resident, names};
use super::run::DataRecord;
use super::schedule::Plateau;
use super::shadow::{Shadow, ShadowReport};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::graph::{Fusion, Traffic};
use crate::nn::{Layout, Network, PARAMETERS, STATISTICS};
use crate::ops::control;
use crate::session::{Device, Options, PlanRow, Session};
use crate::tensor::Tensor;
use crate::verify::trust;

/// Trains a network on a device.
///
/// Everything is planned, compiled and uploaded by [`Trainer::new`]; [`Trainer::fit`] only runs.
pub struct Trainer {
    pub(super) device: Device,
    pub(super) network: Network,
    pub(super) layout: Layout,
    pub(super) config: TrainConfig,
    pub(super) data: Dataset,
    pub(super) train: Resident,
    pub(super) session: Session,
    validation: Option<Scored>,
    test: Scored,
    described: DataRecord,
    fusions: Vec<Fusion>,
    traffic: Traffic,
    outcome: Option<Outcome>,
    pub(super) step: u64,
    pub(super) shadow: Option<Box<Shadow>>,
    /// What watches a step, where that is wanted, and what makes a verdict of it.
    pub(super) watching: Option<(Watcher, Judge)>,
    pub(super) stop: Arc<AtomicBool>,
    /// Seconds that a step took lately, once measured.
    pub(super) step_seconds: Option<f64>,
}

/// The graph of a training step inside the session.
pub(super) const TRAIN: usize = 0;

impl Trainer {
    /// Plans, compiles, allocates and uploads. Where the device cannot bind or hold what a batch needs, it is computed in
    /// micro-batches; [`Trainer::config`] tells of how many images.
    pub fn new(device: &Device, network: &Network, data: &Dataset, config: &TrainConfig) -> Result<Self> {
        config.check(data.train.len())?;
        check_fit(network, data.train.shape, data.classes.len())?;
        micro_batch::within_memory(config, |config| Self::planned(device, network, data, config))
    }

    fn planned(device: &Device, network: &Network, data: &Dataset, config: &TrainConfig) -> Result<Self> {
        let (mut data, layout) = (data.clone(), network.layout()?);
        let held_out = config.held_out(data.train.len());
        let described = DataRecord::new(&data, held_out);
        let held_out = (held_out > 0).then(|| data.train.hold_out(held_out)).transpose()?;
        if config.batch > data.train.len() {
            let problem =
                format!("--batch {} is larger than the {} training images left", config.batch, data.train.len());
            return Err(Error::Invalid(problem));
        }
        let train = Resident::new("train", data.train.len(), data.train.shape, device.max_binding_bytes());
        let classes = data.classes.len();
        let config = &micro_batch::fitting(device, (network, &layout), &train, config)?;
        let most = config.micro_batch.unwrap_or(usize::MAX);
        let (graph, values) = program::train_with_values(network, &layout, &train, config)?;
        let mut graphs = vec![graph];
        let mut score = |name: &str, split: &Split| {
            let (scored, graph) = Scored::new(name, split, classes, (network, &layout), (device, most), graphs.len())?;
            graphs.push(graph);
            Ok::<_, Error>(scored)
        };
        let test = score("test", &data.test)?;
        let validation = held_out.as_ref().map(|split| score("validation", split)).transpose()?;
        let graphs = graphs.into_iter().map(|graph| device.fuse(graph, &config.no_fuse));
        let (mut graphs, mut fusions): (Vec<_>, Vec<_>) = graphs.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let traffic = graphs[TRAIN].traffic();
        let watching = (config.watch.every > 0).then(|| {
            let most = device.max_binding_bytes();
            let thresholds = config.watch.thresholds;
            let graph = &mut graphs[TRAIN];
            let watcher = Watcher::attach(graph, network, &layout, &values, most, thresholds.dead_images)?;
            Ok::<_, Error>((watcher, Judge::new(Facts::new(network, config, classes), thresholds)))
        });
        let watching = watching.transpose()?;
        let mut session = trust::session(device, graphs, Options::default())?;
        upload(&mut session, &train, &data.train)?;
        test.upload(&mut session, &data.test)?;
        if let (Some(scored), Some(split)) = (&validation, &held_out) {
            scored.upload(&mut session, split)?;
        }
        write_state(&mut session, &layout.draw(config.seed))?;
        Ok(Self {
            device: device.clone(),
            network: network.clone(),
            layout,
            config: config.clone(),
            data,
            train,
            session,
            validation,
            test,
            described,
            fusions: fusions.swap_remove(TRAIN),
            traffic,
            outcome: None,
            step: 0,
            shadow: None,
            watching,
            stop: Arc::default(),
            step_seconds: None,
        })
    }

    /// Set it to end the run after the steps in flight; safe to do from a signal handler's thread.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where its parameters lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What was asked for.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The device it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What it trains on.
    pub fn described(&self) -> &DataRecord {
        &self.described
    }

    /// Height, width and channels of an image.
    pub fn image(&self) -> [usize; 3] {
        self.train.image
    }

    /// The classes' names.
    pub fn classes(&self) -> &[String] {
        &self.data.classes
    }

    /// How the last [`Trainer::fit`] ended.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Steps of an epoch; the images that do not fill a batch are left out of it.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.train.len / self.config.batch) as u64
    }

    /// Training images that an epoch leaves out.
    pub fn dropped(&self) -> usize {
        self.train.len % self.config.batch
    }

    /// Whether validation uses training images that were held out (otherwise the test images).
    pub fn holds_out(&self) -> bool {
        self.validation.is_some()
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Batches that a layer has seen: micro-batches, where there are any.
    pub fn batches(&self) -> u64 {
        self.step * micro_batch::micro_batches(self.config.batch, self.config.micro_batch).len() as u64
    }

    /// Bytes of device memory that the run takes.
    pub fn bytes(&self) -> u64 {
        self.session.bytes() + self.shadow.as_ref().map_or(0, |shadow| shadow.bytes())
    }

    /// The nodes of a training step with their variants, those that watch it included.
    pub fn plan(&self) -> Vec<PlanRow> {
        self.session.plan(TRAIN)
    }

    /// What fusion did to a training step.
    pub fn fusions(&self) -> &[Fusion] {
        &self.fusions
    }

    /// The bytes that a training step moves.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The flat buffers of parameters and running statistics.
    pub async fn state(&mut self) -> Result<[Vec<f32>; 2]> {
        let mut read = self.session.read(&[PARAMETERS, STATISTICS]).await?;
        let statistics = read.pop().map(|t| t.floats()[..self.layout.statistics_len].to_vec()).unwrap_or_default();
        let parameters = read.pop().map(|t| t.floats().to_vec()).unwrap_or_default();
        Ok([parameters, statistics])
    }

    /// Replaces parameters and running statistics, to go on from a trained network.
    pub fn set_state(&mut self, state: &[Vec<f32>; 2]) -> Result<()> {
        write_state(&mut self.session, state)
    }

    /// Scores the network on the test images.
    pub async fn evaluate(&mut self) -> Result<Evaluation> {
        self.test.run(&mut self.session).await
    }

    /// Trains as configured, from the present weights, telling `observe` what happens. A failed run leaves the last good state
    /// readable.
    pub async fn fit(&mut self, mut observe: impl FnMut(Event)) -> Result<Outcome> {
        let started = Instant::now();
        self.restart()?;
        let (mut plateau, mut lr) = (Plateau::default(), self.config.lr);
        let (mut best, mut worse) = (f64::INFINITY, 0);
        let (mut seconds, mut epochs, mut ending) = (0.0, 0, Ending::Finished);
        for epoch in 1..=self.config.epochs {
            let begun = Instant::now();
            let (finished, report) = self.epoch(epoch, lr, started, &mut observe).await?;
            seconds += begun.elapsed().as_secs_f64();
            if !finished {
                ending = Ending::Interrupted;
                break;
            }
            epochs = epoch;
            let validation = match &self.validation {
                Some(scored) => scored.run(&mut self.session).await?,
                None => self.test.run(&mut self.session).await?,
            };
            finite(&validation, self.step)?;
            lr = plateau.observe(&self.config.schedule, self.config.lr, validation.loss);
            worse = if validation.loss < best { 0 } else { worse + 1 };
            best = best.min(validation.loss);
            observe(Event::Epoch(EpochReport { validation, ..report }));
            if self.step == self.config.total_steps(self.steps_per_epoch()) {
                break;
            }
            if self.config.patience.is_some_and(|patience| worse >= patience.max(1)) && epoch < self.config.epochs {
                ending = Ending::Patience;
                break;
            }
        }
        let test = self.evaluate().await?;
        finite(&test, self.step)?;
        let images = self.step as f64 * self.config.batch as f64;
        let outcome =
            Outcome { ending, test, steps: self.step, epochs, seconds, images_per_second: images / seconds.max(1e-9) };
        self.outcome = Some(outcome.clone());
        Ok(outcome)
    }

    /// Begins at step 0: counters and moments of an earlier [`Trainer::fit`] are forgotten, its weights are not.
    fn restart(&mut self) -> Result<()> {
        (self.step, self.outcome) = (0, None);
        if let Some((watcher, judge)) = &mut self.watching {
            watcher.forget();
            judge.forget();
        }
        if let Some(shadow) = &mut self.shadow {
            shadow.report = ShadowReport { every: shadow.report.every, ..ShadowReport::default() };
        }
        self.session.write(names::CONTROL, &Tensor::u32([control::LEN], vec![0; control::LEN]))?;
        for name in &names::MOMENTS[..self.config.optimizer.operator().moments()] {
            self.session.write(name, &Tensor::float([self.layout.len], vec![0.0; self.layout.len]))?;
        }
        Ok(())
    }
}

/// Weights that are finite can still drive a network out of the finite numbers.
fn finite(evaluation: &Evaluation, steps: u64) -> Result<()> {
    if evaluation.loss.is_finite() {
        return Ok(());
    }
    let operator = format!("the evaluation after {steps} steps");
    Err(Error::Diverged { step: steps + 1, operator, value: format!("a loss of {}", evaluation.loss), count: 1 })
}
