//! `activation_grad → max_pool2d_grad → conv2d_grad_weight`, and the `sum_rows` that is the gradient of the bias, become one node:
//! the kernel takes derivative and place of a maximum as it loads what arrives at the pool. Only where nothing else reads what the
//! pool spreads out, which is so in the first layer of a network: the gradient of an image is wanted in all others.

use super::{Fusion, Graph, Node, Pass};
use crate::error::Result;
use crate::ops::{Conv2dMaxPool2d, Conv2dMaxPool2dGradWeight, Op};

/// The nodes that become one.
struct Chain {
    /// The gradient of the weights.
    weight: usize,
    /// The gradient of the pool.
    spread: usize,
    /// The gradient of the activation, if there is one.
    derivative: Option<usize>,
    /// The gradient of the bias, if there is one.
    bias: Option<usize>,
}

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let mut done = Vec::new();
    let mut position = 0;
    while position < graph.nodes.len() {
        if let Some(fusion) = chain(graph, position).and_then(|chain| fuse(graph, &chain)) {
            done.push(fusion);
            // Nodes before it have gone.
            position = 0;
        } else {
            position += 1;
        }
    }
    Ok(done)
}

/// The chain that ends with the gradient of weights at `weight`.
fn chain(graph: &Graph, weight: usize) -> Option<Chain> {
    if !matches!(graph.nodes[weight].op, Op::Conv2dGradWeight(_)) {
        return None;
    }
    let spread = graph.maker_for(graph.nodes[weight].inputs[1], 1)?;
    if !matches!(graph.nodes[spread].op, Op::MaxPool2dGrad(_)) {
        return None;
    }
    let arriving = graph.nodes[spread].inputs[0];
    let bias = graph.sum_of(arriving);
    let derivative =
        graph.maker_for(arriving, 1 + usize::from(bias.is_some())).filter(|&maker| match &graph.nodes[maker].op {
            Op::ActivationGrad(grad) => grad.0.saves_output(),
            _ => false,
        });
    Some(Chain { weight, spread, derivative, bias })
}

fn fuse(graph: &mut Graph, chain: &Chain) -> Option<Fusion> {
    let (weight, spread) = (graph.nodes[chain.weight].clone(), graph.nodes[chain.spread].clone());
    let (mut inputs, mut activation) = (vec![weight.inputs[0], spread.inputs[0], spread.inputs[1]], None);
    if let Some(derivative) = chain.derivative.map(|position| &graph.nodes[position])
        && let Op::ActivationGrad(grad) = &derivative.op
    {
        activation = Some(grad.0);
        inputs[1] = derivative.inputs[1];
        inputs.push(derivative.inputs[0]);
    }
    let bias = chain.bias.map(|position| graph.nodes[position].outputs[0]);
    // Before anybody can read one of its results; its operands are there since what arrives at the pool is.
    let place = chain.bias.map_or(chain.weight, |bias| bias.min(chain.weight));
    let (Op::Conv2dGradWeight(grad), Op::MaxPool2dGrad(pool)) = (&weight.op, &spread.op) else { return None };
    let x = &graph.spec(weight.inputs[0]).shape;
    let crop = grad.conv.output_size([x[1], x[2]], grad.kernel).is_ok_and(|size| size != pool.input);
    let forward = Conv2dMaxPool2d { conv: grad.conv, activation, pool: pool.pool, crop };
    let op = Conv2dMaxPool2dGradWeight { forward, kernel: grad.kernel, bias: bias.is_some(), images: None };
    let outputs = weight.outputs.iter().copied().chain(bias).collect();
    let node = Node { name: weight.name.clone(), op: op.into(), inputs, outputs, watch: false };
    let all = chain.derivative.into_iter().chain([chain.spread, chain.weight]).chain(chain.bias).collect();
    Some(graph.unite(Pass::Loads, all, place, node))
}
