//! The graphs of a training run: one step of training, and one batch of evaluation. Everything that a step needs lies on the
//! device; the host only says how many steps to run.

use std::ops::Range;

use super::augment::Augmentation;
use super::config::TrainConfig;
use super::micro_batch::micro_batches;
use crate::error::{Error, Result};
use crate::graph::{Gradients, Graph, ValueId, differentiate};
use crate::nn::{Layout, Mode, Network, PARAMETERS, STATISTICS, Statistics};
use crate::ops::{self, control};
use crate::tensor::Spec;

/// What a byte of an image is multiplied by before a network sees it.
pub(super) const PIXEL: f32 = 1.0 / 255.0;

/// Names of persistent values, beside the network's own.
pub mod names {
    /// Step counter and flag of training.
    pub const CONTROL: &str = "train.control";
    /// Loss of each step of the epoch.
    pub const LOSSES: &str = "train.losses";
    /// Gradient norm of each step of the epoch.
    pub const NORMS: &str = "train.norms";
    /// Right answers in each step of the epoch.
    pub const CORRECTS: &str = "train.corrects";
    /// Learning rate and the optimiser's corrections of each step of the epoch.
    pub const RATES: &str = "train.rates";
    /// The flat gradient; behind the step it is clipped as far as no pass has left that to the optimiser.
    pub const GRADIENTS: &str = "gradients";
    /// The flat gradient of a micro-batch that is not the step's first, before it joins the others.
    pub const PART: &str = "gradients.part";
    /// The optimiser's moments.
    pub const MOMENTS: [&str; 2] = ["moment.0", "moment.1"];
}

/// A set of images on the device, whose persistent values begin with `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// `train`, `validation` or `test`.
    pub name: String,
    /// Images.
    pub len: usize,
    /// Height, width, channels.
    pub image: [usize; 3],
    /// Images a shard; the last one holds the rest.
    pub shard: usize,
}

impl Resident {
    /// Shards small enough for bindings of this size.
    pub fn new(name: &str, len: usize, image: [usize; 3], max_binding_bytes: u64) -> Self {
        let bytes = image.iter().product::<usize>().max(1) as u64;
        let shard = (max_binding_bytes / bytes).min(len as u64).max(1) as usize;
        Self { name: name.into(), len, image, shard }
    }

    /// Name and rows of each shard.
    pub fn shards(&self) -> Vec<(String, std::ops::Range<usize>)> {
        let starts = (0..self.len).step_by(self.shard).enumerate();
        let shard =
            |(i, start): (usize, usize)| (format!("{}.images.{i}", self.name), start..self.len.min(start + self.shard));
        starts.map(shard).collect()
    }

    /// Name of the labels.
    pub fn labels(&self) -> String {
        format!("{}.labels", self.name)
    }

    /// Adds rows of the batch of the current step: images as floats in [0, 1], and labels.
    fn gather(
        &self,
        graph: &mut Graph,
        control: ValueId,
        (batch, rows): (usize, Range<usize>),
        shuffle: Option<u32>,
    ) -> Result<[ValueId; 2]> {
        let [h, w, c] = self.image;
        let mut operands = vec![control, graph.persistent(&self.labels(), Spec::u32([self.len]))];
        for (name, rows) in self.shards() {
            operands.push(graph.persistent(&name, Spec::u8([rows.len(), h, w, c])));
        }
        let (scale, offset) = (vec![PIXEL; c], vec![0.0; c]);
        let gather = ops::GatherBatch { batch, rows, len: self.len, shuffle, scale, offset };
        let outputs = graph.apply("batch", gather, &operands)?;
        Ok([outputs[0], outputs[1]])
    }
}

pub(super) fn no_output(network: &Network) -> Error {
    Error::Invalid(format!("network {} has no layers", network.name))
}

/// Whether the network's output can be scored against class labels.
pub(super) fn check_logits(graph: &Graph, logits: ValueId, network: &Network) -> Result<()> {
    let shape = &graph.spec(logits).shape;
    match shape.len() {
        2 => Ok(()),
        _ => Err(Error::Invalid(format!(
            "network {} ends in shape {shape:?}; to train it on classes, end it with flatten or global_avg_pool2d and a linear layer",
            network.name
        ))),
    }
}

/// One step of training on a resident data set: gather, then [`step`].
pub fn train(network: &Network, layout: &Layout, data: &Resident, config: &TrainConfig) -> Result<Graph> {
    Ok(train_with_values(network, layout, data, config)?.0)
}

/// [`train`], and the values in it that are known by the layers.
pub fn train_with_values(
    network: &Network,
    layout: &Layout,
    data: &Resident,
    config: &TrainConfig,
) -> Result<(Graph, StepValues)> {
    let mut graph = Graph::new();
    let control = graph.persistent(names::CONTROL, Spec::u32([control::LEN]));
    let seed = random_seed(config.seed);
    let gather = |graph: &mut Graph, rows: Range<usize>| {
        let first = rows.start;
        let [images, labels] = data.gather(graph, control, (config.batch, rows), Some(seed))?;
        let (images, mixed) = config.augment.apply(graph, (seed, first), [control, images, labels])?;
        Ok(Fed { images, labels, mixed })
    };
    let place = Place { control, steps: data.len / config.batch };
    let values = step(&mut graph, (network, layout), place, config, gather)?;
    Ok((graph, values))
}

/// The seed of everything that a step of a run of this seed draws.
fn random_seed(seed: u64) -> u32 {
    ops::random::pcg(seed as u32 ^ ops::random::pcg((seed >> 32) as u32))
}

/// Where in a run a step of training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Step counter and flag.
    pub control: ValueId,
    /// Rows of the tables of rates, losses, norms and right answers: step `i` uses row `i % steps`.
    pub steps: usize,
}

/// What a micro-batch starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// `[n, h, w, c]`
    pub images: ValueId,
    /// `[n]`
    pub labels: ValueId,
    /// What the images are mixed with, if with anything.
    pub mixed: Option<Mixed>,
}

/// What images are mixed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixed {
    /// The labels of the other images, `[n]`.
    pub others: ValueId,
    /// The shares of the other images, `[n]`.
    pub shares: ValueId,
}

/// Values of a step of training, for each of its micro-batches; fusion keeps the ids of what it leaves.
#[derive(Debug, Clone, Default)]
pub struct StepValues {
    /// The network's output.
    pub logits: Vec<ValueId>,
    /// The output of each layer and its gradient, where the step computes one.
    pub layers: Vec<Vec<(ValueId, Option<ValueId>)>>,
}

/// Adds a step of training: for each micro-batch forward and backward, then guard, record, clip, update, count. `gather` adds
/// the images, labels and mixtures of these rows of the batch.
///
/// Each micro-batch is nodes of its own, one after the other, so that what a micro-batch leaves free the next one uses, and
/// whatever walks through a graph sees all of them.
pub fn step(
    g: &mut Graph,
    (network, layout): (&Network, &Layout),
    place: Place,
    config: &TrainConfig,
    mut gather: impl FnMut(&mut Graph, Range<usize>) -> Result<Fed>,
) -> Result<StepValues> {
    let Place { control, steps } = place;
    let all = micro_batches(config.batch, config.micro_batch);
    // What a node is called that there is once for each micro-batch.
    let named = |name: &str, number: usize| match all.len() {
        1 => name.to_owned(),
        _ => format!("{name} of micro-batch {}", number + 1),
    };
    let (mut parts, mut values, mut sums) = (Vec::new(), StepValues::default(), None::<[ValueId; 2]>);
    for (number, rows) in all.iter().enumerate() {
        let begun = g.nodes().len();
        let fed = gather(g, rows.clone())?;
        let part = part(g, (network, layout), control, config, (rows, fed, number))?;
        g.rename(begun, |name| named(name, number));
        sums = Some(match sums {
            None => [part.loss, part.gradients],
            Some([loss, gradients]) => [
                g.apply1(&named("loss_sum", number), ops::Add, &[loss, part.loss])?,
                g.apply1(&named("gradient_sum", number), ops::Accumulate, &[gradients, part.gradients])?,
            ],
        });
        values.logits.push(part.logits);
        values.layers.push(part.layers.clone());
        parts.push(part);
    }
    let [loss, gradients] = sums.ok_or_else(|| Error::Invalid("a batch has no images".into()))?;
    let norm = g.apply1("gradient_norm", ops::GradNorm, &[gradients])?;
    let control = g.apply1("guard", ops::Guard, &[control, loss, norm])?;
    for (number, part) in parts.iter().enumerate() {
        let record = ops::RecordStep { adds: number > 0 };
        let lists = [(names::LOSSES, Spec::f32([steps])), (names::NORMS, Spec::f32([steps]))];
        let lists = lists.into_iter().chain([(names::CORRECTS, Spec::u32([steps]))]);
        let lists = lists.map(|(name, spec)| g.persistent(name, spec));
        let operands: Vec<_> = [control, loss, norm, part.logits, part.labels].into_iter().chain(lists).collect();
        g.apply(&named("record", number), record, &operands)?;
    }
    let gradients = clip(g, config, gradients, norm, control)?;
    update(g, config, steps, layout, gradients, control)?;
    for (number, part) in parts.iter().enumerate() {
        for statistics in &part.statistics {
            let name = named(&format!("{}.running_stats", statistics.layer), number);
            let [mean, var, batch_mean, batch_var] = statistics.operands;
            let op = ops::RunningStats { momentum: statistics.momentum };
            g.apply(&name, op, &[mean, var, batch_mean, batch_var, control])?;
        }
    }
    g.apply("advance", ops::Advance, &[control])?;
    Ok(values)
}

/// Forward and backward of a micro-batch.
struct Part {
    labels: ValueId,
    logits: ValueId,
    /// Its part of the mean over the batch.
    loss: ValueId,
    /// Its part of the flat gradient.
    gradients: ValueId,
    layers: Vec<(ValueId, Option<ValueId>)>,
    statistics: Vec<Statistics>,
}

/// Adds forward and backward of the `number`-th micro-batch: these rows of the batch, with what they start from.
fn part(
    g: &mut Graph,
    (network, layout): (&Network, &Layout),
    control: ValueId,
    config: &TrainConfig,
    (rows, fed, number): (&Range<usize>, Fed, usize),
) -> Result<Part> {
    let Fed { images, labels, mixed } = fed;
    let mode = Mode::Train { seed: random_seed(config.seed), first: rows.start };
    let built = network.build(g, &[images], control, mode, layout)?;
    let logits = built.output().ok_or_else(|| no_output(network))?;
    check_logits(g, logits, network)?;
    let label_smoothing = config.label_smoothing;
    let mut loss = match mixed {
        None => g.apply1("loss", ops::SoftmaxCrossEntropy { label_smoothing }, &[logits, labels])?,
        Some(Mixed { others, shares }) => {
            g.apply1("loss", ops::MixupCrossEntropy { label_smoothing }, &[logits, labels, others, shares])?
        }
    };
    let share = g.constant("share", [1], vec![rows.len() as f32 / config.batch as f32]);
    let flat = if number == 0 { names::GRADIENTS } else { names::PART };
    let (gradients, by_value) = backward(g, (loss, share), &built.parameters, layout, flat)?;
    if rows.len() < config.batch {
        loss = g.apply1("loss_share", ops::Mul, &[loss, share])?;
    }
    let layers = built.layers.iter().map(|&value| (value, by_value.of(value))).collect();
    Ok(Part { labels, logits, loss, gradients, layers, statistics: built.statistics })
}

/// Adds the backward nodes from a loss that has this gradient itself, and gathers the gradients in a flat buffer; answers that
/// buffer, and all gradients.
pub fn backward(
    g: &mut Graph,
    (loss, seed): (ValueId, ValueId),
    parameters: &[ValueId],
    layout: &Layout,
    flat: &str,
) -> Result<(ValueId, Gradients)> {
    let gradients = differentiate(g, loss, seed, parameters)?;
    let flat = g.persistent(flat, Spec::f32([layout.len]));
    for (&parameter, placed) in parameters.iter().zip(&layout.parameters) {
        // A parameter that the loss does not depend on keeps its zero gradient.
        if let Some(gradient) = gradients.of(parameter) {
            g.place(gradient, flat, placed.offset)?;
        }
    }
    Ok((flat, gradients))
}

fn clip(g: &mut Graph, config: &TrainConfig, gradients: ValueId, norm: ValueId, control: ValueId) -> Result<ValueId> {
    let mut gradients = gradients;
    if let Some(limit) = config.clip_value {
        gradients = g.apply1("clip_value", ops::ClipValue { limit }, &[gradients, control])?;
    }
    if let Some(max_norm) = config.clip_norm {
        // After clipping by value the norm is another one.
        let norm = match config.clip_value {
            None => norm,
            Some(_) => g.apply1("clipped_norm", ops::GradNorm, &[gradients])?,
        };
        gradients = g.apply1("clip_norm", ops::ClipGradNorm { max_norm }, &[gradients, norm])?;
    }
    Ok(gradients)
}

fn update(
    g: &mut Graph,
    config: &TrainConfig,
    steps: usize,
    layout: &Layout,
    gradients: ValueId,
    control: ValueId,
) -> Result<()> {
    let operator = config.optimizer.operator();
    let parameters = g.persistent(PARAMETERS, Spec::f32([layout.len]));
    let rates = g.persistent(names::RATES, Spec::f32([steps, ops::optimizer::RATES]));
    let mut operands = vec![parameters, gradients, rates, control];
    for name in &names::MOMENTS[..operator.moments()] {
        operands.push(g.persistent(name, Spec::f32([layout.len])));
    }
    let parameters = g.apply1("optimizer", operator, &operands)?;
    if let Some(limit) = config.clip_weights {
        g.apply("clip_weights", ops::ClipValue { limit }, &[parameters, control])?;
    }
    Ok(())
}

/// One batch of evaluation: gather in order, forward, record each row's loss and class.
pub fn evaluate(network: &Network, layout: &Layout, data: &Resident, batch: usize) -> Result<Graph> {
    let mut graph = Graph::new();
    let g = &mut graph;
    let control = g.persistent(&format!("{}.control", data.name), Spec::u32([control::LEN]));
    let [images, labels] = data.gather(g, control, (batch, 0..batch), None)?;
    let built = network.build(g, &[images], control, Mode::Evaluate, layout)?;
    let logits = built.output().ok_or_else(|| no_output(network))?;
    check_logits(g, logits, network)?;
    let rows = g.apply("loss", ops::SoftmaxCrossEntropy { label_smoothing: 0.0 }, &[logits, labels])?[1];
    let losses = g.persistent(&format!("{}.losses", data.name), Spec::f32([data.len]));
    let classes = g.persistent(&format!("{}.classes", data.name), Spec::u32([data.len]));
    g.apply("record", ops::RecordEvaluation, &[control, logits, rows, losses, classes])?;
    g.apply("advance", ops::Advance, &[control])?;
    Ok(graph)
}

/// One batch of prediction: gather in order, forward, the logits into the persistent value `NAME.logits`.
pub fn predict(network: &Network, layout: &Layout, data: &Resident) -> Result<Graph> {
    let mut graph = Graph::new();
    let g = &mut graph;
    let control = g.persistent(&format!("{}.control", data.name), Spec::u32([control::LEN]));
    let [images, _] = data.gather(g, control, (data.len, 0..data.len), None)?;
    let built = network.build(g, &[images], control, Mode::Evaluate, layout)?;
    let logits = built.output().ok_or_else(|| no_output(network))?;
    check_logits(g, logits, network)?;
    let kept = g.persistent(&format!("{}.logits", data.name), g.spec(logits).clone());
    g.place(logits, kept, 0)?;
    Ok(graph)
}

/// The images of a set in the order of the set, changed as a step of training changes them, into the persistent value `NAME.seen`;
/// each run of it is another step.
pub fn augment(data: &Resident, augment: &Augmentation, seed: u64) -> Result<Graph> {
    let mut graph = Graph::new();
    let g = &mut graph;
    let control = g.persistent(&format!("{}.control", data.name), Spec::u32([control::LEN]));
    let [images, labels] = data.gather(g, control, (data.len, 0..data.len), None)?;
    let (images, _) = augment.apply(g, (random_seed(seed), 0), [control, images, labels])?;
    let kept = g.persistent(&format!("{}.seen", data.name), g.spec(images).clone());
    g.place(images, kept, 0)?;
    g.apply("advance", ops::Advance, &[control])?;
    Ok(graph)
}

/// Names of the persistent values that make up the state of a run.
pub fn state_names(config: &TrainConfig) -> Vec<&'static str> {
    let moments = &names::MOMENTS[..config.optimizer.operator().moments()];
    [PARAMETERS, STATISTICS].into_iter().chain(moments.iter().copied()).collect()
}
