//! Linear layers on the GPU: to the fast variants a convolution whose kernel covers the image, or one pixel, with weights `[out, in]`.

use super::activation::epilogue;
use super::conv2d::{gather, weight_grad, with_bias};
use super::conv2d_gather::{Gather, Lattice, WeightGrad};
use super::conv2d_tiled::{Tile, Wanted};
use super::reduce::sum_splits;
use super::{BASELINE, Dispatch, Lowered, Operand, Problem, conv2d_tiled};
use crate::error::Result;
use crate::ops::linear::pixels_channels;
use crate::ops::{Activation, LinearGradWeight};
use crate::tensor::Spec;

/// An image `[n, h, w, from]` to `[n, to]` as a convolution whose kernel covers it all, with these distances in the weights between
/// pixels, channels and outputs. Rows are images of one pixel.
fn whole_image(n: usize, [h, w, from]: [usize; 3], to: usize) -> Gather {
    let pixels = h * w;
    Gather {
        n,
        dst: [1, 1, to],
        src: [h, w, from],
        kernel: [h, w],
        mul: [1, 1],
        off: [0, 0],
        step: [1, 1],
        lattice: Lattice::whole([1, 1]),
        w_first: 0,
        // With one tap its distance is any, and must not keep weights from being read in fours.
        w_strides: if pixels == 1 { [0, 0, 1, from] } else { [w, 1, pixels, pixels * from] },
        operands: (Operand::Input(0), Operand::Input(1), None),
        activation: None,
        derivative: None,
        windows: None,
    }
}

/// Height, width and channels of `x`.
fn image(x: &Spec) -> [usize; 3] {
    match *x.shape {
        [_, h, w, c] => [h, w, c],
        _ => [1, 1, x.shape[1]],
    }
}

/// The layer as a gather.
pub(super) fn forward_shape(problem: &Problem) -> Gather {
    let x = &problem.inputs[0];
    let mut shape = whole_image(x.shape[0], image(x), problem.inputs[1].shape[0]);
    shape.operands.2 = (problem.inputs.len() > 2).then_some(Operand::Input(2));
    shape
}

/// The gradient of its input as a gather: each pixel from one output pixel, through the tap that lies over it.
pub(super) fn input_shape(problem: &Problem) -> Gather {
    let (dy, dx) = (&problem.inputs[0], &problem.outputs[0]);
    let forward = whole_image(dy.shape[0], image(dx), dy.shape[1]);
    let [row, tap, c, o] = forward.w_strides;
    let lattice = Lattice::whole(forward.kernel);
    Gather { dst: forward.src, src: forward.dst, step: [-1, -1], lattice, w_strides: [row, tap, o, c], ..forward }
}

/// The gradient of its weights as that of a convolution.
pub(super) fn weight_shape(problem: &Problem) -> WeightGrad {
    let (x, dy) = (&problem.inputs[0], &problem.inputs[1]);
    WeightGrad { forward: whole_image(x.shape[0], image(x), dy.shape[1]) }
}

/// A kernel for `x`, an image or rows, and so many outputs.
fn baseline(entry: &'static str, x: &Spec, outputs: usize, splits: (usize, usize)) -> Dispatch {
    let [pixels, channels] = pixels_channels(&x.shape);
    Dispatch::new("linear.wgsl", entry)
        .set("n", x.shape[0])
        .set("pixels", pixels)
        .set("channels", channels)
        .set("outputs", outputs)
        .set("splits", splits.0)
        .set("rows_per_split", splits.1)
}

pub(super) fn forward(activation: Option<Activation>, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (x, outputs) = (&problem.inputs[0], problem.inputs[1].shape[0]);
    let mut shape = forward_shape(problem);
    shape.activation = activation;
    if let Some(lowered) = gather(&shape, problem, variant) {
        return Ok(lowered);
    }
    let dispatch = epilogue(baseline("forward", x, outputs, (1, 1)), activation)
        .bias(shape.operands.2, Operand::Input(1))
        .bind("x", Operand::Input(0))
        .bind("w", Operand::Input(1))
        .bind("y", Operand::Output(0))
        .invocations(problem.outputs[0].len())
        .trips(shape.taps() * (shape.src[2] + 1));
    Ok(Lowered::baseline(vec![dispatch]))
}

/// Lowers the gradient of the input, multiplied with the derivative of an activation if there is one.
pub(super) fn grad_input(derivative: Option<Activation>, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (dx, outputs) = (&problem.outputs[0], problem.inputs[0].shape[1]);
    let mut shape = input_shape(problem);
    shape.derivative = derivative.map(|activation| (activation, Operand::Input(2)));
    if let Some(lowered) = gather(&shape, problem, variant) {
        return Ok(lowered);
    }
    let dispatch = shape
        .finish(baseline("grad_input", dx, outputs, (1, 1)))
        .set("bias", 0u32)
        .bind("dy", Operand::Input(0))
        .bind("w", Operand::Input(1))
        .bind("dx", Operand::Output(0))
        .invocations(dx.len())
        .trips(outputs);
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn grad_weight(_op: &LinearGradWeight, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (x, outputs, len) = (&problem.inputs[0], problem.inputs[1].shape[1], problem.outputs[0].len());
    let grad = weight_shape(problem);
    if let Some(lowered) = weight_grad(&grad, problem, variant) {
        return Ok(lowered);
    }
    let splits = grad.splits(len.div_ceil(64), 1024);
    let dispatch = weight_sums(x, outputs, splits, Operand::Workspace(0));
    let splits = splits.0;
    Ok(Lowered {
        variant: BASELINE,
        workspaces: vec![Spec::f32([splits, len])],
        dispatches: vec![dispatch, sum_splits(Operand::Workspace(0), Operand::Output(0), splits, len)],
    })
}

/// The baseline's partial sums of the gradient of the weights, so many over so many rows each.
pub(super) fn weight_sums(x: &Spec, outputs: usize, (splits, each): (usize, usize), part: Operand) -> Dispatch {
    let features: usize = x.shape[1..].iter().product();
    epilogue(baseline("grad_weight", x, outputs, (splits, each)), None)
        .set("bias", 0u32)
        .bind("x", Operand::Input(0))
        .bind("dy", Operand::Input(1))
        .bind("part", part)
        .invocations(outputs * features * splits)
        .trips(each + each / 256 + 1)
}

/// Lowers the gradient of the weights with that of a bias: in one kernel for GPUs, else one after the other.
pub(super) fn bias_grad_weight(op: &LinearGradWeight, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    if let Some(tile) = Tile::of(variant) {
        let wanted = Wanted { bias: Some(Operand::Output(1)), images: None };
        return Ok(conv2d_tiled::weight_grad(tile, &weight_shape(problem), None, wanted));
    }
    with_bias(grad_weight(op, problem, variant)?, problem)
}
