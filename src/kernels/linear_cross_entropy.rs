//! The last layer of a classifier with its loss on the GPU: `shaders/linear_cross_entropy.wgsl`, or the kernels of the layer and of
//! the loss one after the other.

use super::activation::epilogue;
use super::conv2d::gather_variants;
use super::conv2d_gather::finish;
use super::conv2d_product::{self, Product};
use super::loss::{cross_entropy_and_grad, mean_of_rows, smoothed};
use super::reduce::scratch;
use super::{BASELINE, Dispatch, Edges, Limits, Lowered, Operand, Problem, Variant, conv2d_grad, linear};
use crate::error::Result;
use crate::ops::linear::pixels_channels;
use crate::ops::{LinearCrossEntropyAndGrad, LinearCrossEntropyGrad, MlpCrossEntropyGrad};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// The variant that is one dispatch.
pub(super) const NAME: &str = "joined";

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits::DEFAULT,
    spreads: false,
    edges: |_, _| Edges { rows: vec![], columns: vec![LANES], depth: vec![] },
};

/// The same with the layer's gradients.
pub(super) const GRAD_VARIANT: Variant =
    Variant { limits: Limits { storage_buffers: 12, ..Limits::DEFAULT }, ..VARIANT };

/// The same with the layer before it.
pub(super) const MLP_VARIANT: Variant =
    Variant { limits: Limits { storage_buffers: 14, ..Limits::DEFAULT }, ..VARIANT };

/// Lanes of a row of the batch, `LANES` in the shader.
const LANES: usize = 256;
/// `CLASSES` in the shader.
const CLASSES: usize = 256;
/// Weights that every workgroup reads for itself.
const MOST_WEIGHTS: usize = 1 << 16;

/// The variants: where a GPU has the program, the layer and the loss in one; else those of the layer, with the loss behind it.
pub(super) fn variants(problem: &Problem) -> Vec<&'static str> {
    let inputs = layer_inputs(problem);
    let layer = Problem { inputs: &inputs, ..*problem };
    let mut variants = gather_variants(&linear::forward_shape(&layer), problem.caps);
    let w = &problem.inputs[1];
    if w.shape[0] <= CLASSES && w.len() <= MOST_WEIGHTS {
        // Processors have no workgroup memory.
        variants.insert(if problem.caps.cpu { variants.len() } else { 0 }, NAME);
    }
    variants
}

pub(super) fn lower(op: &LinearCrossEntropyAndGrad, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    if variant == NAME {
        return Ok(joined(op, problem));
    }
    let inputs = layer_inputs(problem);
    let layer = Problem { inputs: &inputs, outputs: &problem.outputs[..1], ..*problem };
    let layer = linear::forward(None, &layer, variant)?;
    let mut all = Lowered { variant: layer.variant, workspaces: Vec::new(), dispatches: Vec::new() };
    all.append(layer, |operand| if operand == Input(2) { Input(4) } else { operand });
    let inputs = [&problem.outputs[..1], &problem.inputs[2..4]].concat();
    let loss = Problem { inputs: &inputs, outputs: &problem.outputs[1..], ..*problem };
    all.append(cross_entropy_and_grad(&op.loss, &loss)?, |operand| match operand {
        Input(0) => Output(0),
        Input(input) => Input(input + 1),
        Output(output) => Output(output + 1),
        other => other,
    });
    Ok(all)
}

/// The operands of the layer: the bias, if there is one, comes last among those of both.
fn layer_inputs(problem: &Problem) -> Vec<Spec> {
    problem.inputs[..2].iter().chain(&problem.inputs[4..]).cloned().collect()
}

/// Lanes that share each of so many sums, a power of two.
fn share_of(sums: usize) -> usize {
    (LANES / sums.next_power_of_two()).max(1)
}

/// What both of its entry points are given.
fn dispatch(entry: &'static str, op: &LinearCrossEntropyAndGrad, bias: Option<Operand>, problem: &Problem) -> Dispatch {
    let (rows, k) = (problem.outputs[0].shape[0], problem.outputs[0].shape[1]);
    let [pixels, channels] = pixels_channels(&problem.inputs[0].shape);
    let share = share_of(k);
    let dispatch = Dispatch::new("linear_cross_entropy.wgsl", entry)
        .set("rows", rows)
        .set("pixels", pixels)
        .set("channels", channels)
        .set("k", k)
        .set("share", share)
        .bias(bias, Input(1))
        .bind("x", Input(0))
        .bind("w", Input(1))
        .bind("labels", Input(2))
        .bind("dloss", Input(3))
        .bind("logits", Output(0))
        .bind("row_loss", Output(1))
        .bind("dlogits", Output(2))
        .workgroups(rows)
        .trips((k * share).div_ceil(LANES) * (1 + (pixels * channels).div_ceil(share) + share) + 5 * k);
    smoothed(dispatch, op.loss.label_smoothing, k)
}

/// A dispatch, and behind it those of the mean over the rows where that is wanted.
fn with_mean(
    dispatch: Dispatch,
    op: &LinearCrossEntropyAndGrad,
    problem: &Problem,
    mut workspaces: Vec<Spec>,
) -> Lowered {
    let mut dispatches = vec![dispatch];
    if op.loss.mean {
        dispatches.extend(mean_of_rows(Output(1), Output(3), problem.outputs[1].len(), &mut workspaces));
    }
    Lowered { variant: NAME, workspaces, dispatches }
}

fn joined(op: &LinearCrossEntropyAndGrad, problem: &Problem) -> Lowered {
    let bias = (problem.inputs.len() > 4).then_some(Input(4));
    let main = epilogue(dispatch("joined", op, bias, problem), None).set("sums_b", 0u32);
    with_mean(before(main, None), op, problem, Vec::new())
}

/// Says what the layer before the last one reads, and whether it has a bias, where it is computed too.
fn before(dispatch: Dispatch, hidden: Option<([usize; 2], bool, usize)>) -> Dispatch {
    let ([pixels, channels], bias, share) = hidden.unwrap_or(([0; 2], false, 1));
    dispatch.set("pixels1", pixels).set("channels1", channels).set("bias1", usize::from(bias)).set("share1", share)
}

/// The variants with the layer's gradients: all in one where the sums of the rows stay apart; else the kernels of the parts for GPUs,
/// or the baseline's.
pub(super) fn grad_variants(op: &LinearCrossEntropyGrad, problem: &Problem) -> Vec<&'static str> {
    let forward = linear::forward_shape(problem);
    let products = [Product::gather(&forward), Product::transposed(&forward)];
    let tiles = conv2d_product::tiles(problem.caps, false, &products);
    let mut variants = conv2d_product::with_baseline(tiles, problem.caps);
    let w = &problem.inputs[1];
    let serves = op.grad.images == Some(1) && w.shape[0] <= CLASSES && w.len() <= MOST_WEIGHTS;
    if serves && GRAD_VARIANT.limits.refuse(problem.caps).is_none() {
        variants.insert(if problem.caps.cpu { variants.len() } else { 0 }, NAME);
    }
    variants
}

pub(super) fn lower_grad(op: &LinearCrossEntropyGrad, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (operands, results) = (op.head_operands(problem.inputs.len()), op.head_results());
    if variant == NAME {
        let saved = op.grad.activation.map(|activation| (activation, Input(operands)));
        return Ok(joined_grad(op, problem, |main| before(finish(main, None, saved), None)));
    }
    let head = Problem { inputs: &problem.inputs[..operands], outputs: &problem.outputs[..results], ..*problem };
    // The layer with its loss has a kernel for GPUs inside all limits.
    let joins = variant != BASELINE && variants(&head).contains(&NAME);
    let mut all = lower(&op.head, &head, if joins { NAME } else { variant })?;
    all.variant = variant;
    let inputs: Vec<Spec> = op.grad_operands(problem.inputs, &problem.outputs[2]).into_iter().cloned().collect();
    let grad = Problem { inputs: &inputs, outputs: &problem.outputs[results..], ..*problem };
    all.append(conv2d_grad::linear(&op.grad, &grad, variant)?, |operand| match operand {
        Input(0) => Input(0),
        Input(1) => Output(2),
        Input(2) => Input(1),
        Input(_) => Input(operands),
        Output(output) => Output(results + output),
        other => other,
    });
    Ok(all)
}

/// All of it in one dispatch, to which `complete` adds how it ends and what comes before it.
fn joined_grad(op: &LinearCrossEntropyGrad, problem: &Problem, complete: impl FnOnce(Dispatch) -> Dispatch) -> Lowered {
    let results = op.head_results();
    let bias = (op.head_operands(problem.inputs.len()) > 4).then_some(Input(4));
    let [pixels, channels] = pixels_channels(&problem.inputs[0].shape);
    let (inputs, k) = (pixels * channels, problem.outputs[0].shape[1]);
    let main = dispatch("joined_grad", &op.head, bias, problem);
    let trips = inputs.div_ceil(LANES) * (1 + k) + k.div_ceil(LANES);
    let mut workspaces = Vec::new();
    let db = match op.grad.bias {
        true => Output(results + 1),
        false => scratch(&mut workspaces, Spec::f32([1])),
    };
    let main = main
        .set("sums_b", usize::from(op.grad.bias))
        .bind("dw", Output(results))
        .bind("db", db)
        .bind("dx", Output(results + op.grad.dx()))
        .more_trips(trips);
    with_mean(complete(main), &op.head, problem, workspaces)
}

/// The specs of the last layer with its loss among those of both layers.
fn last_layer(op: &MlpCrossEntropyGrad, problem: &Problem) -> Vec<Spec> {
    op.head_operands(problem.inputs, &problem.outputs[0]).into_iter().cloned().collect()
}

/// The variants with the layer before it.
pub(super) fn mlp_variants(op: &MlpCrossEntropyGrad, problem: &Problem) -> Vec<&'static str> {
    let inputs = last_layer(op, problem);
    let part = Problem { inputs: &inputs, outputs: &problem.outputs[1..], ..*problem };
    let mut variants = grad_variants(&op.head, &part);
    let rows = problem.outputs[0].shape.len() == 2;
    if !rows || MLP_VARIANT.limits.refuse(problem.caps).is_some() {
        variants.retain(|variant| *variant != NAME);
    }
    variants
}

pub(super) fn lower_mlp(op: &MlpCrossEntropyGrad, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let own = op.hidden_operands();
    let inputs = last_layer(op, problem);
    let part = Problem { inputs: &inputs, outputs: &problem.outputs[1..], ..*problem };
    // Where both have what the last layer reads and writes.
    let place = |operand| match operand {
        Input(0) => Output(0),
        // What is saved of the activation is its output.
        Input(last) if last + 1 == inputs.len() => Output(0),
        Input(input) => Input(own + input - 1),
        Output(output) => Output(output + 1),
        other => other,
    };
    let mut all = Lowered { variant, workspaces: Vec::new(), dispatches: Vec::new() };
    if variant == NAME {
        let image = pixels_channels(&problem.inputs[0].shape);
        let features = problem.outputs[0].shape[1];
        let head = joined_grad(&op.head, &part, |main| {
            let share = share_of(features);
            let turns = (features * share).div_ceil(LANES);
            let trips = turns * (1 + share + image[1].div_ceil(share) * (1 + image[0]));
            before(epilogue(main, Some(op.hidden.activation)), Some((image, op.bias, share)))
                .link("head_input", "shared/head_hidden.wgsl")
                .link("finish", "shared/finish_hidden.wgsl")
                .more_trips(trips)
        });
        all.append(head, place);
        let main = all.dispatches.remove(0).bind("x1", Input(0)).bind("w1", Input(1));
        all.dispatches.insert(0, main.bind("b1", Input(if op.bias { 2 } else { 1 })));
        return Ok(all);
    }
    let hidden = Problem { inputs: &problem.inputs[..own], outputs: &problem.outputs[..1], ..*problem };
    all.append(linear::forward(Some(op.hidden.activation), &hidden, variant)?, |operand| operand);
    all.append(lower_grad(&op.head, &part, variant)?, place);
    Ok(all)
}
