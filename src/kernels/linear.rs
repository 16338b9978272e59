//! Linear layers on the GPU: to the fast variants a convolution of one pixel, whose weights lie `[out, in]`.

use super::activation::epilogue;
use super::conv2d::{Gather, WeightGrad, gather, weight_grad};
use super::reduce::sum_splits;
use super::{BASELINE, Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{Activation, LinearGradInput, LinearGradWeight};
use crate::tensor::Spec;

/// `[n, from]` to `[n, to]` as a gather over one pixel, with these distances in the weights between inputs and outputs.
fn one_pixel(n: usize, from: usize, to: usize, [w_c, w_o]: [usize; 2]) -> Gather {
    Gather {
        n,
        dst: [1, 1, to],
        src: [1, 1, from],
        kernel: [1, 1],
        mul: [1, 1],
        off: [0, 0],
        step: [1, 1],
        div: [1, 1],
        // With one tap its distance is any; this value says that the weights lie [o, tap, c] as packed ones do.
        w_strides: [from, w_c, w_o],
        operands: (Operand::Input(0), Operand::Input(1), None),
        activation: None,
        windows: None,
    }
}

/// The layer as a gather.
pub(super) fn forward_shape(problem: &Problem) -> Gather {
    let (n, [outputs, inputs]) = (problem.inputs[0].shape[0], matrix(&problem.inputs[1]));
    let mut shape = one_pixel(n, inputs, outputs, [1, inputs]);
    shape.operands.2 = (problem.inputs.len() > 2).then_some(Operand::Input(2));
    shape
}

/// The gradient of its input as a gather.
pub(super) fn input_shape(problem: &Problem) -> Gather {
    let (n, [outputs, inputs]) = (problem.inputs[0].shape[0], matrix(&problem.inputs[1]));
    one_pixel(n, outputs, inputs, [inputs, 1])
}

/// The gradient of its weights as that of a convolution.
pub(super) fn weight_shape(problem: &Problem) -> WeightGrad {
    let (n, [outputs, inputs]) = (problem.inputs[0].shape[0], matrix(&problem.outputs[0]));
    WeightGrad { forward: one_pixel(n, inputs, outputs, [1, inputs]) }
}

fn baseline(entry: &'static str, n: usize, [inputs, outputs]: [usize; 2], splits: (usize, usize)) -> Dispatch {
    Dispatch::new("linear.wgsl", entry)
        .set("n", n)
        .set("inputs", inputs)
        .set("outputs", outputs)
        .set("splits", splits.0)
        .set("rows_per_split", splits.1)
}

pub(super) fn forward(activation: Option<Activation>, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (n, [outputs, inputs]) = (problem.inputs[0].shape[0], matrix(&problem.inputs[1]));
    let mut shape = forward_shape(problem);
    shape.activation = activation;
    if let Some(lowered) = gather(&shape, problem, variant) {
        return Ok(lowered);
    }
    let dispatch = match shape.operands.2 {
        Some(bias) => baseline("forward_bias", n, [inputs, outputs], (1, 1)).bind("b", bias),
        None => baseline("forward", n, [inputs, outputs], (1, 1)),
    };
    let dispatch = epilogue(dispatch, activation)
        .bind("x", Operand::Input(0))
        .bind("w", Operand::Input(1))
        .bind("y", Operand::Output(0))
        .invocations(n * outputs)
        .trips(inputs);
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn grad_input(_op: &LinearGradInput, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (n, [outputs, inputs]) = (problem.inputs[0].shape[0], matrix(&problem.inputs[1]));
    if let Some(lowered) = gather(&input_shape(problem), problem, variant) {
        return Ok(lowered);
    }
    let dispatch = epilogue(baseline("grad_input", n, [inputs, outputs], (1, 1)), None)
        .bind("dy", Operand::Input(0))
        .bind("w", Operand::Input(1))
        .bind("dx", Operand::Output(0))
        .invocations(n * inputs)
        .trips(outputs);
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn grad_weight(_op: &LinearGradWeight, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (n, [outputs, inputs]) = (problem.inputs[0].shape[0], matrix(&problem.outputs[0]));
    let grad = weight_shape(problem);
    if let Some(lowered) = weight_grad(&grad, problem, variant) {
        return Ok(lowered);
    }
    let (splits, each) = grad.splits((inputs * outputs).div_ceil(64), 1024);
    let dispatch = epilogue(baseline("grad_weight", n, [inputs, outputs], (splits, each)), None)
        .bind("x", Operand::Input(0))
        .bind("dy", Operand::Input(1))
        .bind("part", Operand::Workspace(0))
        .invocations(inputs * outputs * splits)
        .trips(each + each / 256 + 1);
    Ok(Lowered {
        variant: BASELINE,
        workspaces: vec![Spec::f32([splits, inputs * outputs])],
        dispatches: vec![dispatch, sum_splits(Operand::Workspace(0), Operand::Output(0), splits, inputs * outputs)],
    })
}

fn matrix(spec: &Spec) -> [usize; 2] {
    [spec.shape[0], spec.shape[1]]
}
