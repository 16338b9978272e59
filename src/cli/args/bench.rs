//! Options of `bench`.

use std::path::PathBuf;

use clap::Args;

use super::{Backend, TrustArgs};

const EXAMPLES: &str = "\
Examples:
  wgrad bench                                       everything, on the device that auto takes (a minute or two)
  wgrad bench --quick --html bench.html             the same in less, with a page
  wgrad bench --workload reference                  the training step of the reference network at batch 64
  wgrad bench --workload 'resnet18/*' --variant tiled --seconds 2
  wgrad bench --device all                          every adapter, side by side
  wgrad bench --json > today.jsonl
  wgrad bench --compare yesterday.jsonl today.jsonl

Each kernel is held against the float64 reference on the very shape before it is timed; one that is wrong gets no number, and the
exit code is 1. The roof is the device's own, measured first: its best rate of multiply-adds or its copy bandwidth, whichever
keeps the work longer. Small work may lie in caches and so pass the bandwidth of a large copy.";

/// Options of `bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Only this workload, or all whose names begin so where it ends in `*`; may be given several times
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// List the workloads and run nothing
    #[arg(long, conflicts_with_all = ["workload", "html", "compare", "csv"])]
    pub list: bool,
    /// Only this variant: baseline, broadcast, tiled, or chosen for whole networks as training runs them
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// auto, cpu (whole networks alone), all (every adapter), an index of `wgrad devices`, or part of an adapter's name; may be
    /// given several times
    #[arg(long, default_value = "auto", value_name = "auto|cpu|all|INDEX|NAME")]
    pub device: Vec<String>,
    /// Graphics API to look for adapters in
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Seconds for each operator's row, four times as many for a network's; work of which one run takes longer (for a network, ten
    /// times longer) has a row without a number [default: 0.4]
    #[arg(long, value_name = "S", conflicts_with = "quick")]
    pub seconds: Option<f64>,
    /// A fast look: 0.05 seconds for each operator's row
    #[arg(long)]
    pub quick: bool,
    /// Images of a network's batch [default: 64 for the reference network, else 128, or 16 where a processor computes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch: Option<u64>,
    /// Compare two files that --json wrote, and measure nothing
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["workload", "html", "csv"])]
    pub compare: Option<Vec<PathBuf>>,
    /// Write the results as a page with bars and a roofline plot
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print the results as CSV on stdout, and everything else on stderr
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print one JSON object a row on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}
