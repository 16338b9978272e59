//! `linear → softmax_cross_entropy_and_grad` becomes one node: the last layer of a classifier, its loss and the gradient of the loss.

use super::{Fusion, Graph, Node, Pass, ValueId, everywhere};
use crate::error::Result;
use crate::ops::{LinearCrossEntropyAndGrad, Op};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| match graph.nodes[position].op {
        Op::SoftmaxCrossEntropyAndGrad(loss) => join(graph, position, LinearCrossEntropyAndGrad { loss }),
        _ => None,
    }))
}

fn join(graph: &mut Graph, position: usize, op: LinearCrossEntropyAndGrad) -> Option<Fusion> {
    let [logits, labels, upstream] = *graph.nodes[position].inputs else { return None };
    let layer = graph.maker(logits).filter(|&maker| matches!(graph.nodes[maker].op, Op::Linear(_)))?;
    // The layer moves down to its loss: nobody between them may want the logits, or change what the layer reads.
    let read: Vec<ValueId> = graph.nodes[layer].inputs.iter().map(|&input| graph.root(input)).collect();
    let stays = |node: &Node| {
        node.inputs.iter().all(|&input| graph.root(input) != graph.root(logits))
            && node.outputs.iter().all(|&output| !read.contains(&graph.root(output)))
    };
    graph.nodes[layer + 1..position].iter().all(stays).then_some(())?;
    let before = vec![graph.title(layer), graph.title(position)];
    let linear = graph.nodes.remove(layer);
    let node = &mut graph.nodes[position - 1];
    node.name = format!("{}+{}", linear.name, node.name);
    node.inputs = [&linear.inputs[..2], &[labels, upstream], &linear.inputs[2..]].concat();
    node.outputs.insert(0, logits);
    node.op = op.into();
    Some(Fusion { pass: Pass::Head, before, after: vec![graph.title(position - 1)] })
}
