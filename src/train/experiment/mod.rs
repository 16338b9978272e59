//! The experiment on vanishing gradients: the same deep network on the same images with the same seed, in versions that differ in
//! one thing each. Some are sick; a cure is a sick version with one thing changed.
//!
//! [`versions`] has those of the plain deep network, [`own`] makes some of any network. [`Trial`] trains one through the ordinary
//! [`super::Trainer`] into a run of its own, [`Record`] is what is known of all of them, and [`claims`] says what follows.

pub mod claims;
pub mod own;
mod record;
mod reference;
mod trial;
pub mod versions;

use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::flow::{Kind, Watch};
use crate::nn::Network;

pub use claims::{Effect, Worth};
pub use record::{Place, RECORD, Record, State, read_record};
pub use reference::first_over_last;
pub use trial::{Trial, Tried};

/// Readings of a heat map, about.
const READINGS: u64 = 40;

/// A network and how it is trained, with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// What sets it apart, in a few words.
    pub says: String,
    /// The versions that it is a cure of.
    pub heals: Vec<Heals>,
    /// The network.
    pub network: Network,
    /// How it is trained.
    pub config: TrainConfig,
}

impl Version {
    /// Convolutions and linear layers, which a gradient has to pass.
    pub fn weighted(&self) -> usize {
        self.network.layers.iter().filter(|named| named.layer.is_weighted()).count()
    }
}

/// What a cure is meant to heal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heals {
    /// The version that it is, but for one thing.
    pub version: String,
    /// That thing, in a few words.
    pub by: String,
}

/// What a version showed. Norms are those of the gradients of the weights of convolutions and linear layers, before clipping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The version's name.
    pub version: String,
    /// The depth that was asked for; of a network of one's own, its convolutions and linear layers.
    pub depth: usize,
    /// The norm of the first layer's gradient over that of the last one's in the first step, before any update.
    pub first_over_last_start: Option<f64>,
    /// The same from the reference in float64 on the CPU, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_over_last_start_float64: Option<f64>,
    /// The same at the end: medians of the last readings, as the verdict has them.
    pub first_over_last_end: Option<f64>,
    /// Mean cross-entropy of the test images at the end.
    pub loss: Option<f64>,
    /// Share of the test images that are told right at the end.
    pub accuracy: Option<f64>,
    /// What its gradients are like at the end.
    pub verdict: Kind,
    /// What that follows from, in words.
    pub words: String,
    /// Steps done.
    pub steps: u64,
    /// Seconds that it took, from planning to the last test image.
    pub seconds: f64,
    /// Why it did not come to its end, if it did not.
    pub error: Option<String>,
    /// Its run, seen from the experiment's directory.
    pub run: String,
}

/// What all versions have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    /// Steps of each.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Seed of the weights and of the order of the images.
    pub seed: u64,
    /// One step in so many is watched, the last one too; 0 watches about forty.
    pub watch: u64,
}

impl Common {
    /// A configuration that is changed to do so many steps on so many training images.
    pub fn applied(self, config: TrainConfig, images: usize) -> TrainConfig {
        let Self { steps, batch, seed, watch } = self;
        let of_an_epoch = (images / batch.max(1)).max(1) as u64;
        let every = if watch == 0 { steps.div_ceil(READINGS).max(1) } else { watch };
        let watch = Watch { every, last: true, ..config.watch };
        let (epochs, steps) = (steps.div_ceil(of_an_epoch).max(1), Some(steps));
        TrainConfig { epochs, steps, batch, seed, watch, validation: 0.0, patience: None, ..config }
    }
}
