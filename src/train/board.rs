//! What TensorBoard shows of a run.

use std::path::Path;

use super::events::{EpochReport, StepFigures};
use super::flow::{Flow, Measured};
use crate::error::Result;
use crate::format::tensorboard::{Buckets, EventFile};

/// Writes a run's events for TensorBoard.
#[derive(Debug)]
pub struct Board {
    file: EventFile,
}

impl Board {
    /// Writes into a directory of its own, which becomes a run in TensorBoard.
    ///
    /// # Errors
    /// [`crate::Error::File`] where nothing can be written there.
    pub fn create(folder: &Path) -> Result<Self> {
        Ok(Self { file: EventFile::create(folder)? })
    }

    /// A step's loss, accuracy, learning rate and the norm of its gradient.
    pub fn step(&mut self, figures: &StepFigures) -> Result<()> {
        let StepFigures { step, loss, accuracy, gradient_norm, lr } = *figures;
        let scalars = [("loss", loss), ("accuracy", accuracy), ("gradient_norm", gradient_norm), ("learning_rate", lr)];
        self.file.step(step, &scalars.map(|(tag, value)| (format!("train/{tag}"), value)), &[])
    }

    /// A finished epoch, after so many steps.
    pub fn epoch(&mut self, report: &EpochReport, steps: u64) -> Result<()> {
        let scalars = [("loss", report.validation.loss), ("accuracy", report.validation.accuracy)];
        self.file.step(steps, &scalars.map(|(tag, value)| (format!("validation/{tag}"), value)), &[])
    }

    /// A watched step: norms, shares and ratios by parameter and by layer, and the powers of two of gradients.
    pub fn flow(&mut self, flow: &Flow) -> Result<()> {
        let (scalars, histograms) = shown(flow);
        self.file.step(flow.step, &scalars, &histograms)
    }
}

/// Something with the tag under which it is shown.
type Tagged<T> = (String, T);

/// The numbers and the histograms of a watched step, by tag.
fn shown(flow: &Flow) -> (Vec<Tagged<f64>>, Vec<Tagged<Buckets>>) {
    let (mut scalars, mut histograms) = (Vec::new(), Vec::new());
    let mut put = |tag: &str, name: &str, value: f64| scalars.push((format!("{tag}/{name}"), value));
    let mut spread = |tag: &str, name: &str, measured: &Measured| {
        let buckets: Buckets =
            measured.exponents().map(|(low, count)| (low.into(), (low + 2).into(), count.into())).collect();
        if !buckets.is_empty() {
            histograms.push((format!("{tag}/{name}"), buckets));
        }
    };
    for parameter in &flow.parameters {
        let name = parameter.name.as_str();
        put("weight_norm", name, parameter.value.norm);
        put("gradient_norm", name, parameter.gradient.norm);
        if let Some(ratio) = parameter.ratio() {
            put("update_to_weight", name, ratio);
        }
        spread("gradient_log2", name, &parameter.gradient);
    }
    for activation in &flow.activations {
        let (layer, value) = (activation.layer.as_str(), &activation.value);
        put("activation_norm", layer, value.norm);
        put("activation_zeros", layer, value.share(value.zeros));
        if activation.saturates {
            put("activation_saturated", layer, value.share(value.saturated));
        }
        if let Some(units) = activation.units {
            put("dead_units", layer, units.dead as f64);
        }
        if let Some(gradient) = &activation.gradient {
            put("activation_gradient_norm", layer, gradient.norm);
            spread("activation_gradient_log2", layer, gradient);
        }
    }
    (scalars, histograms)
}
