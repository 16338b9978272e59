//! `conv2d_grad → add → activation_grad` becomes one node, where a convolution and a shortcut beside it read what an activation
//! computed: the kernel adds the shortcut's gradient to each sum and multiplies with the derivative before it writes it. Only where
//! nothing else reads the sums.

use super::{Fusion, Graph, Node, Pass, everywhere};
use crate::error::Result;
use crate::ops::{Conv2dGrad, Op};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| {
        let Op::ActivationGrad(grad) = &graph.nodes[position].op else { return None };
        let activation = grad.0;
        let [saved, upstream] = *graph.nodes[position].inputs.as_slice() else { return None };
        let add = graph.maker_for(upstream, 1).filter(|&add| matches!(graph.nodes[add].op, Op::Add(_)))?;
        let [a, b] = *graph.nodes[add].inputs.as_slice() else { return None };
        let layer = |id| {
            let maker = graph.maker_for(id, 1)?;
            match graph.nodes[maker].op {
                Op::Conv2dGrad(op) if takes(&op) && graph.nodes[maker].outputs[op.dx()] == id => Some((maker, op)),
                _ => None,
            }
        };
        let ((maker, op), other) = layer(a).map(|found| (found, b)).or_else(|| layer(b).map(|found| (found, a)))?;
        // The gradients of its parameters come as late as this now.
        let gradients = &graph.nodes[maker].outputs[..op.dx()];
        let early = |node: &Node| node.inputs.iter().any(|input| gradients.contains(input));
        if a == b || saved == upstream || graph.nodes[maker..position].iter().any(early) {
            return None;
        }
        let mut node = graph.nodes[maker].clone();
        node.name = format!("{}+{}", node.name, graph.nodes[position].name);
        node.op = Conv2dGrad { activation: Some(activation), plus: true, ..op }.into();
        node.inputs.extend([saved, other]);
        node.outputs[op.dx()] = graph.nodes[position].outputs[0];
        Some(graph.unite(Pass::ResidualGradient, vec![maker, add, position], position, node))
    }))
}

/// Whether it can take them: an image that is read normalised has an activation already, and with a pool a kernel would bind more than
/// eight buffers.
fn takes(op: &Conv2dGrad) -> bool {
    op.activation.is_none() && !op.normalised && !op.plus && op.pool.is_none()
}
