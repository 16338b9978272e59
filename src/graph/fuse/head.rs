//! `linear → softmax_cross_entropy_and_grad` becomes one node: the last layer of a classifier, its loss and the gradient of the loss.

use super::{Fusion, Graph, Pass, everywhere};
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
    // Nobody may want the logits before they are there.
    graph.readers(logits).iter().all(|&reader| reader >= position).then_some(())?;
    let before = vec![graph.title(layer), graph.title(position)];
    let linear = graph.nodes.remove(layer);
    let node = &mut graph.nodes[position - 1];
    node.name = format!("{}+{}", linear.name, node.name);
    node.inputs = [&linear.inputs[..2], &[labels, upstream], &linear.inputs[2..]].concat();
    node.outputs.insert(0, logits);
    node.op = op.into();
    Some(Fusion { pass: Pass::Head, before, after: vec![graph.title(position - 1)] })
}
