//! The directory of an experiment: `flow.json` says what was done and what every version showed, and each version is a run in a
//! directory of its own. The record is replaced after each version, so that nothing is lost that was measured.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Heals, Measurement, Version};
use crate::error::{Error, Result};
use crate::format::write_atomic;
use crate::train::run::{self, DataRecord, DeviceRecord, PAGE, RunDir};

/// The description of an experiment.
pub const RECORD: &str = "flow.json";

/// How an experiment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on, or was killed.
    Running,
    /// All versions were measured.
    Finished,
    /// Somebody stopped it.
    Interrupted,
    /// The device failed, or a file could not be written.
    Failed,
}

/// A version, as an experiment remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// What sets it apart.
    pub says: String,
    /// What it is a cure of.
    pub heals: Vec<Heals>,
}

impl From<&Version> for Planned {
    fn from(version: &Version) -> Self {
        let Version { name, says, heals, .. } = version;
        Self { name: name.clone(), says: says.clone(), heals: heals.clone() }
    }
}

/// All that is known about an experiment but its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the program.
    pub wgrad: String,
    /// When it began, with the offset from UTC.
    pub started: String,
    /// How it stands.
    pub state: State,
    /// What is varied: `deep_plain`, or a network of one's own.
    pub network: String,
    /// The depths.
    pub depths: Vec<usize>,
    /// Steps of each version.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Seed of all.
    pub seed: u64,
    /// The data.
    pub data: DataRecord,
    /// Number of classes.
    pub classes: usize,
    /// The device.
    pub device: DeviceRecord,
    /// The versions, in the order in which they are trained at each depth.
    pub versions: Vec<Planned>,
    /// What those that are done showed.
    pub measured: Vec<Measurement>,
}

impl Record {
    /// What the version of this name showed at this depth.
    pub fn find(&self, version: &str, depth: usize) -> Option<&Measurement> {
        self.measured.iter().find(|measured| measured.version == version && measured.depth == depth)
    }

    /// Where the run of a version goes, seen from the experiment's directory.
    pub fn run_of(&self, version: &str, depth: usize) -> String {
        if self.depths.len() > 1 { format!("depth_{depth}/{version}") } else { version.to_owned() }
    }
}

/// The directory that an experiment may write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    overwrite: bool,
}

impl Place {
    /// Decides whether an experiment may go to `path`, and tries to write there; leaves no trace.
    ///
    /// # Errors
    /// [`Error::File`] where something is there already (but `overwrite` allows an experiment), or nothing can be written.
    pub fn check(path: &Path, overwrite: bool) -> Result<Self> {
        run::check_place(path, overwrite, ("experiment", RECORD))?;
        Ok(Self { path: path.to_owned(), overwrite })
    }

    /// Makes the directory, removes the record and the page of an experiment that was in it, and writes the new one's record.
    ///
    /// # Errors
    /// [`Error::File`] where that is impossible.
    pub fn begin(&self, record: &Record) -> Result<()> {
        std::fs::create_dir_all(&self.path)
            .map_err(|error| Error::file(&self.path, format!("cannot be made: {error}")))?;
        let page = self.path.join(PAGE);
        if page.exists() {
            std::fs::remove_file(&page).map_err(|error| Error::file(&page, format!("cannot be removed: {error}")))?;
        }
        self.write(record)
    }

    /// Replaces `flow.json`.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn write(&self, record: &Record) -> Result<()> {
        let path = self.path.join(RECORD);
        let text = serde_json::to_string_pretty(record).map_err(|error| Error::file(&path, error))?;
        write_atomic(&path, format!("{text}\n").as_bytes())
    }

    /// Where a version's run goes: see [`Record::run_of`].
    ///
    /// # Errors
    /// [`Error::File`] where something is in its way.
    pub fn run(&self, name: &str) -> Result<RunDir> {
        RunDir::check(&self.path.join(name), self.overwrite)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads what is known of the experiment in `path`.
///
/// # Errors
/// [`Error::File`] where there is no experiment, or its record is damaged.
pub fn read_record(path: &Path) -> Result<Record> {
    let file = path.join(RECORD);
    if !file.exists() {
        return Err(Error::file(path, format!("is no experiment: it holds no {RECORD}")));
    }
    let text =
        std::fs::read_to_string(&file).map_err(|error| Error::file(&file, format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| Error::file(&file, format!("is damaged: {error}")))
}
