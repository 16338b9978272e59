//! Fusion: passes over a finished graph that make a step do less, each of them exact in real arithmetic.
//!
//! A pass keeps the ids of all values that remain, so what is known of a value before fusion holds after it. Values that a pass
//! makes needless have no node any more, and so no memory.

mod bias;
mod clipping;
mod derivative;
mod epilogue;
mod flatten;
mod gradients;
mod head;
mod head_grad;
mod loads;
mod mlp;
mod normalisation;
mod partial_sums;
mod pool_gradient;
mod residual_gradient;
mod statistics;
mod step;

pub use partial_sums::NAME as PARTIAL_SUMS;
use serde::{Deserialize, Serialize};

use super::{Graph, Node, Storage, ValueId};
use crate::error::{Error, Result};
use crate::ops::{Op, Operator};

/// A pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// A linear layer takes an image as it lies, in the order in which flattening would have brought its elements, and its
    /// gradients do so too.
    Flatten,
    /// The gradient of an activation before a max pool is taken of the pooled values, before they are spread out again, and so
    /// is the gradient of a bias.
    PoolGradient,
    /// An activation is applied by what is before it, when that writes its output: a convolution, a linear layer, a sum, a batch
    /// normalisation.
    Epilogue,
    /// A max pool is computed by the convolution before it.
    Pooling,
    /// The gradient of a convolution's weights takes the gradients of the activation and the max pool behind it when it loads
    /// what arrives there.
    Loads,
    /// The gradient of an activation is taken by the gradient of a convolution's or linear layer's input before it, when that
    /// writes its output.
    Derivative,
    /// The gradient of a bias is summed by the gradient of the weights, which loads the same.
    Bias,
    /// The gradients of a layer's weights, bias and input are one node, with that of the max pool behind it.
    Gradients,
    /// That node adds the gradient of a shortcut to that of its input, and takes the gradient of the activation before both.
    ResidualGradient,
    /// A convolution takes the statistics for the batch normalisation behind it of what it writes.
    Statistics,
    /// What they say of an image is applied where that is read: by a sum, or by a convolution and its gradients.
    Normalisation,
    /// Norm, guard, records, the mean of the rows' losses and the step counter are one node before the optimiser.
    Settle,
    /// Partial sums of the gradients of weights are added up by that node, those of several layers at once.
    PartialSums,
    /// The loss and its gradient are one node.
    Loss,
    /// So are the last linear layer and these two.
    Head,
    /// And the gradients of that layer.
    HeadGradients,
    /// And the layer before it.
    Mlp,
    /// Gradients and parameters are clipped by the optimiser.
    Clipping,
}

/// What a pass did at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fusion {
    /// The pass.
    pub pass: Pass,
    /// The nodes that stood there, in their order.
    pub before: Vec<String>,
    /// The nodes that stand there now.
    pub after: Vec<String>,
}

impl Pass {
    /// Every pass, in the order in which they run.
    pub const ALL: [Self; 18] = [
        Self::Flatten,
        Self::PoolGradient,
        Self::Epilogue,
        Self::Pooling,
        Self::Loads,
        Self::Derivative,
        Self::Bias,
        Self::Gradients,
        Self::ResidualGradient,
        // Behind all that knows of convolutions and sums.
        Self::Statistics,
        Self::Normalisation,
        // Before the loss, whose mean it takes over.
        Self::Settle,
        Self::Loss,
        Self::Head,
        Self::HeadGradients,
        Self::Mlp,
        // Of all that is fused by then.
        Self::PartialSums,
        Self::Clipping,
    ];

    /// What `--no-fuse` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flatten => "flatten",
            Self::PoolGradient => "pool-gradient",
            Self::Epilogue => "epilogue",
            Self::Pooling => "pooling",
            Self::Loads => "loads",
            Self::Derivative => "derivative",
            Self::Bias => "bias",
            Self::Gradients => "gradients",
            Self::ResidualGradient => "residual-gradient",
            Self::Statistics => "statistics",
            Self::Normalisation => "normalisation",
            Self::Settle => "settle",
            Self::PartialSums => "partial-sums",
            Self::Loss => "loss",
            Self::Head => "head",
            Self::HeadGradients => "head-gradients",
            Self::Mlp => "mlp",
            Self::Clipping => "clipping",
        }
    }

    /// Whether it is worth something where dispatches cost little beside what they compute, and kernels are chosen one by one: on
    /// processors.
    pub fn serves_processors(self) -> bool {
        !matches!(
            self,
            Self::Gradients
                | Self::ResidualGradient
                | Self::Statistics
                | Self::Normalisation
                | Self::PartialSums
                | Self::HeadGradients
                | Self::Mlp
        )
    }

    fn run(self, graph: &mut Graph) -> Result<Vec<Fusion>> {
        match self {
            Self::Flatten => flatten::run(graph),
            Self::PoolGradient => pool_gradient::run(graph),
            Self::Epilogue => epilogue::activations(graph),
            Self::Pooling => epilogue::pools(graph),
            Self::Loads => loads::run(graph),
            Self::Derivative => derivative::run(graph),
            Self::Bias => bias::run(graph),
            Self::Gradients => gradients::run(graph),
            Self::ResidualGradient => residual_gradient::run(graph),
            Self::Statistics => statistics::run(graph),
            Self::Normalisation => normalisation::run(graph),
            Self::Settle => step::settle(graph),
            Self::PartialSums => partial_sums::run(graph),
            Self::Loss => step::losses(graph),
            Self::Head => head::run(graph),
            Self::HeadGradients => head_grad::run(graph),
            Self::Mlp => mlp::run(graph),
            Self::Clipping => clipping::run(graph),
        }
    }
}

/// Lets `rewrite` change the graph at every position, and asks it again where it did: a node that it removed has another in its place.
fn everywhere(graph: &mut Graph, mut rewrite: impl FnMut(&mut Graph, usize) -> Option<Fusion>) -> Vec<Fusion> {
    let mut done = Vec::new();
    let mut position = 0;
    while position < graph.nodes.len() {
        match rewrite(graph, position) {
            None => position += 1,
            Some(fusion) => done.push(fusion),
        }
    }
    done
}

impl std::str::FromStr for Pass {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|pass| pass.name() == name);
        found.ok_or_else(|| Error::Invalid(format!("there is no fusion pass `{name}`; there are: {}", names())))
    }
}

impl Graph {
    /// The graph with every pass but these, and what they did.
    pub fn fuse(mut self, without: &[Pass]) -> Result<(Self, Vec<Fusion>)> {
        let mut done = Vec::new();
        for pass in Pass::ALL.into_iter().filter(|pass| !without.contains(pass)) {
            done.extend(pass.run(&mut self)?);
        }
        Ok((self, done))
    }

    /// Puts a node at `place`, in that of all those at `positions`, of which it is one; what a pass did there.
    fn unite(&mut self, pass: Pass, mut positions: Vec<usize>, place: usize, node: Node) -> Fusion {
        positions.sort_unstable();
        let before = positions.iter().map(|&position| self.title(position)).collect();
        self.nodes[place] = node;
        let others: Vec<usize> = positions.into_iter().filter(|position| *position != place).collect();
        let at = place - others.iter().filter(|other| **other < place).count();
        for &position in others.iter().rev() {
            self.nodes.remove(position);
        }
        Fusion { pass, before, after: vec![self.title(at)] }
    }

    /// The position of the sum over the rows of a value, which the gradient of a bias is.
    fn sum_of(&self, id: ValueId) -> Option<usize> {
        self.readers(id).into_iter().find(|&reader| matches!(self.nodes[reader].op, Op::SumRows(_)))
    }

    /// The positions of the nodes that read a value.
    fn readers(&self, id: ValueId) -> Vec<usize> {
        let reads = |(position, node): (usize, &Node)| node.inputs.contains(&id).then_some(position);
        self.nodes.iter().enumerate().filter_map(reads).collect()
    }

    /// The position of the node that computes a value of its own, which nothing updates afterwards.
    fn maker(&self, id: ValueId) -> Option<usize> {
        let updated = self.values.iter().any(|value| value.storage == Storage::Updated(id));
        (!updated).then(|| self.nodes.iter().position(|node| node.outputs.contains(&id)))?
    }

    /// The same where the value has so many readers and is gone behind them: what somebody wants to keep stays.
    fn maker_for(&self, id: ValueId, readers: usize) -> Option<usize> {
        let passing = self.value(id).storage == Storage::Slot;
        self.maker(id).filter(|_| passing && self.readers(id).len() == readers)
    }

    /// `conv1 (conv2d)`: how a fusion calls a node.
    fn title(&self, position: usize) -> String {
        let node = &self.nodes[position];
        if node.name == node.op.name() { node.name.clone() } else { format!("{} ({})", node.name, node.op.name()) }
    }
}
