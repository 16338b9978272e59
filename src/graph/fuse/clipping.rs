//! Clipping is done by the optimiser: of the gradient when it loads that, of the parameters when it writes them.

use super::{Fusion, Graph, Pass, ValueId};
use crate::error::Result;
use crate::ops::{ClippedOptimizer, Op};

/// A step has one optimiser.
pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let optimizer = graph.nodes.iter().position(|node| matches!(node.op, Op::Optimizer(_)));
    Ok(optimizer.and_then(|position| around(graph, position)).into_iter().collect())
}

/// Joins the optimiser at `position` with what clips before and behind it, if anything does.
fn around(graph: &mut Graph, position: usize) -> Option<Fusion> {
    let mut node = graph.nodes[position].clone();
    let Op::Optimizer(optimizer) = node.op else { return None };
    let mut op = ClippedOptimizer::from(optimizer);
    let control = node.inputs[3];
    let mut all = vec![position];
    if let Some(at) = clip_before(graph, position, node.inputs[1])
        && let Op::ClipGradNorm(clip) = &graph.nodes[at].op
    {
        op.norm = Some(clip.max_norm);
        node.inputs[1] = graph.nodes[at].inputs[0];
        node.inputs.push(graph.nodes[at].inputs[1]);
        all.push(at);
    }
    // The norm of a gradient that was clipped by value before is another reader of that.
    let reader = all[all.len() - 1];
    if let Some(at) = clip_before(graph, reader, node.inputs[1])
        && let Op::ClipValue(clip) = &graph.nodes[at].op
        && graph.nodes[at].inputs[1] == control
    {
        op.value = Some(clip.limit);
        node.inputs[1] = graph.nodes[at].inputs[0];
        all.push(at);
    }
    if let [at] = graph.readers(node.outputs[0])[..]
        && let Op::ClipValue(clip) = &graph.nodes[at].op
        && graph.nodes[at].inputs == [node.outputs[0], control]
    {
        op.parameters = Some(clip.limit);
        node.outputs[0] = graph.nodes[at].outputs[0];
        all.push(at);
    }
    node.op = op.into();
    (all.len() > 1).then(|| graph.unite(Pass::Clipping, all, position, node))
}

/// What makes the gradient that only the node at `position` reads.
fn clip_before(graph: &Graph, position: usize, gradient: ValueId) -> Option<usize> {
    graph.maker(gradient).filter(|_| graph.readers(gradient) == [position])
}
