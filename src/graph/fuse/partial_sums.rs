//! Gradients of weights are sums over batch and space, which a GPU computes in parts. Where `settle` comes next, the parts are left to
//! it: it adds them up as it takes the norm, in one dispatch, instead of a dispatch behind each layer. So it is for convolutions whose
//! gradients are one node or that stand before a max pool, and for the last layers of a small classifier; what others sum in parts they
//! add up themselves.

use super::{Fusion, Graph, Pass, Storage, ValueId};
use crate::error::Result;
use crate::graph::ALIGNMENT;
use crate::ops::fused::step::PLACE;
use crate::ops::{Op, Operator};
use crate::tensor::{Elements, Spec};

/// The flat buffer of the partial sums.
pub const NAME: &str = "gradient_sums";
/// Elements of the partial sums of a layer: computing so many keeps a GPU busy.
const WANTED: usize = 1 << 21;
/// Parts of which one invocation adds up an element.
const MOST_PARTS: usize = 256;
/// Elements of those of all layers; the sums of the layers behind them are not left to the end.
const MOST: usize = 1 << 24;

/// A layer whose gradients come in parts.
struct Layer {
    position: usize,
    /// The operator that computes the parts.
    op: Op,
    /// Into how many they fall.
    parts: usize,
}

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let Some(end) = graph.nodes.iter().position(|node| matches!(node.op, Op::Settle(_))) else { return Ok(Vec::new()) };
    let gradients = graph.nodes[end].inputs[4];
    let layers: Vec<Layer> = (0..end).filter_map(|position| layer(graph, position, end, gradients)).collect();
    let mut before = Vec::new();
    let (mut places, mut len, mut most) = (vec![0; graph.spec(gradients).len().div_ceil(PLACE) * 4], 0, 0);
    let mut parts: Vec<(usize, usize, Spec, usize)> = Vec::new();
    for Layer { position, op, parts: count } in layers {
        let node = &graph.nodes[position];
        let specs = op.infer(&graph.specs(&node.inputs))?;
        let sums = sums_of(graph, position, gradients);
        let wanted: usize = sums.iter().map(|&(number, _)| specs[number].len().next_multiple_of(ALIGNMENT)).sum();
        if len + wanted > MOST {
            continue;
        }
        before.push(graph.title(position));
        for (number, offset) in sums {
            let each = specs[number].len() / count;
            for first in (0..each).step_by(PLACE) {
                let row = [len + first, each, count, (each - first).min(PLACE)];
                let at = (offset + first) / PLACE * 4;
                places[at..at + 4].copy_from_slice(&row.map(|value| value as u32));
            }
            parts.push((position, number, specs[number].clone(), len));
            len += specs[number].len().next_multiple_of(ALIGNMENT);
        }
        most = most.max(count);
        graph.nodes[position].op = op;
    }
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let flat = graph.persistent(NAME, Spec::f32([len]));
    for (position, number, spec, offset) in parts {
        let name = format!("{}.sums", graph.nodes[position].name);
        graph.nodes[position].outputs[number] = graph.within(flat, &name, spec, offset);
    }
    let rows = places.len() / 4;
    let table = Storage::Constant(Elements::U32(places));
    let table = graph.add("gradient_sums.places".into(), Spec::u32([rows, 4]), table);
    let summed = graph.add("gradients.summed".into(), graph.spec(gradients).clone(), Storage::Updated(gradients));
    before.push(graph.title(end));
    let node = &mut graph.nodes[end];
    if let Op::Settle(op) = &mut node.op {
        op.parts = Some(most);
    }
    node.inputs.extend([flat, table]);
    node.outputs.push(summed);
    let after = before.clone();
    for node in graph.nodes.iter_mut().skip(end + 1) {
        node.inputs.iter_mut().filter(|input| **input == gradients).for_each(|input| *input = summed);
    }
    Ok(vec![Fusion { pass: Pass::PartialSums, before, after }])
}

/// The results of a node that lie in the flat gradient, and where they begin there.
fn sums_of(graph: &Graph, position: usize, gradients: ValueId) -> Vec<(usize, usize)> {
    let place = |(number, id): (usize, &ValueId)| match graph.value(*id).storage {
        Storage::Within { parent, offset } if parent == gradients => Some((number, offset)),
        _ => None,
    };
    graph.nodes[position].outputs.iter().enumerate().filter_map(place).collect()
}

/// What becomes of the node at `position`, if its gradients of weights come in parts and nobody reads them before the end of the step.
fn layer(graph: &Graph, position: usize, end: usize, gradients: ValueId) -> Option<Layer> {
    let node = &graph.nodes[position];
    let sums = sums_of(graph, position, gradients);
    let early = |id: ValueId| !graph.readers(id).is_empty();
    let others_read = graph.readers(gradients).into_iter().any(|reader| reader < end);
    if others_read || sums.iter().any(|&(number, _)| early(node.outputs[number])) {
        return None;
    }
    let batch = graph.spec(node.inputs[0]).shape[0];
    let weights = graph.spec(node.outputs[0]).len();
    // How many results are sums, the pixels of an image that they are over, and those of a part at least.
    let (wanted, image, least) = match &node.op {
        Op::Conv2dGrad(op) => {
            let dy = &graph.spec(node.inputs[1]).shape;
            let [h, w] = op.pool.map_or([dy[1], dy[2]], |pool| pool.input);
            // So many terms has a sum of the gradient of the input, which is computed beside them.
            (op.dx(), h * w, op.weight.kernel.iter().product::<usize>() * dy[3])
        }
        Op::Conv2dMaxPool2dGradWeight(op) if op.forward.conv.groups == 1 => {
            let (x, dy) = (&graph.spec(node.inputs[0]).shape, &graph.spec(node.inputs[1]).shape);
            let [h, w] = op.forward.between([x[1], x[2]], op.kernel).ok()?;
            op.forward.pool.tiles([dy[1], dy[2]], [h, w]).then_some((1 + usize::from(op.bias), h * w, 1))?
        }
        // Their kernel keeps a sum for each row.
        Op::LinearCrossEntropyGrad(op) => (op.grad.dx(), 1, 0),
        Op::MlpCrossEntropyGrad(op) => (op.head.grad.dx(), 1, 0),
        _ => return None,
    };
    let each = match least {
        0 => 1,
        least => {
            let parts = (WANTED / weights.max(1)).clamp(1, (batch * image).div_ceil(least)).min(batch).min(MOST_PARTS);
            batch.div_ceil(parts)
        }
    };
    let parts = batch.div_ceil(each);
    if sums.len() != wanted || !(2..=MOST_PARTS).contains(&parts) {
        return None;
    }
    let mut op = node.op.clone();
    match &mut op {
        Op::Conv2dGrad(op) => op.images = Some(each),
        Op::Conv2dMaxPool2dGradWeight(op) => op.images = Some(each),
        Op::LinearCrossEntropyGrad(op) => op.grad.images = Some(each),
        Op::MlpCrossEntropyGrad(op) => op.head.grad.images = Some(each),
        _ => return None,
    }
    Some(Layer { position, op, parts })
}
