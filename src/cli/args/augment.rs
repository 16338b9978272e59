//! Options of `augment`.

use std::path::PathBuf;

use clap::Args;

use super::{DataArgs, DeviceArgs};

const EXAMPLES: &str = "\
Examples:
  wgrad augment resnet20 --out sheet.png
  wgrad augment my.toml --out sheet.png --images 4 --views 12
  wgrad augment --data mnist --augment rotate:15,scale:0.1,mixup:0.2 --out sheet.png

A row for each image, one class after the other: on the left the image, then how the first training steps would see it. Small
images are enlarged by a whole factor. The pictures are computed by the kernels that training uses.";

/// Options of `augment`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AugmentArgs {
    /// A recipe: a TOML file, or a name that `wgrad recipes` lists [default: reference]
    #[arg(value_name = "RECIPE")]
    pub recipe: Option<String>,
    /// The picture to write, a PNG
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How images are changed, as `wgrad train --help` says it, instead of as the recipe does
    #[arg(long, value_name = "SPEC")]
    pub augment: Option<String>,
    /// Training images, a row each
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub images: u64,
    /// Views of each image
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub views: u64,
    /// Seed of what is drawn [default: 0, or the recipe's]
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}
