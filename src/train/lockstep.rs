//! The same training steps on two devices, compared value by value.
//!
//! Each step runs several times from the state that the reference is in: on the reference; on the other device with memory of
//! its own for every value, where the output of every node is compared as that node left it, first unfused, where all values
//! exist, then fused, on those that remain; and on the other device as training runs it, with values that share memory and all
//! nodes in one submission, where what outlives the step is compared (parameters, gradients, moments, running statistics,
//! records, the step counter) with what the fused run left there.

use std::time::Instant;

use super::config::TrainConfig;
use super::divergence::{Divergence, planned};
use super::evaluation::{check_fit, parts};
use super::micro_batch;
use super::pair::{Drift, Side, State, Walk, lasting, walk};
use super::program::{self, Resident, names};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::{Layout, Network, PARAMETERS, STATISTICS};
use crate::ops::control;
use crate::session::{Device, Options, PlanRow, Session};
use crate::tensor::Tensor;
use crate::verify::trust;

/// From where the steps go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The flat buffers of parameters and running statistics.
    pub state: [Vec<f32>; 2],
    /// Steps done: they decide on the batch and the learning rate. Moments begin as zeros all the same.
    pub step: u64,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step, from 1.
    pub step: u64,
    /// The loss on the reference; none where the devices parted before it was recorded.
    pub loss: Option<f64>,
    /// Values compared.
    pub values: usize,
    /// The largest error of those within tolerance.
    pub worst: Option<Drift>,
    /// Values beyond tolerance whose operators are right on the operands that they had: rounding took another branch at a kink,
    /// or numbers that were already off were passed on.
    pub inherited: usize,
    /// The first of them.
    pub first_inherited: Option<String>,
    /// The largest error of them.
    pub drift: Option<Drift>,
    /// Whether the step as training runs it left the same bits behind.
    pub same_bits: bool,
    /// Seconds of all runs.
    pub seconds: f64,
    /// What is wrong, if anything is; then no further step can be asked for.
    pub divergence: Option<Divergence>,
}

/// Two devices that train in step.
pub struct Lockstep {
    config: TrainConfig,
    layout: Layout,
    device: Device,
    /// Unfused, then fused where that is another graph.
    first: View,
    fused: Option<View>,
    /// The other device as it trains.
    plan: Session,
    /// What a step writes.
    lasting: Vec<String>,
    /// Steps of an epoch.
    steps: u64,
    done: u64,
    free_run: bool,
    ended: bool,
}

/// A graph on both devices, every value in memory of its own.
struct View {
    graph: Graph,
    reference: Side,
    other: Side,
}

impl View {
    fn new([reference, other]: [&Device; 2], graph: Graph, data: (&Resident, &Split)) -> Result<Self> {
        let reference = match reference {
            Device::Cpu(_) => Side::reference(&graph, data)?,
            Device::Gpu(_) => Side::device(reference, &graph, data)?,
        };
        let other = Side::device(other, &graph, data)?;
        Ok(Self { graph, reference, other })
    }

    fn load(&mut self, state: &State) -> Result<()> {
        self.reference.load(state)?;
        self.other.load(state)
    }
}

impl Lockstep {
    /// Plans, compiles, allocates and uploads. A `reference` that is the CPU computes in float64. With `free_run` each
    /// device goes on from its own state instead of the reference's.
    pub fn new(
        [reference, other]: [&Device; 2],
        network: &Network,
        data: &Dataset,
        config: &TrainConfig,
        start: Option<Start>,
        free_run: bool,
    ) -> Result<Self> {
        config.check(data.train.len())?;
        check_fit(network, data.train.shape, data.classes.len())?;
        let (mut split, layout) = (data.train.clone(), network.layout()?);
        let held_out = config.held_out(split.len());
        if held_out > 0 {
            split.hold_out(held_out)?;
        }
        // One graph for both, so its shards must fit the smaller bindings.
        let most = reference.max_binding_bytes().min(other.max_binding_bytes());
        let resident = Resident::new("train", split.len(), split.shape, most);
        let mut config = config.clone();
        for device in [reference, other] {
            config = micro_batch::fitting(device, (network, &layout), &resident, &config)?;
        }
        let graph = program::train(network, &layout, &resident, &config)?;
        let data = (&resident, &split);
        let (fused, fusions) = other.fuse(graph.clone(), &config.no_fuse)?;
        let mut plan = trust::session(other, vec![fused.clone()], Options { suspects: true, ..Options::default() })?;
        parts(&resident, &split, |name, tensor| plan.write(name, &tensor))?;
        let steps = (split.len() / config.batch) as u64;
        let start = start.unwrap_or_else(|| Start { state: layout.draw(config.seed), step: 0 });
        let mut lockstep = Self {
            lasting: lasting(&graph),
            first: View::new([reference, other], graph, data)?,
            fused: (!fusions.is_empty()).then(|| View::new([reference, other], fused, data)).transpose()?,
            config,
            device: other.clone(),
            plan,
            steps,
            layout,
            done: start.step,
            free_run,
            ended: false,
        };
        lockstep.begin(start)?;
        Ok(lockstep)
    }

    /// The nodes of a step on the other device, with their variants.
    pub fn plan(&self) -> Vec<PlanRow> {
        self.plan.plan(0)
    }

    /// Writes the first state.
    fn begin(&mut self, start: Start) -> Result<()> {
        let mut control = vec![0; control::LEN];
        control[control::STEP] = start.step as u32;
        let [parameters, mut statistics] = start.state;
        statistics.resize(statistics.len().max(1), 0.0);
        let flat = |name: &str, data: Vec<f32>| (name.to_owned(), Tensor::float([data.len()], data));
        let state = vec![
            (names::CONTROL.to_owned(), Tensor::u32([control::LEN], control)),
            flat(PARAMETERS, parameters),
            flat(STATISTICS, statistics),
            self.rates(start.step),
        ];
        self.load(&state)
    }

    /// The optimiser's table for the epoch of this step, from 0.
    fn rates(&self, step: u64) -> (String, Tensor) {
        let rates = self.config.rates(self.steps, step / self.steps + 1, self.config.lr);
        let table = rates.into_iter().flatten().collect();
        (names::RATES.to_owned(), Tensor::float([self.steps as usize, 4], table))
    }

    fn load(&mut self, state: &State) -> Result<()> {
        self.first.load(state)?;
        self.fused.iter_mut().try_for_each(|view| view.load(state))?;
        state.iter().try_for_each(|(name, tensor)| self.plan.write(name, tensor))
    }

    /// Runs the next step on both devices and compares.
    ///
    /// # Errors
    /// [`Error::Invalid`] after a divergence, and what the devices report.
    pub async fn step(&mut self) -> Result<StepReport> {
        if self.ended {
            return Err(Error::Invalid(
                "the devices have diverged: there is no step that both could go on from".into(),
            ));
        }
        let (begun, step) = (Instant::now(), self.done + 1);
        if self.done.is_multiple_of(self.steps) {
            let rates = self.rates(self.done);
            self.load(&vec![rates])?;
        }
        if !self.free_run {
            // What the reference holds in float64 is rounded for itself too, so that both begin with the same bits.
            let state = self.first.reference.state(&self.lasting)?;
            self.load(&state)?;
        }
        let View { graph, reference, other } = &mut self.first;
        let mut found = walk(graph, reference, other, step).await?;
        if let Some(View { graph, reference, other }) = self.fused.as_mut().filter(|_| found.divergence.is_none()) {
            found = found.and(walk(graph, reference, other, step).await?);
        }
        let Walk { values, worst, inherited, first_inherited, drift, mut divergence } = found;
        let mut same_bits = false;
        if divergence.is_none() {
            let names: Vec<&str> = self.lasting.iter().map(String::as_str).collect();
            let got = self.plan.run(0, 1, &names)?.wait().await?;
            let got: State = self.lasting.iter().cloned().zip(got).collect();
            let separate = self.fused.as_ref().unwrap_or(&self.first).other.state(&self.lasting)?;
            let found = planned(&self.device, &self.layout, &got, &separate, step);
            (same_bits, divergence) = (found.same_bits, found.divergence);
        }
        self.ended = divergence.is_some();
        let losses = self.first.reference.read(names::LOSSES)?.floats();
        let recorded = self.first.reference.read(names::CONTROL)?.u32s()[control::STEP] == step as u32;
        let loss = recorded.then(|| losses[(self.done % self.steps) as usize]);
        self.done = step;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(StepReport { step, loss, values, worst, inherited, first_inherited, drift, same_bits, seconds, divergence })
    }
}
