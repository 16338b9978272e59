//! The directory that a run leaves behind: `run.json` says what was done, `model.safetensors` holds the trained weights
//! under PyTorch's names, and `metrics.jsonl` has a line for every few steps and for every epoch. [`crate::report`] makes a page
//! of them, `report.html`.
//!
//! `run.json` is there from the first step on, so an unfinished run is recognised as one. Whole files are replaced
//! wholly or not at all; metrics are appended and flushed.

mod data;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::config::TrainConfig;
use super::events::{Ending, EpochReport, Outcome, Progress, StepFigures};
use super::flow::{Flow, Verdict};
use crate::error::{Error, Result};
use crate::format::{self, NamedTensor, write_atomic};
use crate::nn::{Layer, Layout, Network};
use crate::session::{Device, PlanRow};

pub use data::DataRecord;

/// The description of a run.
pub const RECORD: &str = "run.json";
/// The trained weights.
pub const MODEL: &str = "model.safetensors";
/// What was measured on the way.
pub const METRICS: &str = "metrics.jsonl";
/// The run as a page.
pub const PAGE: &str = "report.html";

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It trains, or was killed.
    Running,
    /// All epochs are done.
    Finished,
    /// The validation loss no longer fell.
    Patience,
    /// Somebody stopped it.
    Interrupted,
    /// It left the finite numbers; the weights are the last good ones.
    Diverged,
    /// The device computed a step that was checked wrongly; the weights are those before it.
    Disagreed,
    /// The device failed.
    Failed,
}

impl From<Ending> for Status {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Finished => Self::Finished,
            Ending::Patience => Self::Patience,
            Ending::Interrupted => Self::Interrupted,
        }
    }
}

/// What a run ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The adapter's name.
    pub name: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `CPU` or `other`.
    pub kind: String,
    /// `vulkan`, `metal`, `dx12`, `gl` or `cpu`.
    pub backend: String,
    /// Driver name and version; empty for the CPU session.
    pub driver: String,
}

impl From<&Device> for DeviceRecord {
    fn from(device: &Device) -> Self {
        let (kind, driver) = match device {
            Device::Gpu(gpu) => (gpu.adapter().kind, gpu.adapter().driver.clone()),
            Device::Cpu(_) => ("CPU", String::new()),
        };
        Self { name: device.name(), kind: kind.into(), backend: device.backend().into(), driver }
    }
}

/// One node of the plan that trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Layer and direction.
    pub node: String,
    /// The operator.
    pub operator: String,
    /// The variant that computed it.
    pub variant: String,
    /// How many dispatches that took.
    pub dispatches: usize,
}

impl From<PlanRow> for Variant {
    fn from(row: PlanRow) -> Self {
        let PlanRow { node, operator, variant, dispatches, .. } = row;
        Self { node, operator: operator.into(), variant: variant.into(), dispatches }
    }
}

/// How well and how fast it went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean cross-entropy of the test images.
    #[serde(deserialize_with = "null_is_nan")]
    pub test_loss: f64,
    /// Share of the test images that were told right.
    pub test_accuracy: f64,
    /// Epochs finished.
    pub epochs: u64,
    /// Seconds in training steps.
    pub seconds: f64,
    /// Training images a second.
    pub images_per_second: f64,
    /// Seconds from the start of the program to the end of the first step.
    pub first_step_seconds: Option<f64>,
}

/// JSON has no word for a number that is none.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Figures {
    /// The figures of a finished run.
    pub fn new(outcome: &Outcome, first_step_seconds: Option<f64>) -> Self {
        Self {
            test_loss: outcome.test.loss,
            test_accuracy: outcome.test.accuracy,
            epochs: outcome.epochs,
            seconds: outcome.seconds,
            images_per_second: outcome.images_per_second,
            first_step_seconds,
        }
    }
}

/// All that is known about a run but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of the program that trained.
    pub wgrad: String,
    /// When it began, with the offset from UTC.
    pub started: String,
    /// How it stands.
    pub ending: Status,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// Steps done: the weights are those after the last of them.
    pub steps: u64,
    /// The figures of a run that came to its end.
    pub figures: Option<Figures>,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// What was asked for.
    pub config: TrainConfig,
    /// The network.
    pub network: Network,
    /// Height, width and channels of its images.
    pub input_shape: [usize; 3],
    /// The classes' names.
    pub classes: Vec<String>,
    /// The data.
    pub data: DataRecord,
    /// The device.
    pub device: DeviceRecord,
    /// Bytes of device memory that the plan took.
    pub memory_bytes: u64,
    /// The nodes of a training step with the variants that computed them.
    pub variants: Vec<Variant>,
}

fn problem(path: &Path, what: &str) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::file(path, format!("{what}: {error}"))
}

/// Decides whether `what`, which is known by its file `mark`, may be saved in `path`, and tries to write there; leaves no trace.
///
/// # Errors
/// [`Error::File`] where something is there already (but `overwrite` allows such a thing), or nothing can be written.
pub(super) fn check_place(path: &Path, overwrite: bool, (what, mark): (&str, &str)) -> Result<()> {
    let fail = |problem: String| Err(Error::file(path, problem));
    if path.symlink_metadata().is_err() {
        let missing = path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists());
        let missing: Vec<_> = missing.collect();
        let made = std::fs::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path).map(drop));
        missing.into_iter().for_each(|part| drop(std::fs::remove_dir(part)));
        return made.map_err(problem(path, &format!("cannot be made to save the {what} in")));
    }
    let article = if what.starts_with('e') { "an" } else { "a" };
    let no_place = format!("is no directory that {article} {what} can be saved in");
    let entries = std::fs::read_dir(path).map_err(problem(path, &no_place))?;
    if !overwrite {
        return fail(format!("exists already; choose another --out, or say --overwrite to replace the {what} in it"));
    }
    if entries.count() > 0 && !path.join(mark).is_file() {
        return fail(format!("is not empty and holds no {what}, so --overwrite leaves it alone; choose another --out"));
    }
    tempfile::tempfile_in(path).map(drop).map_err(problem(path, "cannot be written to"))
}

/// A directory that a run may write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    overwrite: bool,
}

impl RunDir {
    /// Decides whether a run may go to `path`, and tries to write there; leaves no trace.
    ///
    /// # Errors
    /// [`Error::File`] where something is there already (but `overwrite` allows a run), or nothing can be written.
    pub fn check(path: &Path, overwrite: bool) -> Result<Self> {
        check_place(path, overwrite, ("run", RECORD))?;
        Ok(Self { path: path.to_owned(), overwrite })
    }

    /// Makes the directory, removes the run that was in it, and writes the new one's record.
    ///
    /// # Errors
    /// [`Error::File`] where that is impossible.
    pub fn begin(self, record: &RunRecord) -> Result<RunWriter> {
        let Self { path, overwrite } = self;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(problem(parent, "cannot be made"))?;
        }
        if let Err(error) = std::fs::create_dir(&path)
            && !(overwrite && path.is_dir())
        {
            return Err(problem(&path, "cannot be made")(error));
        }
        for name in [MODEL, METRICS, PAGE] {
            let old = path.join(name);
            if old.exists() {
                std::fs::remove_file(&old).map_err(problem(&old, "cannot be removed"))?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path.join(METRICS));
        let metrics = file.map_err(problem(&path.join(METRICS), "cannot be written"))?;
        let writer = RunWriter { path, metrics, full: false };
        writer.record(record)?;
        Ok(writer)
    }

    /// Where the run goes.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a run.
#[derive(Debug)]
pub struct RunWriter {
    path: PathBuf,
    metrics: File,
    /// Whether a line could not be written.
    full: bool,
}

impl RunWriter {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces `run.json`.
    pub fn record(&self, record: &RunRecord) -> Result<()> {
        let path = self.path.join(RECORD);
        let text = serde_json::to_string_pretty(record).map_err(|error| Error::file(&path, error))?;
        write_atomic(&path, format!("{text}\n").as_bytes())
    }

    /// Replaces `model.safetensors`, whose layers have seen so many batches.
    pub fn model(&self, network: &Network, layout: &Layout, state: &[Vec<f32>; 2], batches: u64) -> Result<()> {
        let tensors: Vec<NamedTensor> = layout
            .parameters
            .iter()
            .map(|placed| (placed, &state[0]))
            .chain(layout.statistics.iter().map(|placed| (placed, &state[1])))
            .map(|(placed, flat)| NamedTensor {
                name: placed.parameter.name.clone(),
                layout: placed.parameter.layout,
                shape: placed.parameter.shape.clone(),
                data: flat[placed.offset..placed.offset + placed.parameter.len()].to_vec(),
            })
            .collect();
        let counters: Vec<_> = counters(network).into_iter().map(|name| (name, batches as i64)).collect();
        let metadata = BTreeMap::from([("network".to_owned(), network.name.clone())]);
        format::save(&self.path.join(MODEL), &tensors, &counters, &metadata)
    }

    /// Appends a step of those in `progress` to the metrics.
    pub fn step(&mut self, progress: &Progress, figures: &StepFigures) -> Result<()> {
        let StepFigures { step, loss, accuracy, gradient_norm, lr } = figures;
        self.append(&serde_json::json!({
            "event": "step", "epoch": progress.epoch, "step": step, "loss": loss, "accuracy": accuracy,
            "gradient_norm": gradient_norm, "lr": lr, "images_per_second": progress.images_per_second,
        }))
    }

    /// Appends an epoch to the metrics.
    pub fn epoch(&mut self, report: &EpochReport) -> Result<()> {
        self.append(&report.json())
    }

    /// Appends a watched step to the metrics.
    pub fn flow(&mut self, flow: &Flow) -> Result<()> {
        self.append(&flow.json())
    }

    /// Appends a verdict to the metrics.
    pub fn verdict(&mut self, verdict: &Verdict) -> Result<()> {
        self.append(&verdict.json())
    }

    fn append(&mut self, line: &serde_json::Value) -> Result<()> {
        if self.full {
            return Ok(());
        }
        let before = self.metrics.metadata().map(|file| file.len());
        let written = self.metrics.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| {
            self.full = true; // No half line stays, and what room is left belongs to the weights.
            let cut = before.and_then(|length| self.metrics.set_len(length));
            let what = if cut.is_ok() { "takes no more lines" } else { "cannot be written" };
            problem(&self.path.join(METRICS), what)(error)
        })
    }
}

/// Names of the counters that PyTorch keeps for normalisation layers.
fn counters(network: &Network) -> Vec<String> {
    let counted = network.layers.iter().filter(|named| matches!(named.layer, Layer::BatchNorm2d { .. }));
    counted.map(|named| format!("{}.num_batches_tracked", named.name)).collect()
}

/// A run, read from its directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What it says about itself.
    pub record: RunRecord,
    /// The flat buffers of parameters and running statistics.
    pub state: [Vec<f32>; 2],
}

/// Reads a run's description alone.
///
/// # Errors
/// [`Error::File`] where there is no run, or its record is damaged.
pub fn read_record(path: &Path) -> Result<RunRecord> {
    if !path.is_dir() {
        let what = if path.exists() { "is a file, not the directory of a run" } else { "there is no such run" };
        return Err(Error::file(path, what));
    }
    let file = path.join(RECORD);
    if !file.exists() {
        return Err(Error::file(path, format!("is no run: it holds no {RECORD}")));
    }
    let text = std::fs::read_to_string(&file).map_err(problem(&file, "cannot be read"))?;
    let damaged = |what: String| Error::file(&file, format!("is damaged: {what}"));
    let record: RunRecord = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    record.network.check().map_err(|error| damaged(error.to_string()))?;
    Ok(record)
}

/// Reads a run with its weights.
///
/// # Errors
/// [`Error::File`] where there is no run, it never came to an end, a file is damaged or holds a weight that is not
/// finite, or the weights are those of another network.
pub fn read(path: &Path) -> Result<Run> {
    let record = read_record(path)?;
    let model = path.join(MODEL);
    if !model.exists() {
        return Err(Error::file(path, format!("holds no {MODEL}: this run did not come to an end")));
    }
    let (file, layout) = (format::load(&model)?, record.network.layout()?);
    let mut state = [vec![0.0; layout.len], vec![0.0; layout.statistics_len]];
    for (flat, list) in state.iter_mut().zip([&layout.parameters, &layout.statistics]) {
        for placed in list {
            let parameter = &placed.parameter;
            let values = file.tensor(&parameter.name, parameter.layout, &parameter.shape)?;
            flat[placed.offset..placed.offset + values.len()].copy_from_slice(&values);
        }
    }
    let counters = counters(&record.network);
    let named = layout.parameters.iter().chain(&layout.statistics).map(|placed| placed.parameter.name.as_str());
    file.refuse_unexpected(named.chain(counters.iter().map(String::as_str)))?;
    Ok(Run { record, state })
}
