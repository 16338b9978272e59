//! Options of `lockstep`.

use clap::Args;

use super::{Backend, DataArgs, TrustArgs};

const EXAMPLES: &str = "\
Examples:
  wgrad lockstep reference
  wgrad lockstep residual_bn --other 1 --steps 100 --batch 16
  wgrad lockstep runs/mnist --free-run
  wgrad lockstep mine.toml --ref 0 --other 1 --json

Each step begins from the reference's state. A value beyond tolerance is no divergence where its operator is right on the
operands that it had: rounding decides which way a ReLU goes at zero. It is counted as inherited, and the steps go on. The
command fails where an operator is wrong, or where the plan that shares memory gives something else.";

/// Options of `lockstep`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LockstepArgs {
    /// A name that `wgrad networks` lists, a TOML file (recipe or network), or the directory of a run, from whose weights the
    /// steps go on
    #[arg(default_value = "reference", value_name = "NETWORK|FILE|RUN")]
    pub network: String,
    /// What is right: cpu computes in float64; or an adapter, as --other takes it
    #[arg(long = "ref", default_value = "cpu", value_name = "cpu|INDEX|NAME")]
    pub reference: String,
    /// What is compared with it: auto, cpu (in float32), an index of `wgrad devices`, or part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "auto|cpu|INDEX|NAME")]
    pub other: String,
    /// Graphics API to look for adapters in
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    #[command(flatten)]
    pub data: DataArgs,
    /// Training steps
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// Images a step [default: 64, or the recipe's or run's]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Images that are computed at a time; see `wgrad train`
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<usize>,
    /// Seed of the weights, of the order of the images, and of dropout [default: 0, or the recipe's or run's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Learning rate [default: 0.001, or the recipe's or run's]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// sgd, momentum, adam, adamw or rmsprop [default: adam, or the recipe's or run's]
    #[arg(long, value_name = "NAME")]
    pub optimizer: Option<String>,
    /// Largest norm of the whole gradient
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    pub clip_norm: Option<f64>,
    /// Largest magnitude of a gradient's element
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub clip_value: Option<f64>,
    /// Let each device go on from its own state
    #[arg(long)]
    pub free_run: bool,
    /// Print one JSON object a line on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub trust: TrustArgs,
}
