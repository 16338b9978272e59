//! `linear_activation → linear_cross_entropy_grad` becomes one node, where both layers are small: each row of the batch goes through
//! them by itself.

use super::{Fusion, Graph, Pass, everywhere};
use crate::error::Result;
use crate::ops::{MlpCrossEntropyGrad, Op};

/// Weights of the first layer, which are read for each row.
const MOST_WEIGHTS: usize = 1 << 16;

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| {
        let op = found(graph, position)?;
        let before = vec![graph.title(position - 1), graph.title(position)];
        let layer = graph.nodes.remove(position - 1);
        let node = &mut graph.nodes[position - 1];
        node.name = format!("{}+{}", layer.name, node.name);
        node.op = op.into();
        // What is saved of the activation is its output, which is one of the results.
        node.inputs.pop();
        node.inputs.splice(..1, layer.inputs);
        node.outputs.splice(..0, layer.outputs);
        Some(Fusion { pass: Pass::Mlp, before, after: vec![graph.title(position - 1)] })
    }))
}

/// What the node at `position` and the one before it become.
fn found(graph: &Graph, position: usize) -> Option<MlpCrossEntropyGrad> {
    let (node, layer) = (&graph.nodes[position], &graph.nodes[position.checked_sub(1)?]);
    let (Op::LinearCrossEntropyGrad(head), Op::LinearActivation(hidden)) = (&node.op, &layer.op) else { return None };
    let read = layer.outputs[0];
    let alone = head.grad.activation == Some(hidden.activation)
        && hidden.activation.saves_output()
        && node.inputs[0] == read
        && node.inputs.last() == Some(&read)
        && graph.maker(read) == Some(position - 1);
    let small = graph.spec(layer.inputs[1]).len() <= MOST_WEIGHTS;
    (alone && small).then_some(MlpCrossEntropyGrad { hidden: *hidden, bias: layer.inputs.len() > 2, head: *head })
}
