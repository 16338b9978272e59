//! `wgrad train`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;
use wgrad::Error;
use wgrad::data::{Dataset, Split};
use wgrad::report::{Findings, Score};
use wgrad::train::flow::{Kind, Verdict};
use wgrad::train::recipe::Recipe;
use wgrad::train::run::{DeviceRecord, Figures, RunDir, RunRecord, RunWriter, Status};
use wgrad::train::{Augmentation, Board, Event, OptimizerConfig, Outcome, Schedule, TrainConfig, Trainer};

use super::args::{LearningArgs, TrainArgs};
use super::bar::Bar;
use super::live::Live;
use super::output::{Output, complain};
use super::{open, report, text, tune};

/// Trains as asked.
pub fn run(args: &TrainArgs, started: Instant) -> Result<()> {
    let output = Output::new(args.result.json);
    // Everything that can be refused is refused before any work.
    let named = args.result.out.as_deref().map(|path| RunDir::check(path, args.result.overwrite)).transpose()?;
    let recipe = recipe(args)?;
    let watch = args.watch.configuration()?;
    let mut live = args.result.live.map(Live::bind).transpose()?;
    output.say(format!("wgrad {}\n", env!("CARGO_PKG_VERSION")));
    let device = open::device(&args.device)?;
    open::introduce(&output, &device);
    open::warn_of_software(&output, &device);
    let data = open::data_of(&output, &recipe.data, args.subject.data.pictures)?;
    let network = recipe.network(data.train.shape, data.classes.len())?;
    let config = TrainConfig { watch, ..recipe.config(data.train.len()) };
    config.check(data.train.len())?;
    report::summary(&output, &network.summary(config.batch)?);
    let directory = match named {
        Some(directory) => directory,
        None => RunDir::check(&free(&network.name), false)?,
    };
    if args.tune {
        tune::tuned(&output, &device, &network, &config, tune::SECONDS)?;
    }
    let mut trainer = Trainer::new(&device, &network, &data, &config)?;
    if let Some(every) = args.shadow_check {
        trainer.shadow_check(every)?;
    }
    if args.result.explain_plan {
        report::plan(&output, &trainer.plan(), trainer.fusions(), trainer.traffic());
    }
    let record = RunRecord::new(&trainer);
    report::intentions(&output, &trainer, record.data.held_out_images, config.micro_batch);
    let board = args.watch.tensorboard.as_deref().map(|folder| board(folder, directory.path())).transpose()?;
    let writer = directory.begin(&record)?;
    let run = writer.path().display().to_string();
    output.say(format!("saving    {run}"));
    if let Some(live) = &mut live {
        live.serve(writer.path());
        output.say(format!("live      {}", live.address));
    }
    output.say("");
    let address = live.as_ref().map(|live| live.address.as_str());
    output.event(&start(&trainer, &data, &record, (&run, address)));
    let bar = Bar::new(config.epochs);
    catch_signals(trainer.stop_flag(), bar.clone())?;
    let stop = trainer.stop_flag();
    let every = args.result.log_every;
    let follower =
        Follower { output: &output, bar, writer, board, every, stop, started, first_step: None, steps: 0, told: None };
    let page = !args.result.no_report;
    Training { trainer, follower, record, run, test: &data.test, page }.go()
}

/// The recipe, with what the command line says instead.
fn recipe(args: &TrainArgs) -> Result<Recipe> {
    let mut recipe = open::whole_recipe(args.recipe.as_deref())?;
    if let Some(word) = &args.subject.network {
        recipe.network = open::recipe(word)?.network;
    }
    recipe.data = args.subject.data.applied(recipe.data);
    recipe.data.validation = args.learning.validation.or(recipe.data.validation);
    recipe.train = configure(&args.learning, recipe.train)?;
    Ok(recipe)
}

/// The configuration, with what the command line says instead.
fn configure(args: &LearningArgs, recipe: TrainConfig) -> Result<TrainConfig> {
    let named = args.optimizer.as_deref().map(OptimizerConfig::named).transpose()?.unwrap_or(recipe.optimizer);
    if let Some(decay) = args.weight_decay.filter(|decay| !(decay.is_finite() && *decay >= 0.0)) {
        anyhow::bail!("--weight-decay {decay} must be a number from 0");
    }
    Ok(TrainConfig {
        epochs: args.epochs.unwrap_or(recipe.epochs),
        steps: args.steps.or(recipe.steps),
        batch: args.batch.unwrap_or(recipe.batch),
        micro_batch: args.micro_batch.or(recipe.micro_batch),
        lr: args.lr.unwrap_or(recipe.lr),
        schedule: args.schedule.as_deref().map(Schedule::parse).transpose()?.unwrap_or(recipe.schedule),
        optimizer: args.weight_decay.map_or(named, |decay| named.with_weight_decay(decay)),
        seed: args.seed.unwrap_or(recipe.seed),
        label_smoothing: args.label_smoothing.unwrap_or(recipe.label_smoothing),
        clip_norm: args.clip_norm.or(recipe.clip_norm),
        clip_value: args.clip_value.or(recipe.clip_value),
        clip_weights: args.clip_weights.or(recipe.clip_weights),
        validation: recipe.validation,
        patience: args.patience.or(recipe.patience),
        augment: args.augment.as_deref().map(Augmentation::parse).transpose()?.unwrap_or(recipe.augment),
        no_fuse: if args.no_fuse.is_empty() { recipe.no_fuse } else { args.no_fuse.clone() },
        watch: recipe.watch,
    })
}

/// A directory below `runs` that does not exist yet, named by time and network.
pub fn free(network: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let network: String = network.chars().map(plain).collect();
    let name = format!("{}-{network}", jiff::Zoned::now().strftime("%Y-%m-%d-%H%M%S"));
    let candidates = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    let mut paths = candidates.map(|name| Path::new("runs").join(name));
    paths.find(|path| path.symlink_metadata().is_err()).unwrap_or_default()
}

/// The event file of a run for TensorBoard.
fn board(folder: &Path, run: &Path) -> Result<Board> {
    let name = run.file_name().map_or_else(|| PathBuf::from("run"), PathBuf::from);
    Ok(Board::create(&folder.join(name))?)
}

/// The first line for programs.
fn start(
    trainer: &Trainer,
    data: &Dataset,
    record: &RunRecord,
    (run, live): (&str, Option<&str>),
) -> serde_json::Value {
    let DeviceRecord { name, kind, backend, driver } = &record.device;
    json!({
        "event": "start", "wgrad": record.wgrad, "run": run, "live": live, "device": name, "kind": kind, "backend": backend,
        "driver": driver, "why": trainer.device().why(), "data": record.data, "image": data.train.shape,
        "classes": data.classes, "network": record.network.name, "parameters": trainer.layout().trained(),
        "config": record.config, "seed": record.seed, "steps_per_epoch": trainer.steps_per_epoch(),
        "dropped_images": trainer.dropped(),
        "validation": if trainer.holds_out() { "held out" } else { "test images" },
        "memory_bytes": record.memory_bytes,
    })
}

/// The first signal ends the run in order, the second one at once.
fn catch_signals(stop: Arc<AtomicBool>, bar: Bar) -> Result<()> {
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            bar.clear();
            std::process::exit(130);
        }
        bar.aside(|| complain("stopping: the run will be evaluated and saved; Ctrl-C again gives it up"));
    };
    ctrlc::set_handler(handler).context("Ctrl-C cannot be caught")
}

/// Follows a run: shows it, and writes its metrics.
struct Follower<'a> {
    output: &'a Output,
    bar: Bar,
    writer: RunWriter,
    board: Option<Board>,
    every: u64,
    stop: Arc<AtomicBool>,
    started: Instant,
    first_step: Option<f64>,
    /// Steps done.
    steps: u64,
    /// The verdict whose cures were shown last.
    told: Option<Kind>,
}

impl Follower<'_> {
    fn observe(&mut self, event: &Event, epochs: u64) {
        let written = match event {
            Event::FirstStep(_) => {
                self.first_step = Some(self.started.elapsed().as_secs_f64());
                Ok(())
            }
            Event::Progress(progress) => {
                self.bar.advance(progress);
                self.steps = progress.total;
                if let Some(last) = progress.recent.last() {
                    self.output.event(&json!({
                        "event": "step", "epoch": progress.epoch, "step": progress.total, "loss": progress.loss,
                        "accuracy": progress.accuracy, "gradient_norm": last.gradient_norm, "lr": last.lr,
                        "images_per_second": progress.images_per_second,
                    }));
                }
                let mut due = progress.recent.iter().filter(|figures| figures.step.is_multiple_of(self.every));
                due.try_for_each(|figures| {
                    let shown = self.board.as_mut().map_or(Ok(()), |board| board.step(figures));
                    self.writer.step(progress, figures).and(shown)
                })
            }
            Event::Flow(flow) => {
                self.output.event(&flow.json());
                let shown = self.board.as_mut().map_or(Ok(()), |board| board.flow(flow));
                self.writer.flow(flow).and(shown)
            }
            Event::Verdict(verdict) => {
                self.output.event(&verdict.json());
                self.bar.aside(|| self.output.say(report::change(verdict)));
                self.told = Some(verdict.kind);
                self.writer.verdict(verdict)
            }
            Event::Epoch(report) => {
                self.output.event(&report.json());
                self.bar.aside(|| self.output.say(report::epoch(report, epochs)));
                let shown = self.board.as_mut().map_or(Ok(()), |board| board.epoch(report, self.steps));
                let written = self.writer.epoch(report).and(shown);
                match &report.verdict {
                    Some(verdict) => written.and(self.verdict(verdict)),
                    None => written,
                }
            }
        };
        if let Err(error) = written {
            // The weights are worth more than a line about them.
            self.bar.aside(|| complain(&format!("warning: {error}")));
        }
        if self.output.silenced() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// The verdict at the end of an epoch; its cures are shown once.
    fn verdict(&mut self, verdict: &Verdict) -> wgrad::Result<()> {
        self.output.event(&verdict.json());
        let known = self.told == Some(verdict.kind);
        self.bar.aside(|| self.output.say(report::verdict(verdict, !known)));
        self.told = Some(verdict.kind);
        self.writer.verdict(verdict)
    }
}

/// A run from its first step to its last file.
struct Training<'a> {
    trainer: Trainer,
    follower: Follower<'a>,
    record: RunRecord,
    run: String,
    test: &'a Split,
    /// Whether the run gets a page.
    page: bool,
}

impl Training<'_> {
    fn go(mut self) -> Result<()> {
        self.follower.output.say(report::EPOCH_HEADING);
        let epochs = self.record.config.epochs;
        let (trainer, follower) = (&mut self.trainer, &mut self.follower);
        let ended = pollster::block_on(trainer.fit(|event| follower.observe(&event, epochs)));
        self.follower.bar.clear();
        self.record.steps = self.trainer.steps();
        match ended {
            Ok(outcome) => self.finish(&outcome),
            Err(error) => self.fail(error),
        }
    }

    /// Saves the weights.
    fn save(&mut self) -> wgrad::Result<()> {
        let state = pollster::block_on(self.trainer.state())?;
        self.follower.writer.model(self.trainer.network(), self.trainer.layout(), &state, self.trainer.batches())
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        self.record.ending = outcome.ending.into();
        self.record.figures = Some(Figures::new(outcome, self.follower.first_step));
        if let Err(error) = self.save() {
            return self.fail(error);
        }
        self.follower.writer.record(&self.record)?;
        if let Some(shadow) = self.trainer.shadow() {
            report::shadow(self.follower.output, shadow);
        }
        let page = self.write_page(Some(outcome));
        let first_step = self.follower.first_step;
        report::end(self.follower.output, outcome, self.test.len(), first_step, (&self.run, page.as_deref()));
        self.last_line(page.as_deref());
        self.follower.output.finish()
    }

    /// Saves what can be saved of a run that failed, and answers why it did.
    fn fail(&mut self, error: Error) -> Result<()> {
        self.record.ending = match &error {
            Error::Diverged { .. } => Status::Diverged,
            Error::Disagreed { story, .. } => {
                self.follower.output.say(format!("\n{story}"));
                Status::Disagreed
            }
            _ => Status::Failed,
        };
        // The device's memory outlives every failure but its own.
        let diverged = self.record.ending != Status::Failed;
        self.record.error = Some(error.to_string());
        let saved = if diverged { self.save() } else { Ok(()) };
        let recorded = self.follower.writer.record(&self.record);
        let page = self.write_page(None);
        self.last_line(page.as_deref());
        let after = match (diverged, saved.and(recorded)) {
            (true, Ok(())) => {
                let steps = text::counted(self.record.steps, "step");
                format!("; the last good state, after {steps}, is in {}", self.run)
            }
            (_, Err(problem)) => format!("; the last good state could not be saved: {problem}"),
            (false, Ok(())) => format!("; its metrics are in {}", self.run),
        };
        Err(anyhow::anyhow!("{error}{after}"))
    }

    /// Writes the run's page, with what the test images showed where the run came to its end; a page that fails costs no run.
    fn write_page(&mut self, outcome: Option<&Outcome>) -> Option<String> {
        if !self.page {
            return None;
        }
        let lacking = |error: Error| {
            complain(&format!("warning: the page lacks what the test images showed: {error}"));
            format!("Nobody asked the network: {error}.")
        };
        let findings = match outcome {
            Some(outcome) => pollster::block_on(self.find(outcome)).map_err(lacking),
            None => {
                Err("The run did not come to its end; `wgrad report` scores the weights that it left, if any.".into())
            }
        };
        let score = match &findings {
            Ok(findings) => Score::Found(findings),
            Err(why) => Score::Missing(why),
        };
        match wgrad::report::write(self.follower.writer.path(), score) {
            Ok(file) => Some(file.display().to_string()),
            Err(error) => {
                complain(&format!("warning: the run has no page: {error}"));
                None
            }
        }
    }

    async fn find(&mut self, outcome: &Outcome) -> wgrad::Result<Findings> {
        let state = self.trainer.state().await?;
        let trainer = &self.trainer;
        Findings::new(trainer.device(), trainer.network(), &state, self.test, &outcome.test).await
    }

    /// The last line for programs.
    fn last_line(&self, page: Option<&str>) {
        let (record, figures) = (&self.record, self.record.figures.as_ref());
        self.follower.output.event(&json!({
            "event": "end", "ending": record.ending, "error": record.error,
            "test_accuracy": figures.map(|figures| figures.test_accuracy),
            "test_loss": figures.map(|figures| figures.test_loss),
            "images_per_second": figures.map(|figures| figures.images_per_second),
            "seconds": figures.map(|figures| figures.seconds),
            "total_seconds": self.follower.started.elapsed().as_secs_f64(),
            "first_step_seconds": self.follower.first_step, "steps": record.steps,
            "epochs": figures.map(|figures| figures.epochs), "seed": record.seed, "network": record.network.name,
            "device": record.device.name, "backend": record.device.backend, "run": self.run,
            "page": page,
            "shadow": self.trainer.shadow(),
        }));
    }
}
