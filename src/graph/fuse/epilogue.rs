//! `conv2d → activation` and `linear → activation` become one node: the kernel applies the activation to each sum before it
//! writes it. Only where nothing else reads the sum: an activation whose gradient wants its input keeps it in memory.

use super::{Fusion, Graph, Pass};
use crate::error::Result;
use crate::ops::{Conv2dActivation, LinearActivation, Op};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let mut done = Vec::new();
    let mut position = 0;
    while position < graph.nodes.len() {
        match fused(graph, position) {
            None => position += 1,
            Some((maker, op)) => {
                let before = vec![graph.title(maker), graph.title(position)];
                let activation = graph.nodes.remove(position);
                let node = &mut graph.nodes[maker];
                node.name = format!("{}+{}", node.name, activation.name);
                (node.op, node.outputs) = (op, activation.outputs);
                done.push(Fusion { pass: Pass::Epilogue, before, after: vec![graph.title(maker)] });
            }
        }
    }
    Ok(done)
}

/// The node that can apply the activation at `position`, and what it becomes.
fn fused(graph: &Graph, position: usize) -> Option<(usize, Op)> {
    let node = &graph.nodes[position];
    let Op::Activation(activation) = node.op else { return None };
    let maker = graph.maker(node.inputs[0])?;
    if graph.readers(node.inputs[0]).len() > 1 {
        return None;
    }
    let op = match graph.nodes[maker].op {
        Op::Conv2d(conv) => Conv2dActivation { conv, activation }.into(),
        Op::Linear(_) => LinearActivation { activation }.into(),
        _ => return None,
    };
    Some((maker, op))
}
