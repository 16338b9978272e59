//! `conv2d → activation`, `linear → activation`, `add → activation` and `batch_norm2d → activation` become one node: the kernel
//! applies the activation to each sum before it writes it. Only where nothing else reads the sum: an activation whose gradient wants its input keeps it in memory. And
//! `conv2d → max_pool2d`, with or without an activation between them, where nothing else reads what is pooled. Rows and columns
//! that no window covers are then not computed, and nothing is summed over their gradients, which are 0.

use super::{Fusion, Graph, Node, Pass, Storage, ValueId, everywhere};
use crate::error::Result;
use crate::ops::{AddActivation, BatchNorm2dActivation, Conv2dActivation, Conv2dMaxPool2d};
use crate::ops::{LinearActivation, Op, Pool2d};

pub(super) fn activations(graph: &mut Graph) -> Result<Vec<Fusion>> {
    run(graph, Pass::Epilogue, activated)
}

pub(super) fn pools(graph: &mut Graph) -> Result<Vec<Fusion>> {
    run(graph, Pass::Pooling, pooled)
}

/// Lets nodes compute what stands behind them: `fused` answers which one can compute the node at a position, and what it becomes.
fn run(graph: &mut Graph, pass: Pass, fused: fn(&Graph, usize) -> Option<(usize, Op)>) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| {
        let (maker, op) = fused(graph, position)?;
        let before = vec![graph.title(maker), graph.title(position)];
        let behind = graph.nodes.remove(position);
        if let Op::Conv2dMaxPool2d(op) = &op
            && op.crop
        {
            crop(graph, &behind, &op.pool);
        }
        let node = &mut graph.nodes[maker];
        node.name = format!("{}+{}", node.name, behind.name);
        node.op = op;
        // A batch normalisation has more outputs than what is activated.
        node.outputs.splice(..1, behind.outputs);
        Some(Fusion { pass, before, after: vec![graph.title(maker)] })
    }))
}

/// The node that alone makes the first operand of the one at `position`, which alone reads it.
fn before(graph: &Graph, position: usize) -> Option<usize> {
    let operand = *graph.nodes[position].inputs.first()?;
    graph.maker_for(operand, 1)
}

fn activated(graph: &Graph, position: usize) -> Option<(usize, Op)> {
    let Op::Activation(activation) = graph.nodes[position].op else { return None };
    let maker = before(graph, position)?;
    let op = match graph.nodes[maker].op {
        Op::Conv2d(conv) => Conv2dActivation { conv, activation }.into(),
        Op::Linear(_) => LinearActivation { activation }.into(),
        Op::Add(op) => AddActivation { op, activation }.into(),
        Op::BatchNorm2d(op) if reads_result(graph, position, maker) => BatchNorm2dActivation { op, activation }.into(),
        _ => return None,
    };
    Some((maker, op))
}

/// Whether the node at `position` reads the first result of `maker`.
fn reads_result(graph: &Graph, position: usize, maker: usize) -> bool {
    graph.nodes[position].inputs[0] == graph.nodes[maker].outputs[0]
}

fn pooled(graph: &Graph, position: usize) -> Option<(usize, Op)> {
    let Op::MaxPool2d(pool) = graph.nodes[position].op else { return None };
    let maker = before(graph, position)?;
    let (conv, activation) = match graph.nodes[maker].op {
        Op::Conv2d(conv) => (conv, None),
        Op::Conv2dActivation(op) => (op.conv, Some(op.activation)),
        _ => return None,
    };
    let crop = croppable(graph, position, &pool.0);
    Some((maker, Conv2dMaxPool2d { conv, activation, pool: pool.0, crop }.into()))
}

/// Whether the windows of the max pool at `position` leave rows or columns over, and nobody but gradients of convolutions would
/// notice if those did not exist.
fn croppable(graph: &Graph, position: usize, pool: &Pool2d) -> bool {
    let node = &graph.nodes[position];
    let [size, windows] = [node.inputs[0], node.outputs[0]].map(|id| &graph.spec(id).shape);
    let ([h, w], windows) = ([size[1], size[2]], [windows[1], windows[2]]);
    let tiles = pool.tiles(windows, [h, w]);
    let left_over = [0, 1].map(|axis| windows[axis] * pool.kernel[axis]) != [h, w];
    let sums = |reader: usize, gradient: ValueId| match &graph.nodes[reader] {
        Node { op: Op::Conv2dGradInput(_), inputs, .. } => inputs[0] == gradient,
        Node { op: Op::Conv2dGradWeight(_), inputs, .. } => inputs[1] == gradient && inputs[0] != gradient,
        _ => false,
    };
    let unnoticed = |reader: usize| {
        let gradient = graph.nodes[reader].outputs[0];
        matches!(graph.nodes[reader].op, Op::MaxPool2dGrad(_))
            && graph.value(gradient).storage == Storage::Slot
            && graph.readers(gradient).into_iter().all(|reader| sums(reader, gradient))
    };
    tiles && left_over && graph.readers(node.outputs[1]).into_iter().all(unnoticed)
}

/// Takes what no window covers from the gradients of this max pool.
fn crop(graph: &mut Graph, pooling: &Node, pool: &Pool2d) {
    let windows = graph.spec(pooling.outputs[0]).shape.clone();
    for reader in graph.readers(pooling.outputs[1]) {
        let node = &mut graph.nodes[reader];
        if let Op::MaxPool2dGrad(grad) = &mut node.op {
            grad.input = [0, 1].map(|axis| windows[axis + 1] * pool.kernel[axis]);
            let gradient = node.outputs[0];
            graph.values[gradient.0].spec.shape[1..3].copy_from_slice(&grad.input);
        }
    }
}
