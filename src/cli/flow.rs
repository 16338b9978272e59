//! `wgrad flow`: the experiment on vanishing gradients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use serde_json::json;
use wgrad::data::Dataset;
use wgrad::report::experiment as page;
use wgrad::session::Device;
use wgrad::train::experiment::claims::{effects, written};
use wgrad::train::experiment::{
    Common, Measurement, Place, Record, State, Trial, Tried, Version, Worth, own, versions,
};
use wgrad::train::flow::Thresholds;
use wgrad::train::recipe::DataRecipe;
use wgrad::train::run::{DataRecord, read_record};
use wgrad::train::{Event, TrainConfig};

use super::args::FlowArgs;
use super::bar::Bar;
use super::output::{Output, complain};
use super::{open, text, train};

/// Convolutions of the plain network, where nobody says another number.
const DEPTH: usize = 20;
/// Columns that a sentence takes at most.
const WIDTH: usize = 118;

/// Runs the experiment.
pub fn run(args: &FlowArgs) -> Result<()> {
    let output = Output::new(args.json);
    // Everything that can be refused is refused before any work.
    let out = args.out.clone().unwrap_or_else(|| train::free("flow"));
    let place = Place::check(&out, args.overwrite)?;
    let mut thresholds = Thresholds::default();
    args.flow_threshold.iter().try_for_each(|assignment| thresholds.set(assignment))?;
    output.say(format!("wgrad {}\n", env!("CARGO_PKG_VERSION")));
    let device = open::device(&args.device)?;
    open::introduce(&output, &device);
    open::warn_of_software(&output, &device);
    let Subject { network, data, depths } = subject(&output, args, thresholds)?;
    let (record, planned) = plan(&device, network, &data, &depths);
    for (depth, version) in &planned {
        version.config.check(data.train.len())?;
        place.run(&record.run_of(&version.name, *depth))?;
    }
    let steps = text::counted(record.steps, "step");
    let (count, batch) = (text::counted(planned.len() as u64, "version"), text::counted(record.batch as u64, "image"));
    output.say(format!("training  {count} of {}, {steps} of {batch} each · seed {}", record.network, record.seed));
    output.say(format!("saving    {}\n", out.display()));
    output.event(&json!({
        "event": "start", "wgrad": record.wgrad, "out": out.display().to_string(), "device": record.device.name,
        "backend": record.device.backend, "data": record.data, "network": record.network, "depths": record.depths,
        "steps": record.steps, "batch": record.batch, "seed": record.seed, "versions": record.versions,
    }));
    place.begin(&record)?;
    let stop = Arc::new(AtomicBool::new(false));
    catch_signals(stop.clone())?;
    let trial = Trial { device: &device, data: &data, reference: args.reference, stop };
    Experiment { output: &output, place, record, trial }.go(planned)
}

/// What is varied, and on what.
struct Subject {
    network: String,
    data: Dataset,
    /// The versions at each depth.
    depths: Vec<(usize, Vec<Version>)>,
}

fn subject(output: &Output, args: &FlowArgs, thresholds: Thresholds) -> Result<Subject> {
    let common = |config: &TrainConfig| Common {
        steps: args.steps,
        batch: args.batch.unwrap_or(config.batch),
        seed: args.seed.unwrap_or(config.seed),
        watch: args.watch.unwrap_or(0),
    };
    let watched = |mut versions: Vec<Version>| {
        versions.iter_mut().for_each(|version| version.config.watch.thresholds = thresholds);
        versions
    };
    let own = |network, config: TrainConfig, data: Dataset| {
        let config = common(&config).applied(config, data.train.len());
        let all = watched(own::versions(&network, &config, &args.versions)?);
        let depth = all.first().map_or(0, Version::weighted);
        Ok(Subject { network: network.name, data, depths: vec![(depth, all)] })
    };
    let Some(word) = &args.subject else {
        let data = open::data_of(output, &args.data.applied(DataRecipe::default()), args.data.pictures)?;
        let (image, classes, images) = (data.train.shape, data.classes.len(), data.train.len());
        let common = common(&TrainConfig::default());
        let mut depths = if args.depths.is_empty() { vec![args.depth.unwrap_or(DEPTH)] } else { args.depths.clone() };
        depths.sort_unstable();
        depths.dedup();
        let of_depth = |depth| {
            let versions = versions::of_depth(depth, image, classes, images, common, &args.versions)?;
            Ok((depth, watched(versions)))
        };
        let depths = depths.into_iter().map(of_depth).collect::<wgrad::Result<_>>()?;
        return Ok(Subject { network: "deep_plain".into(), data, depths });
    };
    let path = Path::new(word);
    if !path.is_dir() {
        let mut recipe = open::recipe_named(word, "RUN_OR_RECIPE may also be the directory of a run")?;
        recipe.data = args.data.applied(recipe.data);
        let data = open::data_of(output, &recipe.data, args.data.pictures)?;
        let network = recipe.network(data.train.shape, data.classes.len())?;
        // The schedule is that of the steps that are asked for here.
        recipe.train = common(&recipe.train).applied(recipe.train, data.train.len());
        let config = recipe.config(data.train.len());
        return own(network, config, data);
    }
    let record = read_record(path)?;
    let data = open::data_of_run(output, &record, &args.data)?;
    own(record.network, record.config, data)
}

/// The record of an experiment that has not begun, and its versions with their depths.
fn plan(
    device: &Device,
    network: String,
    data: &Dataset,
    depths: &[(usize, Vec<Version>)],
) -> (Record, Vec<(usize, Version)>) {
    let planned: Vec<(usize, Version)> =
        depths.iter().flat_map(|(depth, all)| all.iter().map(|version| (*depth, version.clone()))).collect();
    let config = planned.first().map(|(_, version)| version.config.clone()).unwrap_or_default();
    let versions = depths.first().map(|(_, all)| all.iter().map(Into::into).collect()).unwrap_or_default();
    let record = Record {
        wgrad: env!("CARGO_PKG_VERSION").into(),
        started: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        state: State::Running,
        network,
        depths: depths.iter().map(|(depth, _)| *depth).collect(),
        steps: config.steps.unwrap_or(0),
        batch: config.batch,
        seed: config.seed,
        data: DataRecord::new(data, 0),
        classes: data.classes.len(),
        device: device.into(),
        versions,
        measured: Vec::new(),
    };
    (record, planned)
}

/// The first signal ends the version that is trained, the second one the program.
fn catch_signals(stop: Arc<AtomicBool>) -> Result<()> {
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        complain("stopping: versions that are done stay; Ctrl-C again ends it at once");
    };
    ctrlc::set_handler(handler).context("Ctrl-C cannot be caught")
}

/// An experiment under way.
struct Experiment<'a> {
    output: &'a Output,
    place: Place,
    record: Record,
    trial: Trial<'a>,
}

impl Experiment<'_> {
    fn go(mut self, planned: Vec<(usize, Version)>) -> Result<()> {
        let width = planned.iter().map(|(_, version)| version.name.len()).max().unwrap_or(0).max(7);
        self.output.say(format!(
            "  {:width$}  depth  first/last layer's gradient     test loss  accuracy      time  verdict\n  {:width$}  {:>22}  at the end",
            "version", "", "at the start"
        ));
        let count = planned.len();
        let mut failed = None;
        for (index, (depth, version)) in planned.into_iter().enumerate() {
            let mut bar = Bar::of(format!("{}/{count} {}", index + 1, version.name), self.record.steps);
            let run = self.record.run_of(&version.name, depth);
            let output = self.output;
            let observe = |event: &Event| {
                if let Event::Progress(progress) = event {
                    bar.advance(progress);
                }
                if output.silenced() {
                    self.trial.stop.store(true, Ordering::Relaxed);
                }
            };
            let directory = self.place.run(&run)?;
            let tried = pollster::block_on(self.trial.run(&version, depth, (directory, run), observe));
            bar.clear();
            match tried {
                Ok(Tried::Measured(measured)) => {
                    self.output.event(&event(&measured));
                    self.output.say(line(&measured, width));
                    self.record.measured.push(*measured);
                    self.place.write(&self.record)?;
                }
                Ok(Tried::Interrupted) => {
                    self.record.state = State::Interrupted;
                    self.output
                        .say(format!("  {:width$}  interrupted; {index} of {count} versions are done", version.name));
                    break;
                }
                Err(error) => {
                    self.record.state = State::Failed;
                    failed =
                        Some(anyhow::Error::from(error).context(format!("version {} cannot be trained", version.name)));
                    break;
                }
            }
        }
        if self.record.state == State::Running {
            self.record.state = State::Finished;
        }
        self.place.write(&self.record)?;
        self.end(failed)
    }

    fn end(self, failed: Option<anyhow::Error>) -> Result<()> {
        let Self { output, place, record, .. } = self;
        let found = effects(&record);
        let several = record.depths.len() > 1;
        for worth in Worth::ALL {
            let told: Vec<String> =
                found.iter().filter(|effect| effect.worth == worth).map(|effect| effect.sentence(several)).collect();
            if !told.is_empty() {
                output.say(format!("\n{}", worth.heading()));
            }
            let wrap = textwrap::Options::new(WIDTH).initial_indent("  ").subsequent_indent("    ");
            told.iter().for_each(|sentence| output.say(textwrap::fill(sentence, &wrap)));
        }
        let pages = match page::write(place.path()) {
            Ok(written) => {
                written.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
                output.say(format!("\npage      {}\nplots     {}", written.page.display(), written.plots.display()));
                Some(written)
            }
            Err(error) => {
                complain(&format!("warning: the experiment has no page: {error}"));
                None
            }
        };
        let shown = |path: &PathBuf| path.display().to_string();
        output.event(&json!({
            "event": "end", "state": record.state, "versions": record.measured.len(), "out": place.path().display().to_string(),
            "page": pages.as_ref().map(|pages| shown(&pages.page)), "plots": pages.as_ref().map(|pages| shown(&pages.plots)),
            "effects": found.iter().map(|effect| json!({
                "cure": effect.cured.version, "sick": effect.sick.version, "depth": effect.cured.depth, "by": effect.by,
                "worth": effect.worth, "words": effect.sentence(several),
            })).collect::<Vec<_>>(),
        }));
        failed.map_or_else(|| output.finish(), Err)
    }
}

/// A version for programs.
fn event(measured: &Measurement) -> serde_json::Value {
    let mut event = serde_json::Map::from_iter([("event".to_owned(), "version".into())]);
    if let Ok(serde_json::Value::Object(object)) = serde_json::to_value(measured) {
        event.extend(object);
    }
    event.into()
}

/// A version for people.
fn line(measured: &Measurement, width: usize) -> String {
    let Measurement { version, depth, loss, accuracy, verdict, seconds, .. } = measured;
    let missing = || "none".to_owned();
    let mut line = format!(
        "  {version:width$}  {depth:>5}  {:>15}  {:>10}  {:>12}  {:>8}  {:>8}  {}",
        written(measured.first_over_last_start),
        written(measured.first_over_last_end),
        loss.map_or_else(missing, text::loss),
        accuracy.map_or_else(missing, text::percent),
        text::duration(*seconds),
        verdict.words(),
    );
    if measured.error.is_some() {
        line += &format!(", left the finite numbers after {}", text::counted(measured.steps, "step"));
    }
    if let (Some(float64), Some(device)) = (measured.first_over_last_start_float64, measured.first_over_last_start) {
        let off = 100.0 * (device / float64 - 1.0).abs();
        line += &format!("\n  {:width$}  {:>5}  {:>15}  in float64, {off:.4} % off", "", "", written(Some(float64)));
    }
    line
}
