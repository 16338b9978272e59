//! Options of the commands that score a run: `evaluate` and `report`.

use std::path::PathBuf;

use clap::Args;

use super::{DeviceArgs, MirrorArgs, SkipArgs};

/// A run, and the test images that it is scored on.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Directory of a run
    pub run: PathBuf,
    /// Data set whose test images are scored, named as for `train`; pictures are brought to the size of the run's
    /// [default: the one that the run was trained on]
    #[arg(long, value_name = "NAME|DIR")]
    pub data: Option<String>,
    #[command(flatten)]
    pub skip: SkipArgs,
    #[command(flatten)]
    pub mirror: MirrorArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}

const EVALUATE_EXAMPLES: &str = "\
Examples:
  wgrad evaluate runs/mnist
  wgrad evaluate runs/mnist --data builtin
  wgrad evaluate runs/mnist --device cpu --json";

/// Options of `evaluate`.
#[derive(Debug, Args)]
#[command(after_help = EVALUATE_EXAMPLES)]
pub struct EvaluateArgs {
    #[command(flatten)]
    pub score: ScoreArgs,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  wgrad report runs/mnist                          then open runs/mnist/report.html in a browser
  wgrad report runs/mnist --device cpu
  wgrad report flow/                               the page and the plots of `wgrad flow --out flow/`

`train` writes the same page at the end of a run. It is one file that works offline. A run that left no weights gets its page without
what the test images showed.";

/// Options of `report`.
#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct ReportArgs {
    #[command(flatten)]
    pub score: ScoreArgs,
}
