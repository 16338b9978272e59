//! Options about the watching of gradients.

use std::path::PathBuf;

use clap::Args;
use wgrad::train::flow::{Thresholds, Watch};

const THRESHOLDS: &str = "\
Move where a verdict about the gradients begins; may be repeated. NAME is one of:
vanishing (1e-3)   the first layer's gradient norm is below this part of the last one's
exploding (1e3)    it is above so many times the last one's, or the whole norm above so many times the first reading's
dead (0.25)        so large a share of a layer's units was zero for every image of the last watched steps,
dead_images (100)  as many of them as have so many images together
saturated (0.5)    so large a share of a layer's outputs lies where its activation is flat
stuck (1e-6)       a step changes a layer's weights by less than this part of them
too_hot (1e-1)     a step changes a layer's weights by more than this part of them
converged (0.01)   the loss is below this part of what guessing costs
window (5)         a verdict looks at so many of the last readings";

/// How a run is watched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Watching")]
pub struct WatchArgs {
    /// Measure parameters, activations and their gradients in one step of N, on the device, and say how the gradients flow; 0
    /// measures nothing
    #[arg(long, default_value_t = Watch::default().every, value_name = "N")]
    pub watch: u64,
    /// Move where a verdict about the gradients begins
    #[arg(long, value_name = "NAME=VALUE", long_help = THRESHOLDS)]
    pub flow_threshold: Vec<String>,
    /// Write event files for TensorBoard below DIR, in a directory named after the run
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
}

impl WatchArgs {
    /// The library's configuration.
    pub fn configuration(&self) -> wgrad::Result<Watch> {
        let mut thresholds = Thresholds::default();
        self.flow_threshold.iter().try_for_each(|assignment| thresholds.set(assignment))?;
        Ok(Watch { every: self.watch, thresholds, ..Watch::default() })
    }
}
