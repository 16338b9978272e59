//! Activations that fusion left inside of a kernel, computed again in watched steps, so that they are measured like all others.
//!
//! A convolution that pools what it computes leaves the pooled activation alone. Of that, neither how many elements are zero nor
//! how many are saturated can be told for the activation itself, and what arrives at the pool is spread out nowhere.

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::nn::{Layer, Network};
use crate::ops::{Activation, BatchNorm2dApply, Conv2dActivation, Conv2dMaxPool2d, MaxPool2dGrad, Op};
use crate::train::program::StepValues;

/// A node that computes again what a fused one did not write.
struct Again {
    after: usize,
    op: Op,
    inputs: Vec<ValueId>,
    output: ValueId,
}

/// A layer's output, and its gradient where a step computes one.
type Layered = (ValueId, Option<ValueId>);

/// Adds, behind each convolution that pools its activation, the activation itself, and what a batch normalisation and the activation
/// behind it make of an image where that is read. A tensor that no binding of `most_bytes` spans
/// stays hidden. Answers which gradients of such activations have the elements of another gradient, and zeros besides: that of a
/// pool whose windows do not overlap. The others are computed again too.
pub(super) fn uncover(
    graph: &mut Graph,
    network: &Network,
    values: &StepValues,
    most_bytes: u64,
) -> Result<HashMap<ValueId, ValueId>> {
    let (mut all, mut spread) = (Vec::new(), HashMap::new());
    for part in &values.layers {
        for (layer, named) in network.layers.iter().enumerate() {
            let activated = network.before(layer).filter(|_| matches!(named.layer, Layer::MaxPool2d(_)));
            spread.extend(spread_inside(graph, network, part, layer));
            all.extend(normalised(graph, network, part, layer));
            let Some(activated) = activated.map(|layer| part[layer]) else { continue };
            let Some((fused, op, activation)) = pooling(graph, activated, part[layer]) else { continue };
            let (node, Conv2dMaxPool2d { conv, pool, .. }) = (&graph.nodes()[fused], op);
            let again = Conv2dActivation { conv, activation }.into();
            all.push(Again { after: fused, op: again, inputs: node.inputs.clone(), output: activated.0 });
            let Some((output, arriving, after)) = arriving(graph, activated, part[layer]) else { continue };
            let [input, windows] = [activated.0, part[layer].0].map(|value| {
                let shape = &graph.spec(value).shape;
                [shape[1], shape[2]]
            });
            if pool.tiles(windows, input) {
                spread.insert(output, arriving);
            } else {
                let (again, inputs) = (MaxPool2dGrad { pool, input }.into(), vec![arriving, node.outputs[1]]);
                all.push(Again { after, op: again, inputs, output });
            }
        }
    }
    all.retain(|again| graph.spec(again.output).bytes() as u64 <= most_bytes);
    // The last first: nodes behind an inserted one move.
    all.sort_by_key(|again| std::cmp::Reverse(again.after));
    for Again { after, op, inputs, output } in all {
        graph.compute_again(after, op, inputs, output)?;
    }
    Ok(spread)
}

/// The node that computes a pool with the convolution and the activation before it, which nothing else computes.
fn pooling(graph: &Graph, activated: Layered, pool: Layered) -> Option<(usize, Conv2dMaxPool2d, Activation)> {
    let fused = graph.computed_by(pool.0)?;
    match graph.nodes()[fused].op {
        Op::Conv2dMaxPool2d(op) if graph.computed_by(activated.0).is_none() => Some((fused, op, op.activation?)),
        _ => None,
    }
}

/// What a batch normalisation makes of the image of the convolution before it, and the activation behind it, if this layer is one, where
/// others do that as they read the image.
fn normalised(graph: &Graph, network: &Network, part: &[Layered], layer: usize) -> Option<Again> {
    let activation = network.layers[layer].layer.activation();
    let norm = if activation.is_some() { network.before(layer)? } else { layer };
    let conv = network.before(norm).filter(|_| matches!(network.layers[norm].layer, Layer::BatchNorm2d { .. }))?;
    let output = part[layer].0;
    let after = graph.computed_by(part[conv].0).filter(|_| graph.computed_by(output).is_none())?;
    let inputs = vec![part[conv].0, *graph.nodes()[after].outputs.get(4)?];
    let reads = |node: &Node| {
        let through = match &node.op {
            Op::Conv2dStatistics(op) => op.before.map(|before| before.activation),
            Op::Conv2dGrad(op) => op.normalised.then_some(op.activation),
            Op::BatchNorm2dApply(_) if node.inputs.len() > 2 => Some(None),
            _ => None,
        };
        through == Some(activation) && node.inputs[0] == inputs[0] && node.inputs.contains(&inputs[1])
    };
    let op = BatchNorm2dApply { activation }.into();
    graph.nodes().iter().any(reads).then_some(Again { after, op, inputs, output })
}

/// The gradient of the output of a convolution below this max pool, where the gradients of that convolution spread it out themselves,
/// and what they spread. Windows tile what they are taken of there.
fn spread_inside(graph: &Graph, network: &Network, part: &[Layered], pool: usize) -> Option<(ValueId, ValueId)> {
    // Both know it by the places of the maxima.
    let places = *graph.nodes()[graph.computed_by(part[pool].0)?].outputs.get(1)?;
    let spreads = |op: &Op| matches!(op, Op::Conv2dGrad(grad) if grad.pool.is_some());
    let backward = graph.nodes().iter().find(|node| spreads(&node.op) && node.inputs[3] == places)?;
    let mut layer = network.before(pool)?;
    while !matches!(network.layers[layer].layer, Layer::Conv2d(_)) {
        layer = network.before(layer)?;
    }
    Some((part[layer].1?, backward.inputs[1]))
}

/// The gradient of an activation that nothing computes, and the one that arrives at the pool behind it, with the number of the node
/// that computes that.
fn arriving(graph: &Graph, activated: Layered, pool: Layered) -> Option<(ValueId, ValueId, usize)> {
    let (hidden, arriving) = (activated.1.filter(|&gradient| graph.computed_by(gradient).is_none())?, pool.1?);
    Some((hidden, arriving, graph.computed_by(arriving)?))
}

/// The layers before this one, in their order, whose outputs only exist inside of the kernel that computes its own.
pub(super) fn inside(network: &Network, layer: usize, computed: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = network.before(layer);
    while let Some(layer) = at.filter(|&layer| !computed(layer)) {
        found.insert(0, layer);
        at = network.before(layer);
    }
    found
}
