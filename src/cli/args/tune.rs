//! Options of `tune`.

use std::path::PathBuf;

use clap::Args;

use super::{DeviceArgs, ImageArgs};

const EXAMPLES: &str = "\
Examples:
  wgrad tune reference
  wgrad tune residual_bn --batch 128
  wgrad tune mine.toml --image 32x32x3 --seconds 30
  wgrad train --network mine.toml --tune           the same, then train

Of each node of a training step the few kernels that are proven and likely are timed on made-up numbers. What is found is
remembered in the cache directory for this adapter, driver and shape, and used by every later run until one of them changes.
A kernel takes the place of the one that was guessed only if it is at least 3 % faster.";

/// Options of `tune`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TuneArgs {
    /// A name that `wgrad networks` lists, a TOML file (recipe or network), or the directory of a run
    #[arg(default_value = "reference", value_name = "NETWORK|FILE|RUN")]
    pub network: String,
    /// Images a step [default: 64, or the recipe's or run's]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Seconds that it may take; proving kernels that are not proven yet is not counted
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Add the kernels that are faster than the guess to a file of choices, as one comes with the program
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    #[command(flatten)]
    pub images: ImageArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object a kind of node and a last one with the sums, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}
