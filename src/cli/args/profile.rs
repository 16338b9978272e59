//! Options of `profile`.

use std::path::PathBuf;

use clap::Args;

use super::{DeviceArgs, ImageArgs};

const EXAMPLES: &str = "\
Examples:
  wgrad profile reference
  wgrad profile residual_bn --batch 128 --html profile.html
  wgrad profile mine.toml --trace trace.json       open it in ui.perfetto.dev or chrome://tracing
  wgrad profile reference --wall-clock --json

Dispatches are measured with the adapter's timestamps, one pass each; between these steps others run as training runs them.
What the dispatches do not explain of an ordinary step is shown as the rest. Images and labels are made up, and the learning
rate is zero, so nothing is learnt and no file is needed.";

/// Options of `profile`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProfileArgs {
    /// A name that `wgrad networks` lists, a TOML file (recipe or network), or the directory of a run
    #[arg(default_value = "reference", value_name = "NETWORK|FILE|RUN")]
    pub network: String,
    /// Images a step [default: 64, or the recipe's or run's]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Steps that are taken apart [default: 20, or 3 with --device cpu]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    #[command(flatten)]
    pub images: ImageArgs,
    /// Submit each dispatch alone and wait for it, as where the adapter has no timestamps
    #[arg(long)]
    pub wall_clock: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Draw it on a page that needs no network
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write every measured dispatch, and what the host did, as a trace for Perfetto or Chrome
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Print one JSON object a node and an operator and a last one with the sums, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}
