//! Gradients of weights are sums over batch and space, which a GPU computes in parts. Where `settle` comes next, the parts are left to
//! it: it adds them up as it takes the norm, for all layers in one dispatch, instead of a dispatch behind each layer.

use super::{Fusion, Graph, Pass, Storage, ValueId};
use crate::error::Result;
use crate::graph::ALIGNMENT;
use crate::ops::fused::step::PLACE;
use crate::ops::{Op, Operator};
use crate::tensor::{Elements, Spec};

/// The flat buffer of the partial sums.
pub const NAME: &str = "gradient_sums";
/// Elements of the partial sums of a layer: so many keep a GPU busy that computes them.
const WANTED: usize = 1 << 21;
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
    if let Op::LinearCrossEntropyGrad(mut op) = node.op {
        // Its kernel keeps a sum for each row.
        op.grad.images = Some(1);
        let wanted = op.grad.dx();
        return (sums.len() == wanted && batch > 1).then(|| Layer { position, op: op.into(), parts: batch });
    }
    if let Op::MlpCrossEntropyGrad(mut op) = node.op {
        op.head.grad.images = Some(1);
        let wanted = op.head.grad.dx();
        return (sums.len() == wanted && batch > 1).then(|| Layer { position, op: op.into(), parts: batch });
    }
    let weights = graph.spec(node.outputs[0]).len();
    // Pixels of an image that the sums are over, those of a part at least, and how many results are sums.
    let (image, least, wanted) = match &node.op {
        Op::Conv2dGrad(op) => {
            let dy = &graph.spec(node.inputs[1]).shape;
            let [h, w] = op.pool.map_or([dy[1], dy[2]], |pool| pool.input);
            // So many terms has a sum of the gradient of the input, which is computed beside them.
            (h * w, op.weight.kernel.iter().product::<usize>() * dy[3], op.dx())
        }
        Op::Conv2dMaxPool2dGradWeight(op) => {
            let x = &graph.spec(node.inputs[0]).shape;
            let [h, w] = op.forward.between([x[1], x[2]], op.kernel).ok()?;
            (h * w, 1, 1 + usize::from(op.bias))
        }
        _ => return None,
    };
    if sums.len() != wanted {
        return None;
    }
    let parts = (WANTED / weights.max(1)).clamp(1, (batch * image).div_ceil(least)).min(batch);
    let images = batch.div_ceil(parts);
    let parts = batch.div_ceil(images);
    let op: Op = match node.op.clone() {
        Op::Conv2dGrad(op) => crate::ops::Conv2dGrad { images: Some(images), ..op }.into(),
        Op::Conv2dMaxPool2dGradWeight(op) => {
            crate::ops::Conv2dMaxPool2dGradWeight { images: Some(images), ..op }.into()
        }
        _ => return None,
    };
    (parts > 1).then_some(Layer { position, op, parts })
}
