//! `linear_cross_entropy_and_grad → linear_grad` becomes one node, where the layer is so small that it costs little to keep a sum for
//! each row: the last layer of a classifier, its loss and all its gradients.

use super::{Fusion, Graph, Pass, everywhere};
use crate::error::Result;
use crate::ops::{LinearCrossEntropyGrad, Op};

/// Weights of the layer, and sums that are kept.
const MOST_WEIGHTS: usize = 1 << 12;
const MOST_SUMS: usize = 1 << 20;

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| {
        let (grads, op) = found(graph, position)?;
        let before = vec![graph.title(position), graph.title(grads)];
        let behind = graph.nodes.remove(grads);
        let node = &mut graph.nodes[position];
        node.name = format!("{}+{}", node.name, behind.name);
        node.op = op.into();
        node.inputs.extend(behind.inputs.get(3));
        node.outputs.extend(behind.outputs);
        Some(Fusion { pass: Pass::HeadGradients, before, after: vec![graph.title(position)] })
    }))
}

/// The gradients of the layer at `position`, and what the two become.
fn found(graph: &Graph, position: usize) -> Option<(usize, LinearCrossEntropyGrad)> {
    let node = &graph.nodes[position];
    let Op::LinearCrossEntropyAndGrad(head) = node.op else { return None };
    let (rows, weights) = (graph.spec(node.outputs[0]).shape[0], graph.spec(node.inputs[1]).len());
    if weights > MOST_WEIGHTS || rows * weights > MOST_SUMS {
        return None;
    }
    let dlogits = node.outputs[2];
    let grads = graph.readers(dlogits).into_iter().find(|&reader| {
        let Op::LinearGrad(_) = graph.nodes[reader].op else { return false };
        graph.nodes[reader].inputs[..3] == [node.inputs[0], dlogits, node.inputs[1]]
    })?;
    let behind = &graph.nodes[grads];
    let Op::LinearGrad(grad) = behind.op else { return None };
    // What is saved of an activation is there before the layer reads its output.
    let there = behind.inputs.get(3).is_none_or(|&saved| graph.maker(saved).is_none_or(|maker| maker < position));
    there.then_some((grads, LinearCrossEntropyGrad { head, grad }))
}
