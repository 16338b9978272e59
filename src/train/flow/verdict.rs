//! What readings mean, in words: a pure function of what was measured, what is known of the network and of the run, and the
//! thresholds. Every finding has the numbers that it follows from, and the cures that fit this network.

use serde::{Deserialize, Serialize};

use super::cures::Cure;
use super::findings;
use super::measured::Flow;
use super::thresholds::Thresholds;
use crate::nn::{Init, Layer, Network};
use crate::ops::Activation;
use crate::train::config::{OptimizerConfig, TrainConfig};
use crate::train::schedule::Schedule;

/// What can be said of the flow of gradients, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Gradients grow towards the first layer, or from step to step, or are no numbers any more.
    Exploding,
    /// The gradient is small because the loss is; there is little left to learn.
    Converged,
    /// Units with a ReLU are zero whatever the image is.
    Dead,
    /// Outputs lie where their activation is flat.
    Saturated,
    /// Gradients shrink towards the first layer.
    Vanishing,
    /// A step changes weights by a large part of them.
    TooHot,
    /// A step hardly changes weights.
    Stuck,
    /// None of these.
    Healthy,
}

impl Kind {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Exploding => "exploding",
            Self::Converged => "converged",
            Self::Dead => "dead units",
            Self::Saturated => "saturated",
            Self::Vanishing => "vanishing",
            Self::TooHot => "too hot",
            Self::Stuck => "stuck",
            Self::Healthy => "healthy",
        }
    }
}

/// One thing that was found, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The layers that it is about, the first layer first.
    pub layers: Vec<String>,
    /// What it follows from, by name.
    pub numbers: serde_json::Map<String, serde_json::Value>,
    /// The same in a sentence.
    pub words: String,
    /// What helps, the best first.
    pub cures: Vec<Cure>,
}

/// What a run's gradients are like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The gravest finding.
    pub kind: Kind,
    /// The epoch of the last reading, from 1.
    pub epoch: u64,
    /// The step of the last reading, from 1.
    pub step: u64,
    /// How many readings it rests on.
    pub readings: usize,
    /// All findings, the gravest first; never empty.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// The verdict in one line of JSON, as metrics and `--json` have it.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "event": "verdict", "verdict": self.kind, "epoch": self.epoch, "step": self.step, "readings": self.readings,
            "findings": self.findings,
        })
    }
}

/// A layer, as verdicts and cures need to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerFact {
    /// Its name.
    pub name: String,
    /// Whether it has a weight that layers pass gradients through: it is a convolution or a linear layer.
    pub weighted: bool,
    /// How its weights began, where it is such a layer.
    pub init: Option<Init>,
    /// Its activation function, if it is one.
    pub activation: Option<Activation>,
}

/// What is known of a run before its first step.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The layers, in their order.
    pub layers: Vec<LayerFact>,
    /// Whether a layer normalises.
    pub normalised: bool,
    /// Whether values go round layers: there is a sum or a concatenation.
    pub shortcuts: bool,
    /// How many classes are told apart.
    pub classes: usize,
    /// Share of the probability that label smoothing spreads.
    pub label_smoothing: f64,
    /// Learning rate that was asked for.
    pub lr: f64,
    /// Whether the schedule begins below it.
    pub warms_up: bool,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Largest norm of the gradient that passes unclipped.
    pub clip_norm: Option<f64>,
}

impl Facts {
    /// What a network and its configuration tell.
    pub fn new(network: &Network, config: &TrainConfig, classes: usize) -> Self {
        let layers = network.layers.iter().map(|named| LayerFact {
            name: named.name.clone(),
            weighted: named.layer.is_weighted(),
            init: match named.layer {
                Layer::Conv2d(options) => Some(options.init.unwrap_or(network.init)),
                Layer::Linear(options) => Some(options.init.unwrap_or(network.init)),
                _ => None,
            },
            activation: named.layer.activation(),
        });
        let any = |wanted: fn(&Layer) -> bool| network.layers.iter().any(|named| wanted(&named.layer));
        Self {
            layers: layers.collect(),
            normalised: any(Layer::normalises),
            shortcuts: any(|layer| matches!(layer, Layer::Add | Layer::Concat)),
            classes,
            label_smoothing: config.label_smoothing,
            lr: config.lr,
            warms_up: matches!(config.schedule, Schedule::LinearWarmup { .. } | Schedule::OneCycle { .. }),
            optimizer: config.optimizer,
            clip_norm: config.clip_norm,
        }
    }

    /// The least loss that there can be, and the loss of guessing: with smoothing s over k classes, the entropy of a smoothed
    /// label, whose own class has 1 − s + s/k and every other s/k, and ln k.
    pub fn losses(&self) -> [f64; 2] {
        let (k, s) = (self.classes.max(2) as f64, self.label_smoothing);
        let term = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
        [term(1.0 - s + s / k) + (k - 1.0) * term(s / k), k.ln()]
    }
}

/// The verdict on some readings: the first of all, and the last ones. None without readings.
pub fn judge(facts: &Facts, thresholds: &Thresholds, flows: &[Flow]) -> Option<Verdict> {
    let last = flows.last()?;
    let window = &flows[flows.len() - thresholds.window.clamp(1, flows.len())..];
    let findings = findings::all(facts, thresholds, &flows[0], window);
    let kind = findings.first().map_or(Kind::Healthy, |finding| finding.kind);
    Some(Verdict { kind, epoch: last.epoch, step: last.step, readings: window.len(), findings })
}

/// Keeps the readings that verdicts need, and tells when a verdict is another one.
#[derive(Debug, Clone)]
pub struct Judge {
    facts: Facts,
    thresholds: Thresholds,
    flows: Vec<Flow>,
    told: Kind,
}

impl Judge {
    /// Before the first reading a run counts as healthy.
    pub fn new(facts: Facts, thresholds: Thresholds) -> Self {
        Self { facts, thresholds, flows: Vec::new(), told: Kind::Healthy }
    }

    /// Begins anew: of another run nothing is known.
    pub fn forget(&mut self) {
        self.flows.clear();
        self.told = Kind::Healthy;
    }

    /// Takes a reading; answers the verdict where it is of another kind than the last one.
    pub fn observe(&mut self, flow: Flow) -> Option<Verdict> {
        self.flows.push(flow);
        if self.flows.len() > self.thresholds.window + 1 {
            // The first reading stays.
            self.flows.remove(1);
        }
        let told = self.told;
        self.verdict().filter(|verdict| verdict.kind != told)
    }

    /// The verdict as it stands.
    pub fn verdict(&mut self) -> Option<Verdict> {
        let verdict = judge(&self.facts, &self.thresholds, &self.flows)?;
        self.told = verdict.kind;
        Some(verdict)
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
