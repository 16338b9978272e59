//! Options of `flow`.

use std::path::PathBuf;

use clap::Args;

use super::{DataArgs, DeviceArgs};

const EXAMPLES: &str = "\
Examples:
  wgrad flow                                       the plain network of depth 20, in all versions, on built-in digits
  wgrad flow --depth 20 --data builtin --out flow/
  wgrad flow --depths 4,8,16,32 --versions sigmoid_glorot,relu_he,relu_batch_norm_residual
  wgrad flow my.toml                               your own network, as it is and with or without each cure
  wgrad flow runs/mnist --steps 500
  wgrad flow --reference --json > flow.jsonl       each first step in float64 too

The same network is trained on the same images from the same seed in versions that differ in one thing: some are sick, and
others are these with one cure. The page says which cure worked in this experiment, by how much, and which did not. Versions of
the plain network: sigmoid_small, sigmoid_glorot, sigmoid_large, sigmoid_large_weight_clip, tanh_glorot, tanh_large,
tanh_large_weight_clip, relu_glorot, relu_he, relu_hot, relu_hot_gradient_clip, relu_hot_lr_decay, sigmoid_batch_norm,
relu_batch_norm, relu_residual, relu_batch_norm_residual. Ctrl-C ends it; versions that are done stay.";

/// Options of `flow`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct FlowArgs {
    /// A network of your own: the directory of a run, a recipe's file, or a name that `wgrad recipes` lists [default: the plain deep
    /// network in sixteen versions]
    #[arg(value_name = "RUN_OR_RECIPE")]
    pub subject: Option<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Convolutions of the plain network [default: 20]
    #[arg(long, value_name = "N", conflicts_with_all = ["depths", "subject"], value_parser = depth)]
    pub depth: Option<usize>,
    /// Repeat it for each of these depths
    #[arg(long, value_name = "N,N", value_delimiter = ',', conflicts_with = "subject", value_parser = depth)]
    pub depths: Vec<usize>,
    /// Train these versions alone
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub versions: Vec<String>,
    /// Training steps of each version
    #[arg(long, default_value_t = 250, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// Images a step [default: 64, or the recipe's or run's]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Seed of the initial weights and of the order of the images [default: 0, or the recipe's or run's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Measure the gradients in the first step, in each N-th after it and in the last one [default: a fortieth of the steps]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub watch: Option<u64>,
    /// Move where a verdict about the gradients begins, as `train --help` lists them
    #[arg(long, value_name = "NAME=VALUE")]
    pub flow_threshold: Vec<String>,
    /// Repeat each version's first step in float64 on the CPU, and say how far the device's gradients are off
    #[arg(long)]
    pub reference: bool,
    #[command(flatten)]
    pub data: DataArgs,
    /// Directory for the page, the plots and a run of each version [default: runs/DATE-TIME-flow]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the experiment that is in --out
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object a version on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}

/// A depth; more than this is no experiment but a typing mistake.
fn depth(text: &str) -> Result<usize, String> {
    const MOST: usize = 1000;
    let number = text.trim().parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("`{text}` is no depth from 1 to {MOST}"))
}
