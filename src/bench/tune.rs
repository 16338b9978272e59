//! Which kernel is the fastest for each node of a training step: the few that are proven and likely, timed on this adapter before
//! training. What is found is preferred from then on, in this process and, remembered in the cache directory, in later ones.

use std::collections::BTreeMap;
use std::time::Instant;

use super::operator::replay;
use super::sample::sample_up_to;
use crate::error::Result;
use crate::gpu::{Gpu, Policy};
use crate::graph::Graph;
use crate::kernels::{BASELINE, Problem, lower, variants};
use crate::nn::Network;
use crate::ops::{Op, Operator};
use crate::session::Device;
use crate::session::gpu::{Trial, checks, kernel_name, operands, question, trial_session};
use crate::tensor::Spec;
use crate::train::evaluation::image_of;
use crate::train::micro_batch;
use crate::train::program::{self, Resident};
use crate::train::{Schedule, TrainConfig};
use crate::verify::{preference, trust};

/// The most candidates for a node: those that are guessed to be the fastest; fewer on adapters that compute on a CPU, where the next
/// ones are ten times slower.
const CANDIDATES: usize = 3;
const CANDIDATES_ON_CPU: usize = 2;
/// By how much another kernel must be faster than the guess to take its place: less is noise.
const MARGIN: f64 = 0.03;
/// How many times as long as the guess a kernel takes that is not timed any further.
const HOPELESS: f64 = 4.0;

/// What was measured of a node, and of all that are like it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Tuned {
    /// The first node of its kind.
    pub node: String,
    /// Its operator.
    pub operator: &'static str,
    /// How many nodes are like it.
    pub nodes: usize,
    /// Seconds of each candidate, the guess first.
    pub times: Vec<(&'static str, f64)>,
    /// The one that is preferred from now on.
    pub chosen: &'static str,
}

impl Tuned {
    /// Seconds that the choice spares a step.
    pub fn spared(&self) -> f64 {
        let time = |name| self.times.iter().find(|(variant, _)| *variant == name).map_or(0.0, |(_, seconds)| *seconds);
        self.nodes as f64 * (self.times.first().map_or(0.0, |(_, seconds)| *seconds) - time(self.chosen))
    }
}

/// What tuning came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuning {
    /// What was measured.
    pub kinds: Vec<Tuned>,
    /// Kinds of nodes that there was no time for: they keep the kernel that is guessed.
    pub left: usize,
    /// The kernels that are faster than the guess, by what they are remembered under.
    pub better: BTreeMap<String, String>,
}

/// A kind of node with the kernels that may compute it.
struct Question {
    node: String,
    op: Op,
    specs: [Vec<Spec>; 2],
    nodes: usize,
    candidates: Vec<&'static str>,
}

/// Tunes a training step of a network, within about so many seconds; `told` hears of each kind of node. Nothing is tuned on the CPU
/// reference, or where the user wants baseline kernels alone.
pub fn tune(
    device: &Device,
    network: &Network,
    config: &TrainConfig,
    seconds: f64,
    mut told: impl FnMut(&Tuned),
) -> Result<Tuning> {
    let Device::Gpu(gpu) = device else { return Ok(Tuning::default()) };
    if gpu.trust().policy == Policy::Baseline {
        return Ok(Tuning::default());
    }
    let graph = step(network, config, device)?;
    trust::certify_wanted(gpu, std::slice::from_ref(&graph), |op, problem| Ok(candidates(gpu, op, problem)))?;
    let questions = questions(gpu, &graph);
    let candidates: usize = questions.iter().map(|question| question.candidates.len()).sum();
    // Some of the time goes to what surrounds the samples.
    let (started, each) = (Instant::now(), 0.6 * seconds / candidates.max(1) as f64);
    let (mut tuning, mut verdicts) = (Tuning::default(), BTreeMap::new());
    let mut lost = Ok(());
    for kind in questions {
        if started.elapsed().as_secs_f64() > seconds {
            tuning.left += 1;
            continue;
        }
        let tuned = match measure(gpu, &kind, each) {
            Ok(tuned) => tuned,
            Err(error) => {
                lost = Err(error);
                break;
            }
        };
        gpu.prefer(&question(&kind.op, &kind.specs[0]), tuned.chosen);
        let key = preference::key(gpu, &kind.op, &kind.specs[0], &kind.specs[1]);
        if tuned.times.first().is_some_and(|(guess, _)| *guess != tuned.chosen) {
            tuning.better.insert(key.clone(), tuned.chosen.to_owned());
        }
        verdicts.insert(key, tuned.chosen.to_owned());
        told(&tuned);
        tuning.kinds.push(tuned);
    }
    if let Err(error) = preference::keep(&verdicts) {
        tracing::warn!("what was tuned cannot be remembered: {error}");
    }
    lost.map(|()| tuning)
}

/// The training step that a run of this configuration makes, on a data set of one batch.
fn step(network: &Network, config: &TrainConfig, device: &Device) -> Result<Graph> {
    let image = image_of(network)?;
    let data = Resident::new("train", config.batch, image, device.max_binding_bytes());
    let config = TrainConfig { schedule: Schedule::Constant, ..config.clone() };
    let layout = network.layout()?;
    let config = micro_batch::fitting(device, (network, &layout), &data, &config)?;
    Ok(device.fuse(program::train(network, &layout, &data, &config)?, &config.no_fuse)?.0)
}

/// The kinds of nodes that several proven kernels can compute.
fn questions(gpu: &Gpu, graph: &Graph) -> Vec<Question> {
    let mut found: Vec<Question> = Vec::new();
    for node in graph.nodes() {
        let specs = [graph.specs(&node.inputs), graph.specs(&node.outputs)];
        if let Some(known) = found.iter_mut().find(|known| known.op == node.op && known.specs == specs) {
            known.nodes += 1;
            continue;
        }
        let problem = Problem { inputs: &specs[0], outputs: &specs[1], caps: gpu.caps() };
        let candidates = candidates(gpu, &node.op, &problem);
        found.push(Question { node: node.name.clone(), op: node.op.clone(), specs, nodes: 1, candidates });
    }
    found.retain(|question| question.candidates.len() > 1);
    found
}

/// Those variants of a node that are not known to be wrong and are guessed to be the fastest; the baseline where there is but one.
fn candidates(gpu: &Gpu, op: &Op, problem: &Problem) -> Vec<&'static str> {
    let possible = |variant: &&'static str| {
        let proven = gpu.proof(&kernel_name(op.name(), variant));
        gpu.trust().policy == Policy::All || proven.is_none_or(|proof| proof.right)
    };
    let most = if gpu.caps().cpu { CANDIDATES_ON_CPU } else { CANDIDATES };
    let fast = variants(op, problem).into_iter().filter(|variant| *variant != BASELINE);
    let mut candidates: Vec<_> = fast.filter(possible).take(most).collect();
    if candidates.len() == 1 && possible(&BASELINE) {
        candidates.push(BASELINE);
    }
    candidates
}

/// Times the candidates of a kind of node, about so many seconds each.
fn measure(gpu: &Gpu, kind: &Question, seconds: f64) -> Result<Tuned> {
    let mut times: Vec<(&'static str, f64)> = Vec::new();
    let [inputs, outputs] = &kind.specs;
    let problem = Problem { inputs, outputs, caps: gpu.caps() };
    let operands = operands(&kind.op, &problem);
    for &variant in &kind.candidates {
        let trial = Trial { checks: checks(gpu, &lower(&kind.op, &problem, variant)?), ..Trial::default() };
        let timed = trial_session(gpu, &kind.op, inputs, variant, &trial).and_then(|mut session| {
            for (index, operand) in operands.iter().enumerate() {
                session.write(&format!("input{index}"), operand)?;
            }
            // Drivers compile when a kernel first runs.
            replay(gpu, &mut session, 1)?;
            // Where the guess is several times faster, it matters little by how much.
            let limit = times.first().map_or(f64::INFINITY, |(_, guess)| HOPELESS * guess);
            Ok(sample_up_to(limit, seconds, |count| replay(gpu, &mut session, count))?.median)
        });
        match timed {
            Ok(seconds) => times.push((variant, seconds)),
            // What does not run here is no candidate; a device that is lost serves none.
            Err(error) => {
                gpu.check()?;
                tracing::warn!("the {variant} kernel of {} was not timed: {error}", kind.node);
            }
        }
    }
    let guess = times.first().copied().unwrap_or((BASELINE, f64::INFINITY));
    let better = times.iter().copied().filter(|(_, time)| *time < (1.0 - MARGIN) * guess.1);
    let chosen = better.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(guess).0;
    let operator = kind.op.name();
    Ok(Tuned { node: kind.node.clone(), operator, nodes: kind.nodes, times, chosen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spared_counts_every_node_of_the_kind() {
        let times = vec![("broadcast", 0.003), ("broadcast_textures", 0.002)];
        let tuned = Tuned { node: "a".into(), operator: "conv2d", nodes: 2, times, chosen: "broadcast_textures" };
        assert!((tuned.spared() - 0.002).abs() < 1e-12);
        assert_eq!(Tuned { chosen: "broadcast", ..tuned }.spared(), 0.0);
    }
}
