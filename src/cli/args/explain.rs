//! Options of `explain`.

use std::path::PathBuf;

use clap::Args;

use super::DeviceArgs;

const EXAMPLES: &str = "\
Examples:
  wgrad explain runs/mnist digit.png --out maps.png
  wgrad explain runs/cifar cat.jpg --out maps.png --class dog      why a dog, of all things?
  wgrad explain runs/cifar cat.jpg --out maps.png --layer layer2_3_relu2
  wgrad explain runs/mnist digit.png --out maps.png --randomize 1  do the maps depend on what was learnt?
  wgrad explain runs/mnist digit.png --out maps.png --features features.png --filters filters.png

Each picture gets a row: the picture as the network sees it; Grad-CAM over it, what the layer saw that speaks for the class; saliency, where
a small change changes the score most; integrated gradients, what speaks for the class (red) and against it (blue).
Pictures are brought to the network's size as `predict` does it.";

/// Options of `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// Directory of a run
    pub run: PathBuf,
    /// PNG or JPEG pictures of any size
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// PNG file to draw the maps in
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Class whose score is explained [default: the one that the network finds the most probable]
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// Layer whose output Grad-CAM weighs and --features shows [default: the last convolution, behind its activation]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Points of the path along which gradients are integrated
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub steps: u64,
    /// Where that path begins: an image of this brightness everywhere, from 0 (black) to 1 (white)
    #[arg(long, default_value_t = 0.0, value_name = "LEVEL", value_parser = level)]
    pub baseline: f32,
    /// Draw the maps of random weights of this seed too, in a row below each picture's own, and say how alike they are
    #[arg(long, value_name = "SEED")]
    pub randomize: Option<u64>,
    /// PNG file to draw the layer's output in: a square for each channel
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// PNG file to draw the filters of the first convolution in
    #[arg(long, value_name = "FILE")]
    pub filters: Option<PathBuf>,
    /// Swap black and white first, for dark ink on light paper
    #[arg(long)]
    pub invert: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object a picture on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}

/// Reads a brightness.
fn level(text: &str) -> Result<f32, String> {
    let level = text.parse().ok().filter(|level| (0.0..=1.0).contains(level));
    level.ok_or_else(|| format!("`{text}` is no number from 0 (black) to 1 (white)"))
}
