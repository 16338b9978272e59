//! What is left of a batch normalisation behind a convolution with statistics goes where its image is read: a sum with another image adds
//! that to what it normalises, and a convolution and its gradients normalise what they load. The latter only where nobody else wants the
//! normalised image, which is then never written, and where the activation behind it is cheap.

use super::{Fusion, Graph, Pass, Storage, everywhere};
use crate::error::Result;
use crate::ops::{Activation, BatchNorm2dApply, Op};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let mut done = sums(graph);
    done.extend(everywhere(graph, loads));
    Ok(done)
}

/// `batch_norm2d_apply → add`, with or without an activation behind it.
fn sums(graph: &mut Graph) -> Vec<Fusion> {
    everywhere(graph, |graph, position| {
        let activation = match graph.nodes[position].op {
            Op::Add(_) => None,
            Op::AddActivation(op) => Some(op.activation),
            _ => return None,
        };
        let [a, b] = *graph.nodes[position].inputs.as_slice() else { return None };
        let alone = |id| graph.maker_for(id, 1).filter(|&maker| applies(graph, maker) == Some(None));
        let (maker, other) = alone(a).map(|maker| (maker, b)).or_else(|| alone(b).map(|maker| (maker, a)))?;
        if a == b {
            return None;
        }
        let mut node = graph.nodes[position].clone();
        node.name = format!("{}+{}", graph.nodes[maker].name, node.name);
        node.op = BatchNorm2dApply { activation }.into();
        node.inputs = [graph.nodes[maker].inputs.as_slice(), &[other]].concat();
        Some(graph.unite(Pass::Normalisation, vec![maker, position], position, node))
    })
}

/// The activation of a node that applies a table to an image, and nothing else.
fn applies(graph: &Graph, position: usize) -> Option<Option<Activation>> {
    match &graph.nodes[position].op {
        Op::BatchNorm2dApply(op) if graph.nodes[position].inputs.len() == 2 => Some(op.activation),
        _ => None,
    }
}

/// Lets all that read what the node at `position` computes read what it reads.
fn loads(graph: &mut Graph, position: usize) -> Option<Fusion> {
    let activation = applies(graph, position)?;
    // An image is read several times for each pixel: by every tap, and once more by the gradients.
    if !matches!(activation, None | Some(Activation::Relu | Activation::LeakyRelu { .. })) {
        return None;
    }
    let (inputs, image) = (graph.nodes[position].inputs.clone(), graph.nodes[position].outputs[0]);
    let readers = graph.readers(image);
    if readers.is_empty() || graph.value(image).storage != Storage::Slot {
        return None;
    }
    let serves = |&reader: &usize| {
        let node = &graph.nodes[reader];
        // The places of the operand that it reads normalised.
        let places = match &node.op {
            Op::Conv2dStatistics(op) if op.before.is_none() => vec![0],
            Op::Conv2dGrad(op) if !op.normalised && op.activation == activation => {
                [0].into_iter().chain(op.saved()).collect()
            }
            _ => return false,
        };
        node.inputs.iter().enumerate().all(|(place, id)| places.contains(&place) == (*id == image))
    };
    if !readers.iter().all(serves) {
        return None;
    }
    let before = [position].iter().chain(&readers).map(|&at| graph.title(at)).collect();
    for &reader in &readers {
        let node = &mut graph.nodes[reader];
        match &mut node.op {
            Op::Conv2dStatistics(op) => op.before = Some(BatchNorm2dApply { activation }),
            Op::Conv2dGrad(op) => {
                if let Some(saved) = op.saved() {
                    node.inputs.remove(saved);
                }
                op.normalised = true;
            }
            _ => {}
        }
        node.inputs[0] = inputs[0];
        node.inputs.push(inputs[1]);
    }
    let after = readers.iter().map(|&reader| graph.title(reader)).collect();
    graph.nodes.remove(position);
    Some(Fusion { pass: Pass::Normalisation, before, after })
}
