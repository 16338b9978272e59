//! What a training run is asked to do.

use serde::{Deserialize, Serialize};

use super::augment::Augmentation;
use super::flow::Watch;
use super::micro_batch::{MOST, micro_batches};
use super::schedule::Schedule;
use crate::error::{Error, Result};
use crate::graph::Pass;
use crate::ops::Optimizer;
use crate::ops::optimizer::RATES;

/// The optimiser with its options, as runs and recipes write it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd {
        /// Share of the last update that goes on.
        momentum: f64,
        /// Nesterov's look ahead.
        nesterov: bool,
        /// Factor of the weights that is added to their gradient.
        weight_decay: f64,
    },
    /// Adam.
    Adam {
        /// Decay of the mean gradient and of the mean square.
        betas: [f64; 2],
        /// Added to the root of the mean square.
        eps: f64,
        /// Factor of the weights that is added to their gradient.
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay.
    AdamW {
        /// Decay of the mean gradient and of the mean square.
        betas: [f64; 2],
        /// Added to the root of the mean square.
        eps: f64,
        /// Share by which weights shrink, times the learning rate.
        weight_decay: f64,
    },
    /// RMSprop.
    RmsProp {
        /// Decay of the mean square.
        alpha: f64,
        /// Added to the root of the mean square.
        eps: f64,
        /// Share of the last update that goes on.
        momentum: f64,
        /// Factor of the weights that is added to their gradient.
        weight_decay: f64,
    },
}

impl OptimizerConfig {
    /// `sgd`, `momentum` (SGD with momentum 0.9), `adam`, `adamw` or `rmsprop`, with the usual options.
    pub fn named(name: &str) -> Result<Self> {
        let (betas, eps) = ([0.9, 0.999], 1e-8);
        Ok(match name {
            "sgd" => Self::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
            "momentum" => Self::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
            "adam" => Self::Adam { betas, eps, weight_decay: 0.0 },
            "adamw" => Self::AdamW { betas, eps, weight_decay: 0.01 },
            "rmsprop" => Self::RmsProp { alpha: 0.99, eps, momentum: 0.0, weight_decay: 0.0 },
            _ => {
                let problem = format!("there is no optimiser `{name}`; choose sgd, momentum, adam, adamw or rmsprop");
                return Err(Error::Invalid(problem));
            }
        })
    }

    /// The same with this weight decay.
    pub fn with_weight_decay(mut self, decay: f64) -> Self {
        match &mut self {
            Self::Sgd { weight_decay, .. }
            | Self::Adam { weight_decay, .. }
            | Self::AdamW { weight_decay, .. }
            | Self::RmsProp { weight_decay, .. } => *weight_decay = decay,
        }
        self
    }

    /// The operator.
    pub fn operator(&self) -> Optimizer {
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => Optimizer::Sgd { momentum, nesterov, weight_decay },
            Self::Adam { betas: [beta1, beta2], eps, weight_decay } => {
                Optimizer::Adam { beta1, beta2, eps, weight_decay }
            }
            Self::AdamW { betas: [beta1, beta2], eps, weight_decay } => {
                Optimizer::AdamW { beta1, beta2, eps, weight_decay }
            }
            Self::RmsProp { alpha, eps, momentum, weight_decay } => {
                Optimizer::RmsProp { alpha, eps, momentum, weight_decay }
            }
        }
    }
}

/// A training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Passes over the training images.
    pub epochs: u64,
    /// Most steps; the epoch in which they are done is cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images a step.
    pub batch: usize,
    /// The most images that are computed at a time ([`super::micro_batch`]); none for a whole batch, where the device can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Learning rate before the schedule.
    pub lr: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Seed of the initial weights, of the order of the images, of how they are augmented, and of dropout.
    pub seed: u64,
    /// Share of the probability that label smoothing spreads.
    pub label_smoothing: f64,
    /// Largest global norm of the gradient.
    pub clip_norm: Option<f64>,
    /// Largest magnitude of a gradient's element.
    pub clip_value: Option<f64>,
    /// Largest magnitude of a weight.
    pub clip_weights: Option<f64>,
    /// Share of the training images that is held out for validation; 0 validates on the test images.
    pub validation: f64,
    /// Stop after so many epochs without a lower validation loss.
    pub patience: Option<u64>,
    /// How the training images are changed, anew in each step.
    #[serde(default, skip_serializing_if = "Augmentation::is_off")]
    pub augment: Augmentation,
    /// Fusion passes that are left out of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_fuse: Vec<Pass>,
    /// How it is watched, which changes nothing of it.
    #[serde(default = "Watch::off")]
    pub watch: Watch,
}

impl Default for TrainConfig {
    /// The reference run: five epochs of Adam at 1e-3, batches of 64.
    fn default() -> Self {
        Self {
            epochs: 5,
            steps: None,
            batch: 64,
            micro_batch: None,
            lr: 1e-3,
            schedule: Schedule::Constant,
            optimizer: OptimizerConfig::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 },
            seed: 0,
            label_smoothing: 0.0,
            clip_norm: None,
            clip_value: None,
            clip_weights: None,
            validation: 0.0,
            patience: None,
            augment: Augmentation::default(),
            no_fuse: Vec::new(),
            watch: Watch::default(),
        }
    }
}

impl TrainConfig {
    /// How many of so many training images are held out for validation.
    pub fn held_out(&self, images: usize) -> usize {
        (images as f64 * self.validation).round() as usize
    }

    /// Steps of the whole run, where an epoch has so many.
    pub fn total_steps(&self, of_an_epoch: u64) -> u64 {
        let all = self.epochs.saturating_mul(of_an_epoch);
        self.steps.map_or(all, |most| all.min(most))
    }

    /// The optimiser's table for the steps of epoch `epoch`, from 1; `plateau_lr` is where a plateau's rate stands.
    pub fn rates(&self, steps: u64, epoch: u64, plateau_lr: f64) -> Vec<[f32; RATES]> {
        let base = match self.schedule {
            Schedule::ReduceOnPlateau { .. } => plateau_lr,
            _ => self.lr,
        };
        let operator = self.optimizer.operator();
        let row = |index| {
            let step = (epoch - 1) * steps + index;
            let lr = self.schedule.rate(base, if self.schedule.by_epoch() { epoch - 1 } else { step });
            operator.rates_row(lr, step + 1)
        };
        (0..steps).map(row).collect()
    }

    /// Whether it can be done with so many training images.
    pub fn check(&self, images: usize) -> Result<()> {
        let fail = |problem: String| Err(Error::Invalid(problem));
        if self.batch == 0 {
            return fail("--batch must be at least 1".into());
        }
        if self.batch > images {
            return fail(format!("--batch {} is larger than the {images} training images", self.batch));
        }
        let parts = micro_batches(self.batch, self.micro_batch).len();
        match self.micro_batch {
            Some(0) => return fail("--micro-batch must be at least 1".into()),
            Some(images) if parts > MOST => {
                let least = self.batch.div_ceil(MOST);
                return fail(format!(
                    "--micro-batch {images} cuts a batch of {} images into {parts} parts and {MOST} are the most; take {least} or more",
                    self.batch
                ));
            }
            _ => {}
        }
        if self.epochs == 0 {
            return fail("--epochs must be at least 1".into());
        }
        if self.steps == Some(0) {
            return fail("--steps must be at least 1".into());
        }
        let lr = self.lr as f32;
        if !(lr.is_finite() && lr > 0.0) {
            return fail(format!("--lr {} must be a number above 0 that float32 can hold", self.lr));
        }
        if !(0.0..1.0).contains(&self.validation) {
            return fail(format!("--validation {} must be at least 0 and below 1", self.validation));
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return fail(format!("--label-smoothing {} must be a number from 0 to 1", self.label_smoothing));
        }
        for (name, limit) in [("norm", self.clip_norm), ("value", self.clip_value), ("weights", self.clip_weights)] {
            if let Some(limit) = limit.filter(|limit| !(limit.is_finite() && *limit > 0.0)) {
                return fail(format!("--clip-{name} {limit} must be a number above 0"));
            }
        }
        Ok(())
    }
}
