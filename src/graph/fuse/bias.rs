//! `conv2d_grad_weight` or `linear_grad_weight` and the `sum_rows` of the same upstream gradient, which is the gradient of the
//! layer's bias, become one node: a kernel that loads what arrives can sum it on the way.

use super::{Fusion, Graph, Pass, everywhere};
use crate::error::Result;
use crate::ops::{Conv2dGradWeightBias, LinearGradWeightBias, Op};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| {
        let (sum, op) = fused(graph, position)?;
        // Both read what arrives, so it is there for the first of them.
        let (first, second) = (position.min(sum), position.max(sum));
        let before = vec![graph.title(first), graph.title(second)];
        let bias = graph.nodes[sum].outputs[0];
        let mut node = graph.nodes[position].clone();
        node.op = op;
        node.outputs.push(bias);
        graph.nodes[first] = node;
        graph.nodes.remove(second);
        Some(Fusion { pass: Pass::Bias, before, after: vec![graph.title(first)] })
    }))
}

/// The sum of what arrives at the layer whose weights' gradient stands at `position`, and what the two become.
fn fused(graph: &Graph, position: usize) -> Option<(usize, Op)> {
    let node = &graph.nodes[position];
    let op: Op = match node.op {
        Op::Conv2dGradWeight(weight) => Conv2dGradWeightBias { weight }.into(),
        Op::LinearGradWeight(weight) => LinearGradWeightBias { weight }.into(),
        _ => return None,
    };
    let sum = graph.sum_of(node.inputs[1])?;
    let there = graph.maker(node.inputs[0]).is_none_or(|maker| maker < sum);
    there.then_some((sum, op))
}
