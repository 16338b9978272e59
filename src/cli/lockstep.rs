//! `wgrad lockstep`

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use wgrad::data::Dataset;
use wgrad::nn::{Network, shipped};
use wgrad::session::Device;
use wgrad::train::lockstep::{Start, StepReport};
use wgrad::train::run::{self, Run, Status};
use wgrad::train::{Drift, Lockstep, OptimizerConfig, Recipe, TrainConfig};

use super::args::{DeviceArgs, LockstepArgs};
use super::output::Output;
use super::text::{self, counted};
use super::{open, report};

/// Runs the steps and says where the devices part.
pub fn run(args: &LockstepArgs) -> Result<()> {
    let (output, started) = (Output::new(args.json), Instant::now());
    let open =
        |name: &str| open::device(&DeviceArgs { device: name.to_owned(), backend: args.backend, trust: args.trust });
    let (reference, other) = (open(&args.reference)?, open(&args.other)?);
    let exact = matches!(reference, Device::Cpu(_));
    let name = if exact { "CPU, in float64".to_owned() } else { reference.name() };
    output.say(format!("reference {name}"));
    open::introduce(&output, &other);
    let Task { network, data, config, start } = task(&output, args)?;
    let batch = counted(config.batch as u64, "image");
    output.say(format!("network   {}", network.name));
    output.say(format!("training  {batch} a step · {} · seed {}", report::optimizer(&config), config.seed));
    if let Some(start) = &start {
        output.say(format!(
            "          from the run's weights, after {}; moments begin anew",
            counted(start.step, "step")
        ));
    }
    output.say(match args.free_run {
        true => "          each device goes on from its own state\n",
        false => "          each step begins from the reference's state\n",
    });
    let mut lockstep = Lockstep::new([&reference, &other], &network, &data, &config, start, args.free_run)?;
    output.say("   step         loss   values   error/allowed   inherited   shared memory       time");
    let mut total = Total::default();
    while total.steps < args.steps && total.diverged.is_none() && !output.silenced() {
        let step = pollster::block_on(lockstep.step())?;
        output.event(&event(&step));
        output.say(row(&step));
        total.add(step);
    }
    let (agrees, seconds) = (total.diverged.is_none(), started.elapsed().as_secs_f64());
    output.event(&json!({
        "event": "lockstep", "agrees": agrees, "steps": total.steps, "values": total.values,
        "inherited": total.inherited, "worst": total.worst, "drift": total.drift, "same_bits": total.same_bits,
        "divergence": total.diverged.as_ref().map(|divergence| divergence.json()), "network": network.name,
        "batch": config.batch, "seed": config.seed, "free_run": args.free_run, "reference": name,
        "other": other.name(), "backend": other.backend(), "seconds": seconds,
    }));
    if let Some(divergence) = total.diverged {
        output.say(format!("\n{divergence}"));
        let (step, place) = (divergence.step, divergence.place());
        anyhow::bail!("{} diverges in step {step}: {place}", divergence.device);
    }
    total.say(&output, seconds);
    output.finish()
}

/// What is run.
struct Task {
    network: Network,
    data: Dataset,
    config: TrainConfig,
    start: Option<Start>,
}

/// The network with its data and configuration: a run's, or the usual ones, each with the options that were given.
fn task(output: &Output, args: &LockstepArgs) -> Result<Task> {
    let path = Path::new(&args.network);
    let run = path.is_dir() && !shipped::NAMES.contains(&args.network.as_str());
    let record = run.then(|| run::read_record(path)).transpose()?;
    let recipe = if run { Recipe::default() } else { open::recipe(&args.network)? };
    let mut config = record.as_ref().map_or_else(|| recipe.train.clone(), |record| record.config.clone());
    config.batch = args.batch.unwrap_or(config.batch);
    config.micro_batch = args.micro_batch.or(config.micro_batch);
    config.seed = args.seed.unwrap_or(config.seed);
    config.lr = args.lr.unwrap_or(config.lr);
    config.clip_norm = args.clip_norm.or(config.clip_norm);
    config.clip_value = args.clip_value.or(config.clip_value);
    if let Some(name) = &args.optimizer {
        config.optimizer = OptimizerConfig::named(name)?;
    }
    let Some(record) = record else {
        let mut recipe = Recipe { train: config, ..recipe };
        recipe.data = args.data.applied(recipe.data);
        let data = open::data_of(output, &recipe.data, args.data.pictures)?;
        let network = recipe.network(data.train.shape, data.classes.len())?;
        let config = recipe.config(data.train.len());
        return Ok(Task { network, data, config, start: None });
    };
    let data = open::data_of_run(output, &record, &args.data)?;
    let start = match path.join(run::MODEL).exists() && args.seed.is_none() {
        false => None,
        true => {
            let Run { state, .. } = run::read(path)?;
            // A run that was stopped goes on with its next batch; one that came to its end begins its epochs again.
            let ended = matches!(record.ending, Status::Finished | Status::Patience);
            Some(Start { state, step: if ended { 0 } else { record.steps } })
        }
    };
    Ok(Task { network: record.network, data, config, start })
}

/// A step for programs.
fn event(report: &StepReport) -> Value {
    json!({
        "event": "step", "step": report.step, "loss": report.loss, "values": report.values, "worst": report.worst,
        "inherited": report.inherited, "first_inherited": report.first_inherited, "drift": report.drift,
        "same_bits": report.same_bits, "agrees": report.divergence.is_none(), "seconds": report.seconds,
    })
}

/// A step in a line.
fn row(report: &StepReport) -> String {
    let StepReport { step, loss, values, worst, inherited, first_inherited, same_bits, seconds, divergence, .. } =
        report;
    let worst = worst.as_ref().map_or("–".to_owned(), |worst| text::percent(worst.of_allowed()));
    let memory = match (same_bits, divergence) {
        (_, Some(_)) => "–",
        (true, None) => "same bits",
        (false, None) => "agrees",
    };
    let first = first_inherited.as_ref().map_or(String::new(), |first| format!("   inherited from {first} on"));
    let (loss, seconds) = (loss.map_or("–".to_owned(), text::loss), text::duration(*seconds));
    format!(
        "  {step:>5}   {loss:>10}   {values:>6}   {worst:>13}   {inherited:>9}   {memory:>13}   {seconds:>8}{first}"
    )
}

/// All steps together.
#[derive(Default)]
struct Total {
    steps: u64,
    values: usize,
    inherited: usize,
    inheriting: u64,
    worst: Option<Drift>,
    drift: Option<Drift>,
    same_bits: bool,
    diverged: Option<wgrad::train::Divergence>,
}

impl Total {
    fn add(&mut self, step: StepReport) {
        self.same_bits = step.same_bits && (self.same_bits || self.steps == 0);
        self.steps += 1;
        self.values += step.values;
        self.inherited += step.inherited;
        self.inheriting += u64::from(step.inherited > 0);
        self.worst = Drift::worse(self.worst.take(), step.worst);
        self.drift = Drift::worse(self.drift.take(), step.drift);
        self.diverged = step.divergence;
    }

    /// What people read at the end.
    fn say(&self, output: &Output, seconds: f64) {
        let (steps, values) = (counted(self.steps, "step"), counted(self.values as u64, "value"));
        output.say(format!("\nagrees    {steps} · {values} compared · {}", text::duration(seconds)));
        if let Some(worst) = &self.worst {
            output.say(format!("          {}", report::errors(worst)));
        }
        if let Some(drift) = &self.drift {
            let (values, steps) = (counted(self.inherited as u64, "value"), counted(self.inheriting, "step"));
            output.say(format!(
                "          {values} in {steps} beyond that, each of them from an operator that was right on the"
            ));
            output.say("          operands that it had: rounding took another branch somewhere before. The furthest:");
            output.say(format!("          {}", report::errors(drift)));
        }
        output.say(match self.same_bits {
            true => "          sharing memory and running all nodes together left the same bits behind",
            false => {
                "          sharing memory and running all nodes together agrees within tolerance, but not in every bit"
            }
        });
    }
}
