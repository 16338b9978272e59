//! `conv2d_grad_input → activation_grad` and `linear_grad_input → activation_grad` become one node: the kernel multiplies each sum with
//! the derivative before it writes it. Only where nothing else reads the sum.

use super::{Fusion, Graph, Pass, everywhere};
use crate::error::Result;
use crate::ops::{Conv2dGradInputActivationGrad, LinearGradInputActivationGrad, Op};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| {
        let (maker, op) = fused(graph, position)?;
        let before = vec![graph.title(maker), graph.title(position)];
        let mut node = graph.nodes.remove(position);
        // Where the activation's gradient stood, since its other operand may come after the sum's.
        let sum = graph.nodes.remove(maker);
        node.name = format!("{}+{}", sum.name, node.name);
        node.inputs = vec![sum.inputs[0], sum.inputs[1], node.inputs[0]];
        node.op = op;
        graph.nodes.insert(position - 1, node);
        Some(Fusion { pass: Pass::Derivative, before, after: vec![graph.title(position - 1)] })
    }))
}

/// The node that can compute the activation's gradient at `position`, and what it becomes.
fn fused(graph: &Graph, position: usize) -> Option<(usize, Op)> {
    let Op::ActivationGrad(grad) = &graph.nodes[position].op else { return None };
    let upstream = graph.nodes[position].inputs[1];
    let maker = graph.maker_for(upstream, 1)?;
    let op = match graph.nodes[maker].op {
        Op::Conv2dGradInput(sum) => Conv2dGradInputActivationGrad { sum, activation: grad.0 }.into(),
        Op::LinearGradInput(sum) => LinearGradInputActivationGrad { sum, activation: grad.0 }.into(),
        _ => return None,
    };
    (graph.nodes[position].inputs[0] != upstream).then_some((maker, op))
}
