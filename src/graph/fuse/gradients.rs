//! The gradient of a layer's weights and that of its input become one node: both read what arrives at the layer's output, and a GPU
//! computes them beside each other in one dispatch. So does the gradient of the max pool behind the layer, where nobody else reads
//! what it spreads out: both take the places of the maxima when they load.

use super::{Fusion, Graph, Node, Pass, ValueId, everywhere};
use crate::error::Result;
use crate::ops::{Activation, Conv2dGradInput, Conv2dGradWeight, LayerGrad, LinearGradInput, LinearGradWeight};
use crate::ops::{MaxPool2dGrad, Op, Operator};

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let mut done = Vec::new();
    // Nodes before a position go too, so it is asked again until there is nothing left.
    loop {
        match pairs(graph) {
            found if found.is_empty() => return Ok(done),
            found => done.extend(found),
        }
    }
}

fn pairs(graph: &mut Graph) -> Vec<Fusion> {
    everywhere(graph, |graph, position| {
        let found = found(graph, position)?;
        // Where the first gradient stood: whoever reads one of them comes later, and all that they read is there.
        let place = position.min(found.input);
        let all = [position, found.input].into_iter().chain(found.spread).chain(found.bias).collect();
        Some(graph.unite(Pass::Gradients, all, place, found.node))
    })
}

/// The nodes that one takes the place of, beside the gradient of the weights.
struct Found {
    node: Node,
    input: usize,
    spread: Option<usize>,
    bias: Option<usize>,
}

/// The gradients of a layer's weights and of its input.
enum Pair {
    Conv2d(Conv2dGradWeight, Conv2dGradInput),
    Linear(LinearGradWeight, LinearGradInput),
}

/// The two, where one gather writes the gradient of the input; whether the first comes with that of a bias, and the activation with
/// whose derivative the second is multiplied.
fn pair(weight: &Op, input: &Op) -> Option<(Pair, bool, Option<Activation>)> {
    let (weight, bias): (Op, bool) = match weight {
        Op::Conv2dGradWeightBias(both) => (both.weight.into(), true),
        Op::LinearGradWeightBias(both) => (both.weight.into(), true),
        other => (other.clone(), false),
    };
    let (input, activation): (Op, Option<Activation>) = match input {
        Op::Conv2dGradInputActivationGrad(both) => (both.sum.into(), Some(both.activation)),
        Op::LinearGradInputActivationGrad(both) => (both.sum.into(), Some(both.activation)),
        other => (other.clone(), None),
    };
    match (weight, input) {
        (Op::Conv2dGradWeight(weight), Op::Conv2dGradInput(input)) => {
            let one = weight.conv == input.conv && weight.conv.stride == [1, 1] && weight.conv.groups == 1;
            one.then_some((Pair::Conv2d(weight, input), bias, activation))
        }
        (Op::LinearGradWeight(weight), Op::LinearGradInput(input)) => {
            Some((Pair::Linear(weight, input), bias, activation))
        }
        _ => None,
    }
}

/// What the gradient of weights at `position` is part of.
fn found(graph: &Graph, position: usize) -> Option<Found> {
    let node = &graph.nodes[position];
    let [x, dy] = *node.inputs.get(..2)? else { return None };
    // What arrives may arrive at other layers too: of those whose gradients have the shapes of this one's, any will do.
    let fits = |&reader: &usize| {
        let other = &graph.nodes[reader];
        reader != position
            && pair(&node.op, &other.op).is_some()
            && other.inputs[0] == dy
            && graph.spec(other.inputs[1]) == graph.spec(node.outputs[0])
            && graph.spec(other.outputs[0]) == graph.spec(x)
    };
    let of_input = graph.readers(dy).into_iter().find(fits)?;
    let other = &graph.nodes[of_input];
    let (pair, with_bias, activation) = pair(&node.op, &other.op)?;
    let first = position.min(of_input);
    let spread = match pair {
        Pair::Conv2d(..) => spread(graph, dy),
        Pair::Linear(..) => None,
    };
    let pool = spread.as_ref().map(|spread| spread.pool);
    // Behind a pool the gradient of the bias stands alone, since it sums what arrives at the pool.
    let bias = spread.as_ref().and_then(|spread| graph.sum_of(spread.upstream)).filter(|_| !with_bias);
    let bias_output = bias.map(|bias| graph.nodes[bias].outputs[0]);
    let outputs = [node.outputs.clone(), bias_output.into_iter().collect(), other.outputs.clone()].concat();
    let upstream = spread.as_ref().map_or(dy, |spread| spread.upstream);
    let mut inputs = vec![x, upstream, other.inputs[1]];
    inputs.extend(spread.as_ref().map(|spread| spread.places));
    inputs.extend(activation.map(|_| other.inputs[2]));
    // All operands are there when the first of the two runs, and nobody reads the gradient of a bias before.
    let late = |id: &ValueId| graph.maker(*id).is_some_and(|maker| maker >= first);
    let early = |id: ValueId| graph.readers(id).into_iter().any(|reader| reader < first);
    if inputs.iter().any(late) || bias_output.is_some_and(early) {
        return None;
    }
    let has_bias = with_bias || bias.is_some();
    let op: Op = match pair {
        Pair::Conv2d(weight, input) => {
            LayerGrad { weight, input, bias: has_bias, activation, pool, images: None, normalised: false, plus: false }
                .into()
        }
        Pair::Linear(weight, input) => {
            LayerGrad { weight, input, bias: has_bias, activation, pool, images: None, normalised: false, plus: false }
                .into()
        }
    };
    op.infer(&graph.specs(&inputs)).ok()?;
    let name = joined(&node.name, &other.name);
    let node = Node { name, op, inputs, outputs, watch: false };
    Some(Found { node, input: of_input, spread: spread.map(|spread| spread.position), bias })
}

/// `conv1.grad_weight` and `conv1.grad_input+relu0.grad` are `conv1.grad+relu0.grad`.
fn joined(weight: &str, input: &str) -> String {
    let layer = weight.strip_suffix("_weight").and_then(|layer| Some((layer, input.strip_prefix(layer)?)));
    match layer.and_then(|(layer, rest)| Some((layer, rest.strip_prefix("_input")?))) {
        Some((layer, rest)) => format!("{layer}{rest}"),
        None => format!("{weight}+{input}"),
    }
}

/// The gradient of a max pool behind a layer.
struct Spread {
    position: usize,
    pool: MaxPool2dGrad,
    upstream: ValueId,
    places: ValueId,
}

/// What spreads `dy` out, where its windows tile what they are taken of and only two nodes read it.
fn spread(graph: &Graph, dy: ValueId) -> Option<Spread> {
    let position = graph.maker_for(dy, 2)?;
    let node = &graph.nodes[position];
    let Op::MaxPool2dGrad(pool) = node.op else { return None };
    let windows = &graph.spec(node.inputs[0]).shape;
    let tiles = pool.pool.tiles([windows[1], windows[2]], pool.input);
    tiles.then(|| Spread { position, pool, upstream: node.inputs[0], places: node.inputs[1] })
}
