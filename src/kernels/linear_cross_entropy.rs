//! The last layer of a classifier with its loss on the GPU: `shaders/linear_cross_entropy.wgsl`, or the kernels of the layer and of
//! the loss one after the other.

use super::conv2d::gather_variants;
use super::loss::{cross_entropy_and_grad, mean_of_rows, smoothed};
use super::{Dispatch, Edges, Limits, Lowered, Operand, Problem, Variant, WORKGROUP, linear};
use crate::error::Result;
use crate::ops::LinearCrossEntropyAndGrad;
use crate::ops::linear::pixels_channels;
use crate::tensor::Spec;

use Operand::{Input, Output};

/// The variant that is one dispatch.
pub(super) const NAME: &str = "joined";

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits::DEFAULT,
    edges: |_, _| Edges { rows: vec![], columns: vec![WORKGROUP], depth: vec![] },
};

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

fn joined(op: &LinearCrossEntropyAndGrad, problem: &Problem) -> Lowered {
    let (rows, k) = (problem.outputs[0].shape[0], problem.outputs[0].shape[1]);
    let [pixels, channels] = pixels_channels(&problem.inputs[0].shape);
    let share = (WORKGROUP / k.next_power_of_two()).max(1);
    let dispatch = Dispatch::new("linear_cross_entropy.wgsl", "joined")
        .set("rows", rows)
        .set("pixels", pixels)
        .set("channels", channels)
        .set("k", k)
        .set("share", share)
        .bias((problem.inputs.len() > 4).then_some(Input(4)), Input(1))
        .bind("x", Input(0))
        .bind("w", Input(1))
        .bind("labels", Input(2))
        .bind("dloss", Input(3))
        .bind("logits", Output(0))
        .bind("row_loss", Output(1))
        .bind("dlogits", Output(2))
        .workgroups(rows)
        .trips((k * share).div_ceil(WORKGROUP) * (1 + (pixels * channels).div_ceil(share) + share) + 5 * k);
    let mut dispatches = vec![smoothed(dispatch, op.loss.label_smoothing, k)];
    let mut workspaces = Vec::new();
    if op.loss.mean {
        dispatches.extend(mean_of_rows(Output(1), Output(3), rows, &mut workspaces));
    }
    Lowered { variant: NAME, workspaces, dispatches }
}
