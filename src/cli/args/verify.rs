//! Options of `verify`.

use std::path::PathBuf;

use clap::Args;

use super::Backend;

const EXAMPLES: &str = "\
Examples:
  wgrad verify                                  the standard sweep on the device that auto takes
  wgrad verify --full --device all              everything, on every adapter of the machine
  wgrad verify --op conv2d --variant tiled --case stride2_pad1 --seed 7
  wgrad verify --oracle answers/                cases that another program answered
  wgrad verify --json > report.jsonl
  wgrad verify --export suite/                  the same cases as files, for other WebGPU stacks
  WGRAD_SHADERS=mine/ wgrad verify --op pool2d  a shader that you are writing

The exit code is 0 only if everything that could run passed. What could not run on a device is listed as not run.";

/// Options of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// auto, cpu (the reference in float32), all (every adapter), an index of `wgrad devices`, or part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "auto|cpu|all|INDEX|NAME")]
    pub device: String,
    /// Graphics API to look for adapters in
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    /// The full sweep: edges against each other, and large tensors (minutes, and gigabytes of memory)
    #[arg(long, conflicts_with = "oracle")]
    pub full: bool,
    /// Only this operator: conv2d, conv2d_grad_input, or a room of several such as pool2d; may be given several times
    #[arg(long, value_name = "NAME")]
    pub op: Vec<String>,
    /// Only this variant, such as baseline, tiled, depthwise or broadcast_textures; docs/portability.md has them all
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub case: Option<String>,
    /// Another seed draws other random operands
    #[arg(long, default_value_t = 0, conflicts_with = "oracle")]
    pub seed: u32,
    /// Instead of the sweep, every *.safetensors case in this directory
    #[arg(long, value_name = "DIR")]
    pub oracle: Option<PathBuf>,
    /// Run kernels with wgpu's run-time checks alone, not also without them
    #[arg(long, conflicts_with = "oracle")]
    pub checked: bool,
    /// Plan as for an adapter without subgroups: other variants, and other ways to add up what a workgroup has
    #[arg(long)]
    pub no_subgroups: bool,
    /// Ask nothing more after the first wrong answer
    #[arg(long)]
    pub fail_fast: bool,
    /// Write given, got and wanted tensors of each failure there, as safetensors files
    #[arg(long, value_name = "DIR", conflicts_with = "oracle")]
    pub dump: Option<PathBuf>,
    /// Run nothing: write cases, programs and right answers there, for other WebGPU stacks (see docs/conformance.md)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["oracle", "dump", "html", "device", "full", "variant", "no_subgroups"])]
    pub export: Option<PathBuf>,
    /// Write the report as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print one JSON object a case and a last one with the counts, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}
