//! Every option of every command, with the texts of `--help`.

mod augment;
mod bench;
mod data;
mod explain;
mod flow;
mod lockstep;
mod predict;
mod profile;
mod recipes;
mod score;
mod tune;
mod verify;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wgrad::gpu::{BackendChoice, Policy, Trust};
use wgrad::graph::Pass;

use data::{classes, image};

pub use augment::AugmentArgs;
pub use bench::BenchArgs;
pub use data::{DataArgs, MirrorArgs, PictureArgs, SkipArgs};
pub use explain::ExplainArgs;
pub use flow::FlowArgs;
pub use lockstep::LockstepArgs;
pub use predict::PredictArgs;
pub use profile::ProfileArgs;
pub use recipes::{RecipeArgs, RecipesArgs};
pub use score::{EvaluateArgs, ReportArgs, ScoreArgs};
pub use tune::TuneArgs;
pub use verify::VerifyArgs;
pub use watch::WatchArgs;

const EXAMPLES: &str = "\
Examples:
  wgrad train                         train the reference network on built-in digits
  wgrad train --data mnist            the same on MNIST, downloaded once
  wgrad recipe resnet20 > my.toml     a recipe to begin with; wgrad train my.toml
  wgrad augment resnet20 --out a.png  its training images as the network sees them
  wgrad evaluate runs/RUN             loss, accuracy and confusion matrix of a run
  wgrad report runs/RUN               the run as a page, with plots and mistakes
  wgrad predict runs/RUN digit.png    what is in a picture
  wgrad explain runs/RUN digit.png --out maps.png    why the network says so
  wgrad devices                       the GPUs of this machine
  wgrad verify                        proof that every kernel is right on yours
  wgrad lockstep residual_bn          proof that whole training steps are
  wgrad profile reference             where the time of a training step goes
  wgrad tune reference                the fastest kernels for it on this adapter
  wgrad flow                          which gradients vanish, and what helps
  wgrad bench                         how fast your devices are";

/// Trains convolutional networks on any GPU, through Vulkan, Metal or DirectX 12.
#[derive(Debug, Parser)]
#[command(name = "wgrad", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network and save the run
    Train(Box<TrainArgs>),
    /// Score a trained network on test images
    Evaluate(EvaluateArgs),
    /// Write the page of a run again: curves, network, confusion matrix, worst mistakes
    Report(ReportArgs),
    /// Say what pictures show
    Predict(PredictArgs),
    /// Draw why a network answers as it does: Grad-CAM, saliency, integrated gradients
    Explain(Box<ExplainArgs>),
    /// Run the same training steps on two devices and compare every value
    Lockstep(Box<LockstepArgs>),
    /// Show where the time of a training step goes
    Profile(ProfileArgs),
    /// Find the fastest kernels for a network on this machine's device, and remember them
    Tune(TuneArgs),
    /// Draw a sheet of training images as a recipe's augmentation shows them to a network
    Augment(Box<AugmentArgs>),
    /// Show a network's layers and costs without training it
    Summary(SummaryArgs),
    /// List the networks that come with the program
    Networks,
    /// List the recipes that come with the program
    Recipes(RecipesArgs),
    /// Print a recipe that comes with the program, as a file to begin with
    Recipe(RecipeArgs),
    /// List the devices that can train
    Devices(DevicesArgs),
    /// Prove on this machine's devices that every kernel is right
    Verify(VerifyArgs),
    /// Show gradients that vanish, why, and which cure helps: one deep network, trained in many versions
    Flow(Box<FlowArgs>),
    /// Measure how fast this machine's devices are, and how close to their own best
    Bench(BenchArgs),
}

/// Where to compute.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// auto, cpu (slow, needs no GPU), an index of `wgrad devices`, or part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "auto|cpu|INDEX|NAME")]
    pub device: String,
    /// Graphics API to look for adapters in
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// A heading of `--help`.
const TRUST: &str = "Trust in the device's kernels";

/// How much proof kernels need before they run.
#[derive(Debug, Clone, Copy, Args)]
pub struct TrustArgs {
    /// Use the fastest kernels at once, without proof on this adapter and without run-time checks
    #[arg(long, help_heading = TRUST, conflicts_with_all = ["baseline_only", "checked"])]
    pub trust_all: bool,
    /// Use baseline kernels alone
    #[arg(long, help_heading = TRUST)]
    pub baseline_only: bool,
    /// Keep wgpu's run-time checks (bounds, loops, divisors) in every kernel
    #[arg(long, help_heading = TRUST)]
    pub checked: bool,
}

impl TrustArgs {
    /// The library's word for it.
    pub fn trust(self) -> Trust {
        let policy = match self {
            Self { trust_all: true, .. } => Policy::All,
            Self { baseline_only: true, .. } => Policy::Baseline,
            _ => Policy::Proven,
        };
        Trust { policy, checked: self.checked }
    }
}

/// Graphics APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Vulkan, Metal and DirectX 12, whichever there is
    Auto,
    /// Vulkan alone
    Vulkan,
    /// Metal alone
    Metal,
    /// DirectX 12 alone
    Dx12,
    /// OpenGL alone; only in builds with the feature `gl`
    Gl,
}

impl Backend {
    /// The library's word for it.
    pub fn choice(self) -> wgrad::Result<BackendChoice> {
        let value = self.to_possible_value();
        value.as_ref().map_or("auto", |value| value.get_name()).parse()
    }
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  wgrad train
  wgrad train --data mnist --epochs 3 --out runs/mnist
  wgrad train --network residual_bn --optimizer adamw --schedule cosine
  wgrad train --data cifar10 --network residual_bn --augment crop:4,flip
  wgrad train --data photos --image 64x64 --skip-bad
  wgrad train my.toml --epochs 10                  a recipe, but for ten epochs
  wgrad train --network mine.toml --data path/to/idx-files --patience 3
  wgrad train --device cpu --epochs 1
  wgrad train --live                               a page of the run as it goes on, on this machine alone
  wgrad train --json > log.jsonl

A folder of pictures is DIR/train/CLASS/*.png with DIR/test/CLASS/*.png, or DIR/CLASS/*.png alone, of which a tenth of each class,
always the same pictures, become the test images. The largest part in the middle that has the shape of --image is resized to it.

Schedules: constant, step:EPOCHS:GAMMA, exponential:GAMMA, cosine[:MIN], warmup:STEPS[:START], one_cycle[:PCT],
plateau[:FACTOR:PATIENCE]. Augmentation: crop:PIXELS, flip, rotate:DEGREES, scale:SHARE, brightness:AMOUNT, contrast:SHARE,
cutout:PIXELS, mixup:ALPHA and fill:LEVEL, with commas between, or none; `wgrad augment` shows it. Ctrl-C ends a run early; it is evaluated and saved all the same. docs/recipes.md has every key of a
recipe; options that are written here override it.";

/// Options of `train`.
#[derive(Debug, Args)]
#[command(after_help = TRAIN_EXAMPLES)]
pub struct TrainArgs {
    /// A recipe: a TOML file, or a name that `wgrad recipes` lists [default: reference]
    #[arg(value_name = "RECIPE")]
    pub recipe: Option<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub subject: SubjectArgs,
    #[command(flatten)]
    pub learning: LearningArgs,
    /// Repeat one step in N in float64 on the CPU, compare, and stop where the device is wrong
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Training")]
    pub shadow_check: Option<u64>,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Time the kernels that the step may choose from before the first one, for up to 10 s; see `wgrad tune`
    #[arg(long, help_heading = "Training")]
    pub tune: bool,
    #[command(flatten)]
    pub result: ResultArgs,
}

/// What to train, and on what.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data and network")]
pub struct SubjectArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// A name that `wgrad networks` lists, or a TOML file [default: reference, or the recipe's]
    #[arg(long, value_name = "NAME|FILE")]
    pub network: Option<String>,
}

/// How to train.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct LearningArgs {
    /// Seed of the initial weights, of the order of the images, of how they are augmented, and of dropout [default: 0, or the recipe's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Passes over the training images [default: 5, or the recipe's]
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,
    /// Most steps; the epoch in which they are done is cut short [default: none, or the recipe's]
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Images a step [default: 64, or the recipe's]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Compute a step in parts of at most N images and add up their gradients: less memory, the same update (but for batch
    /// normalisation, which takes its statistics from each part) [default: as few parts as fit the device, or the recipe's]
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<usize>,
    /// Learning rate [default: 0.001, or the recipe's]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// sgd, momentum, adam, adamw or rmsprop [default: adam, or the recipe's]
    #[arg(long, value_name = "NAME")]
    pub optimizer: Option<String>,
    /// Weight decay, instead of the optimiser's usual one
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    pub weight_decay: Option<f64>,
    /// Leave a fusion pass out of the plan (see --explain-plan); may be repeated
    #[arg(long, value_name = "PASS")]
    pub no_fuse: Vec<Pass>,
    /// How the learning rate changes; see below [default: constant, or the recipe's]
    #[arg(long, value_name = "SPEC")]
    pub schedule: Option<String>,
    /// How the training images are changed in each step; see below [default: none, or the recipe's]
    #[arg(long, value_name = "SPEC")]
    pub augment: Option<String>,
    /// Share of the probability that is spread over all classes [default: 0, or the recipe's]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub label_smoothing: Option<f64>,
    /// Largest norm of the whole gradient
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    pub clip_norm: Option<f64>,
    /// Largest magnitude of a gradient's element
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub clip_value: Option<f64>,
    /// Largest magnitude of a weight
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub clip_weights: Option<f64>,
    /// Share of the training images that is held out to validate with [default: 0, or 0.1 with --patience, or the
    /// recipe's]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub validation: Option<f64>,
    /// Stop after N epochs without a lower validation loss
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub patience: Option<u64>,
}

/// What to leave behind and to print.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct ResultArgs {
    /// Directory to save the run in [default: runs/DATE-TIME-NETWORK]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the run that is in --out
    #[arg(long)]
    pub overwrite: bool,
    /// Serve the run's page on 127.0.0.1 while it trains; without PORT, or with 0, at a free one. A recipe stands before it
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0", value_parser = port)]
    pub live: Option<u16>,
    /// Leave out report.html, the page that is written into the run at its end
    #[arg(long)]
    pub no_report: bool,
    /// Write every N-th step to metrics.jsonl
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub log_every: u64,
    /// Print one JSON object a line on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
    /// Print every node of a training step with the kernel variant that computes it
    #[arg(long)]
    pub explain_plan: bool,
}

/// Reads a port.
fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("`{text}` is no port from 0 to 65535; a recipe stands before --live"))
}

const SUMMARY_EXAMPLES: &str = "\
Examples:
  wgrad summary
  wgrad summary residual_bn --batch 32 --image 32x32x3 --classes 100
  wgrad summary mine.toml                          a recipe, or a network
  wgrad summary runs/mnist";

/// Options of `summary`.
#[derive(Debug, Args)]
#[command(after_help = SUMMARY_EXAMPLES)]
pub struct SummaryArgs {
    /// A name that `wgrad networks` lists, a TOML file (recipe or network), or the directory of a run
    #[arg(default_value = "reference", value_name = "NETWORK|FILE|RUN")]
    pub network: String,
    /// Images a step [default: 64, or the recipe's or run's]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Images that are computed at a time; see `wgrad train`
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<usize>,
    #[command(flatten)]
    pub images: ImageArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print every node of a training step as a GPU with WebGPU's default limits would run it
    #[arg(long)]
    pub explain_plan: bool,
    /// Print one JSON object on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}

/// What a network that comes with the program is built for, where no data is loaded.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// Size of the images for a network that comes with the program [default: 28x28x1, or the recipe's]
    #[arg(long, value_name = "HxWxC", value_parser = image)]
    pub image: Option<[usize; 3]>,
    /// Number of classes for a network that comes with the program [default: 10, or the recipe's]
    #[arg(long, value_name = "N", value_parser = classes)]
    pub classes: Option<usize>,
}

/// Options of `devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Graphics API to look for adapters in
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    /// Print one JSON object a device on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}
