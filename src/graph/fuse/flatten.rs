//! `flatten → linear` becomes one node, and so do the gradients: a linear layer takes an image as it lies and counts its elements
//! as flattening would have ordered them. Only where nothing but linear layers and the gradients of their weights reads what is
//! flattened, and where nothing else reads the gradient that is flattened back.

use super::{Fusion, Graph, Pass, ValueId, everywhere};
use crate::error::Result;
use crate::ops::{LinearGradInput, Op};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| match graph.nodes[position].op {
        Op::Flatten(_) => forward(graph, position),
        Op::FlattenGrad(_) => backward(graph, position),
        _ => None,
    }))
}

/// Whether a node takes this value as rows that may be an image.
fn takes_images(graph: &Graph, position: usize, value: ValueId) -> bool {
    let node = &graph.nodes[position];
    matches!(node.op, Op::Linear(_) | Op::LinearActivation(_) | Op::LinearGradWeight(_))
        && node.inputs[0] == value
        && !node.inputs[1..].contains(&value)
}

/// Lets those who read what the node at `position` flattens read the image.
fn forward(graph: &mut Graph, position: usize) -> Option<Fusion> {
    let (image, flat) = (graph.nodes[position].inputs[0], graph.nodes[position].outputs[0]);
    let readers = graph.readers(flat);
    graph.maker_for(flat, readers.len())?;
    if readers.is_empty() || !readers.iter().all(|&reader| takes_images(graph, reader, flat)) {
        return None;
    }
    let before = [position].iter().chain(&readers).map(|&at| graph.title(at)).collect();
    for &reader in &readers {
        graph.nodes[reader].inputs[0] = image;
    }
    let after = readers.iter().map(|&reader| graph.title(reader)).collect();
    graph.nodes.remove(position);
    Some(Fusion { pass: Pass::Flatten, before, after })
}

/// Lets the node that makes the gradient which the one at `position` flattens back write it as an image.
fn backward(graph: &mut Graph, position: usize) -> Option<Fusion> {
    let Op::FlattenGrad(grad) = &graph.nodes[position].op else { return None };
    let (image, flat) = (grad.image, graph.nodes[position].inputs[0]);
    let maker = graph.maker_for(flat, 1)?;
    if !matches!(graph.nodes[maker].op, Op::LinearGradInput(_)) {
        return None;
    }
    let before = vec![graph.title(maker), graph.title(position)];
    let removed = graph.nodes.remove(position);
    let node = &mut graph.nodes[maker];
    (node.op, node.outputs) = (LinearGradInput { image: Some(image) }.into(), removed.outputs);
    Some(Fusion { pass: Pass::Flatten, before, after: vec![graph.title(maker)] })
}
