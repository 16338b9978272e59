//! `conv2d → activation` and `linear → activation` become one node: the kernel applies the activation to each sum before it
//! writes it. Only where nothing else reads the sum: an activation whose gradient wants its input keeps it in memory. And
//! `conv2d → max_pool2d`, with or without an activation between them, where nothing else reads what is pooled.

use super::{Fusion, Graph, Pass};
use crate::error::Result;
use crate::ops::{Conv2dActivation, Conv2dMaxPool2d, LinearActivation, Op};

pub(super) fn activations(graph: &mut Graph) -> Result<Vec<Fusion>> {
    run(graph, Pass::Epilogue, activated)
}

pub(super) fn pools(graph: &mut Graph) -> Result<Vec<Fusion>> {
    run(graph, Pass::Pooling, pooled)
}

/// Lets nodes compute what stands behind them: `fused` answers which one can compute the node at a position, and what it becomes.
fn run(graph: &mut Graph, pass: Pass, fused: fn(&Graph, usize) -> Option<(usize, Op)>) -> Result<Vec<Fusion>> {
    let mut done = Vec::new();
    let mut position = 0;
    while position < graph.nodes.len() {
        match fused(graph, position) {
            None => position += 1,
            Some((maker, op)) => {
                let before = vec![graph.title(maker), graph.title(position)];
                let behind = graph.nodes.remove(position);
                let node = &mut graph.nodes[maker];
                node.name = format!("{}+{}", node.name, behind.name);
                (node.op, node.outputs) = (op, behind.outputs);
                done.push(Fusion { pass, before, after: vec![graph.title(maker)] });
            }
        }
    }
    Ok(done)
}

/// The node that alone makes the first operand of the one at `position`, which alone reads it.
fn before(graph: &Graph, position: usize) -> Option<usize> {
    let operand = *graph.nodes[position].inputs.first()?;
    let maker = graph.maker(operand)?;
    (graph.readers(operand).len() == 1).then_some(maker)
}

fn activated(graph: &Graph, position: usize) -> Option<(usize, Op)> {
    let Op::Activation(activation) = graph.nodes[position].op else { return None };
    let maker = before(graph, position)?;
    let op = match graph.nodes[maker].op {
        Op::Conv2d(conv) => Conv2dActivation { conv, activation }.into(),
        Op::Linear(_) => LinearActivation { activation }.into(),
        _ => return None,
    };
    Some((maker, op))
}

fn pooled(graph: &Graph, position: usize) -> Option<(usize, Op)> {
    let Op::MaxPool2d(pool) = graph.nodes[position].op else { return None };
    let maker = before(graph, position)?;
    let (conv, activation) = match graph.nodes[maker].op {
        Op::Conv2d(conv) => (conv, None),
        Op::Conv2dActivation(op) => (op.conv, Some(op.activation)),
        _ => return None,
    };
    Some((maker, Conv2dMaxPool2d { conv, activation, pool: pool.0 }.into()))
}
