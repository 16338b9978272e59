//! What helps against a finding in the network at hand, the best first, and how it is asked for: options of `wgrad train`, and
//! lines of the network's description.

use serde::Serialize;

use super::findings::{figure, list};
use super::verdict::Facts;
use crate::nn::Init;
use crate::ops::Activation;
use crate::train::config::OptimizerConfig;

/// Something that helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cure {
    /// What to do, and why it helps.
    pub what: String,
    /// How to ask for it.
    pub how: String,
}

fn cure(what: impl Into<String>, how: impl Into<String>) -> Option<Cure> {
    Some(Cure { what: what.into(), how: how.into() })
}

/// The layers whose activation is one of these, as they are changed in a description.
fn with(facts: &Facts, wanted: impl Fn(Activation) -> bool) -> Vec<String> {
    let found = facts.layers.iter().filter(|layer| layer.activation.is_some_and(&wanted));
    found.map(|layer| layer.name.clone()).collect()
}

fn weighted(facts: &Facts) -> usize {
    facts.layers.iter().filter(|layer| layer.weighted).count()
}

/// Sigmoid and tanh hand on less than they get.
fn no_sigmoids(facts: &Facts) -> Option<Cure> {
    let layers = with(facts, |activation| activation.unsaturated().is_some());
    let how = format!("`type = \"relu\"` for {}", list(&layers));
    let what = "an activation whose derivative is 1 where it is on: that of sigmoid is ¼ at most, and both it and tanh go flat";
    if layers.is_empty() { None } else { cure(what, how) }
}

fn normalisation(facts: &Facts) -> Option<Cure> {
    let what = "a normalisation behind each convolution: it brings every layer's numbers back to one scale";
    let how = "`type = \"batch_norm2d\"` between each convolution (with `bias = false`) and its activation";
    if facts.normalised { None } else { cure(what, how) }
}

/// Weights of the size that keeps activations and gradients as large as they are: He's for activations like ReLU, Glorot's for others.
/// A normalisation makes that needless, and the last layer is before no activation.
fn initialiser(facts: &Facts) -> Option<Cure> {
    let rectified = |activation: Activation| activation.unsaturated().is_none();
    let he = facts.layers.iter().any(|layer| layer.activation.is_some_and(rectified));
    let fits = |init: &Init| match init {
        Init::HeUniform | Init::HeNormal => he,
        Init::GlorotUniform | Init::GlorotNormal => !he,
        other => matches!(other, Init::Orthogonal { .. }),
    };
    let mut inits: Vec<Init> = facts.layers.iter().filter_map(|layer| layer.init).collect();
    inits.pop();
    if facts.normalised || inits.iter().all(fits) {
        return None;
    }
    let (who, how) = if he { ("He's", "he_normal") } else { ("Glorot's", "glorot_uniform") };
    let what =
        format!("weights of the size of {who} formula: what passes a layer then stays as large as it is, on average");
    cure(what, format!("`init = \"{how}\"` in the network's description"))
}

fn shortcuts(facts: &Facts) -> Option<Cure> {
    const DEEP: usize = 8;
    let what = "connections round every two layers: the gradient comes through them whole";
    let how = "`type = \"add\"` with `inputs` that name a layer and the one two before it, as `residual_bn` has them";
    if facts.shortcuts || weighted(facts) < DEEP { None } else { cure(what, how) }
}

/// Adam's steps do not depend on the gradient's scale.
fn adam(facts: &Facts) -> Option<Cure> {
    let what = "an optimiser that divides each gradient by its own size: small ones then move weights too";
    match facts.optimizer {
        OptimizerConfig::Sgd { .. } => cure(what, "--optimizer adam --lr 0.001"),
        _ => None,
    }
}

fn rate(facts: &Facts, times: f64) -> String {
    format!("--lr {}", figure_of_rate(facts.lr * times))
}

/// A learning rate to two digits.
fn figure_of_rate(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.1e}").parse().unwrap_or(rate);
    if (1e-4..1e4).contains(&rounded) { format!("{rounded}") } else { format!("{rounded:e}") }
}

fn lower_rate(facts: &Facts, times: f64) -> Option<Cure> {
    cure("smaller steps", rate(facts, times))
}

fn warm_up(facts: &Facts) -> Option<Cure> {
    let what = "small steps to begin with: the first gradients are the wildest";
    if facts.warms_up { None } else { cure(what, "--schedule warmup:500") }
}

fn clipping(facts: &Facts, norm: f64) -> Option<Cure> {
    let limit = match facts.clip_norm {
        Some(limit) if limit < norm => limit / 10.0,
        _ => 1.0,
    };
    cure("a limit for the norm of the gradient: no single step can do harm", format!("--clip-norm {limit}"))
}

pub(super) fn vanishing(facts: &Facts) -> Vec<Cure> {
    let all = [no_sigmoids(facts), normalisation(facts), initialiser(facts), shortcuts(facts), adam(facts)];
    all.into_iter().flatten().collect()
}

pub(super) fn exploding(facts: &Facts, norm: f64) -> Vec<Cure> {
    let all = [clipping(facts, norm), lower_rate(facts, 0.1), normalisation(facts), initialiser(facts), warm_up(facts)];
    all.into_iter().flatten().collect()
}

pub(super) fn dead(facts: &Facts) -> Vec<Cure> {
    let layers = with(facts, |activation| activation == Activation::Relu);
    let leaky = cure(
        "an activation that passes a little on where it is off: a unit can then come back",
        format!("`type = \"leaky_relu\"`, `slope = 0.01` for {}", list(&layers)),
    );
    let all = [lower_rate(facts, 0.1), leaky, normalisation(facts), warm_up(facts)];
    all.into_iter().flatten().collect()
}

pub(super) fn saturated(facts: &Facts, layers: &[String]) -> Vec<Cure> {
    let decay = match facts.optimizer {
        OptimizerConfig::Sgd { weight_decay, .. }
        | OptimizerConfig::Adam { weight_decay, .. }
        | OptimizerConfig::AdamW { weight_decay, .. }
        | OptimizerConfig::RmsProp { weight_decay, .. } => weight_decay,
    };
    let smaller = match decay > 0.0 {
        true => None,
        false => cure("weights that stay small, and with them what goes into the activation", "--weight-decay 0.0005"),
    };
    let other =
        cure("an activation that does not go flat on both sides", format!("`type = \"relu\"` for {}", list(layers)));
    let all = [normalisation(facts), initialiser(facts), other, lower_rate(facts, 0.1), smaller];
    all.into_iter().flatten().collect()
}

pub(super) fn stuck(facts: &Facts, norm: f64) -> Vec<Cure> {
    let limit = match facts.clip_norm {
        Some(limit) if limit < norm => cure(
            format!("a higher limit for the gradient's norm, which is {}", figure(norm)),
            format!("--clip-norm {}", figure(10.0 * limit)),
        ),
        _ => None,
    };
    let larger = cure("larger steps", rate(facts, 10.0));
    [limit, larger, adam(facts)].into_iter().flatten().collect()
}

pub(super) fn too_hot(facts: &Facts, ratio: f64, limit: f64) -> Vec<Cure> {
    // At a tenth of the limit a run has room.
    let all = [lower_rate(facts, (limit / 10.0 / ratio).min(0.3)), warm_up(facts), normalisation(facts)];
    all.into_iter().flatten().collect()
}

pub(super) fn converged() -> Vec<Cure> {
    let what = "nothing is wrong; a run that ends by itself spares the time, and validation images tell whether it only remembers";
    cure(what, "--patience 3").into_iter().collect()
}
