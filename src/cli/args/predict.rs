//! Options of `predict`.

use std::path::PathBuf;

use clap::Args;

use super::DeviceArgs;

const EXAMPLES: &str = "\
Examples:
  wgrad predict runs/mnist digit.png
  wgrad predict runs/mnist --invert scan.jpg       dark ink on light paper
  wgrad predict runs/mnist --top 1 --json *.png

MNIST and the built-in digits are light on dark; of a picture, the largest part in the middle that has the shape of the network's
images is resized to their size.";

/// Options of `predict`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PredictArgs {
    /// Directory of a run
    pub run: PathBuf,
    /// PNG or JPEG pictures of any size
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// How many of the most probable classes to show
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub top: u64,
    /// Swap black and white first, for dark ink on light paper
    #[arg(long)]
    pub invert: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object a picture on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}
