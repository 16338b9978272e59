//! Convolution on the GPU: the baseline, and the choice among the variants, whose problems [`super::conv2d_gather`] states.

use super::activation::epilogue;
use super::conv2d_few_channels::{self, FewChannels};
use super::conv2d_gather::{Gather, WeightGrad, finish, forward_gather, hwc, input_gathers};
use super::conv2d_product::{self, Product};
use super::conv2d_tiled::{Tile, Wanted};
use super::reduce::sum_splits;
use super::{BASELINE, BLOCK, Dispatch, Lowered, Operand, Problem};
use super::{conv2d_broadcast, conv2d_depthwise, conv2d_rows, conv2d_tiled, conv2d_winograd, reduce};
use crate::error::Result;
use crate::gpu::Caps;
use crate::ops::{Activation, Conv2d, Conv2dGradInput, Conv2dGradWeight, SumRows};
use crate::tensor::Spec;

/// The variants of a convolution.
pub(super) fn forward_variants(op: &Conv2d, problem: &Problem) -> Vec<&'static str> {
    let (x, w, y) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    let conv = forward_gather(op, x, y, w);
    if op.groups > 1 {
        return depthwise_variants(std::slice::from_ref(&conv), op.groups, problem.caps);
    }
    let variants = with_winograd(gather_variants(&conv, problem.caps), &conv, problem.caps);
    with_few_channels(variants, &FewChannels { conv: &conv, pool: None }, problem.caps)
}

/// The variants of the gradient of its input.
pub(super) fn grad_input_variants(op: &Conv2dGradInput, problem: &Problem) -> Vec<&'static str> {
    let (dy, w) = (&problem.inputs[0], &problem.inputs[1]);
    let parts = input_gathers(op, problem);
    if op.conv.groups > 1 {
        return depthwise_variants(&parts, op.conv.groups, problem.caps);
    }
    let Some(part) = parts.first() else { return vec![BASELINE] };
    // All of them together are as large as the gather from which they are cut.
    let pay = conv2d_broadcast::textures_pay(dy.len() * w.shape[0] * w.shape[1] * w.shape[2]);
    let tiles = gather_tiles(part, problem.caps);
    let variants = fast_variants(problem.caps, tiles, conv2d_broadcast::textures_serve(part, problem.caps), pay);
    // With what is saved of an activation there is no such kernel: GPUs take that gradient together with that of the weights.
    if problem.inputs.len() > 2 { variants } else { with_winograd(variants, part, problem.caps) }
}

/// These variants, and behind all of them Winograd's where it serves the problem: it runs where it was measured to be the fastest, and
/// is never guessed, since nobody has measured it on a GPU, and on processors it is not.
fn with_winograd(mut variants: Vec<&'static str>, gather: &Gather, caps: &Caps) -> Vec<&'static str> {
    if conv2d_winograd::serves(gather) && conv2d_winograd::VARIANT.limits.refuse(caps).is_none() {
        variants.push(conv2d_winograd::NAME);
    }
    variants
}

/// The variants of the gradient of its weights.
pub(super) fn grad_weight_variants(op: &Conv2dGradWeight, problem: &Problem) -> Vec<&'static str> {
    let (x, dy, dw) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    let forward = forward_gather(&op.conv, x, dy, dw);
    if op.conv.groups > 1 {
        return depthwise_weight_variants(&WeightGrad { forward }, op.conv.groups, problem.caps);
    }
    let variants = weight_variants(&WeightGrad { forward }, problem.caps);
    with_few_channels(variants, &FewChannels { conv: &forward, pool: None }, problem.caps)
}

/// These variants, and the one for few input channels where it serves the problem: first, if at least half of its lanes have
/// channels to compute.
pub(super) fn with_few_channels(
    mut variants: Vec<&'static str>,
    problem: &FewChannels,
    caps: &Caps,
) -> Vec<&'static str> {
    if problem.serves() && conv2d_few_channels::VARIANT.limits.refuse(caps).is_none() {
        variants.insert(usize::from(!problem.fills_half(caps)), conv2d_few_channels::NAME);
    }
    variants
}

/// The variants of gathers in groups, which must all be of one.
fn depthwise_variants(parts: &[Gather], groups: usize, caps: &Caps) -> Vec<&'static str> {
    let serves = !parts.is_empty() && parts.iter().all(|part| conv2d_depthwise::serves(part, groups));
    with_textures(serves, parts.iter().all(|part| conv2d_depthwise::textures_serve(part, caps)))
}

/// The variants of a gradient of weights in groups.
fn depthwise_weight_variants(grad: &WeightGrad, groups: usize, caps: &Caps) -> Vec<&'static str> {
    let serves = conv2d_depthwise::serves_weights(grad, groups);
    with_textures(serves, conv2d_depthwise::textures_serve_weights(grad, caps))
}

fn with_textures(serves: bool, textures: bool) -> Vec<&'static str> {
    match (serves, textures) {
        (false, _) => vec![BASELINE],
        (true, false) => vec![conv2d_depthwise::NAME, BASELINE],
        (true, true) => vec![conv2d_depthwise::TEXTURES_NAME, conv2d_depthwise::NAME, BASELINE],
    }
}

/// The variants of any [`Gather`] on this device.
pub(super) fn gather_variants(gather: &Gather, caps: &Caps) -> Vec<&'static str> {
    let pay = conv2d_broadcast::textures_pay(gather.multiply_adds());
    fast_variants(caps, gather_tiles(gather, caps), conv2d_broadcast::textures_serve(gather, caps), pay)
}

/// The tiles that serve a gather.
pub(super) fn gather_tiles(gather: &Gather, caps: &Caps) -> Vec<&'static str> {
    conv2d_product::tiles(caps, conv2d_tiled::fours_serve(gather), &[Product::gather(gather)])
}

/// The variants of any [`WeightGrad`] on this device.
pub(super) fn weight_variants(grad: &WeightGrad, caps: &Caps) -> Vec<&'static str> {
    // The broadcast family sums its splits in one accumulator.
    if caps.cpu && grad.forward.pixels() > BLOCK * WeightGrad::MOST_PIXELS {
        return vec![BASELINE];
    }
    let pay = conv2d_broadcast::textures_pay(grad.forward.multiply_adds());
    let fours = grad.forward.w_strides[3] == 1 && conv2d_tiled::fours_serve(&grad.forward);
    let tiles = conv2d_product::tiles(caps, fours, &[Product::weights(grad, None)]);
    fast_variants(caps, tiles, conv2d_broadcast::textures_serve_weights(grad, caps), pay)
}

/// The fast variants first where they apply. A tile through workgroup memory is ten times slower than the rest on a CPU
/// adapter, the broadcast family exists for those alone; operands go through textures where that is worth the copies.
fn fast_variants(caps: &Caps, tiles: Vec<&'static str>, textures_serve: bool, textures_pay: bool) -> Vec<&'static str> {
    let mut variants = conv2d_product::with_baseline(tiles, caps);
    if conv2d_broadcast::VARIANT.limits.refuse(caps).is_none() {
        variants.insert(0, conv2d_broadcast::NAME);
        if textures_serve {
            variants.insert(if textures_pay { 0 } else { 2 }, conv2d_broadcast::TEXTURES_NAME);
        }
    }
    variants
}

pub(super) fn gather(gather: &Gather, problem: &Problem, variant: &'static str) -> Option<Lowered> {
    match variant {
        conv2d_broadcast::NAME => Some(conv2d_broadcast::gather(gather, problem.caps, false)),
        conv2d_broadcast::TEXTURES_NAME => Some(conv2d_broadcast::gather(gather, problem.caps, true)),
        conv2d_depthwise::NAME => conv2d_depthwise::gather(gather, false),
        conv2d_depthwise::TEXTURES_NAME => conv2d_depthwise::gather(gather, true),
        conv2d_winograd::NAME => conv2d_winograd::gather(gather),
        _ => Tile::of(variant).map(|tile| conv2d_tiled::gather(tile, gather)),
    }
}

pub(super) fn weight_grad(grad: &WeightGrad, problem: &Problem, variant: &'static str) -> Option<Lowered> {
    match variant {
        conv2d_broadcast::NAME => Some(conv2d_broadcast::weight_grad(grad, problem.caps)),
        conv2d_broadcast::TEXTURES_NAME => Some(conv2d_rows::weight_grad(grad, problem.caps)),
        conv2d_depthwise::NAME => conv2d_depthwise::weight_grad(grad, false),
        conv2d_depthwise::TEXTURES_NAME => conv2d_depthwise::weight_grad(grad, true),
        _ => Tile::of(variant).map(|tile| conv2d_tiled::weight_grad(tile, grad, None, Wanted::default())),
    }
}

pub(super) fn forward(
    op: &Conv2d,
    activation: Option<Activation>,
    problem: &Problem,
    variant: &'static str,
) -> Result<Lowered> {
    let (x, w, y) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    let [k_h, k_w, c_in] = [w.shape[0], w.shape[1], w.shape[2]];
    let mut shape = forward_gather(op, x, y, w);
    shape.operands.2 = (problem.inputs.len() > 2).then_some(Operand::Input(2));
    shape.activation = activation;
    if variant == conv2d_few_channels::NAME {
        return Ok(FewChannels { conv: &shape, pool: None }.forward(problem.caps));
    }
    if let Some(lowered) = gather(&shape, problem, variant) {
        return Ok(lowered);
    }
    let dispatch = epilogue(unsplit(op, "forward", x, y, [k_h, k_w]), activation)
        .bias(shape.operands.2, Operand::Input(1))
        .bind("x", Operand::Input(0))
        .bind("w", Operand::Input(1))
        .bind("y", Operand::Output(0))
        .invocations(y.len())
        .trips(k_h * k_w * (c_in + 1) + k_h);
    Ok(Lowered::baseline(vec![dispatch]))
}

/// Lowers the gradient of the input, multiplied with the derivative of an activation if there is one.
pub(super) fn grad_input(
    op: &Conv2dGradInput,
    derivative: Option<Activation>,
    problem: &Problem,
    variant: &'static str,
) -> Result<Lowered> {
    let (dy, w, dx) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    let ([k_h, k_w, c_out], conv) = ([w.shape[0], w.shape[1], w.shape[3]], &op.conv);
    let derivative = derivative.map(|activation| (activation, Operand::Input(2)));
    let parts = input_gathers(op, problem).into_iter().map(|part| Gather { derivative, ..part });
    let parts: Option<Vec<Lowered>> = parts.map(|part| gather(&part, problem, variant)).collect();
    if let Some(parts) = parts {
        let mut lowered = Lowered { variant, workspaces: Vec::new(), dispatches: Vec::new() };
        parts.into_iter().for_each(|part| lowered.append(part, |operand| operand));
        return Ok(lowered);
    }
    let dispatch = unsplit(conv, "grad_input", dx, dy, [k_h, k_w]).set("bias", 0u32);
    let dispatch = finish(dispatch, None, derivative)
        .bind("dy", Operand::Input(0))
        .bind("w", Operand::Input(1))
        .bind("dx", Operand::Output(0))
        .invocations(dx.len())
        .trips(k_h * k_w * (c_out / conv.groups + 1) + k_h);
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn grad_weight(op: &Conv2dGradWeight, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (x, dy, dw) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    let grad = WeightGrad { forward: forward_gather(&op.conv, x, dy, dw) };
    if variant == conv2d_few_channels::NAME {
        return Ok(FewChannels { conv: &grad.forward, pool: None }.grad_weight(false, problem.caps));
    }
    if let Some(lowered) = weight_grad(&grad, problem, variant) {
        return Ok(lowered);
    }
    let (splits, each) = grad.splits(dw.len().div_ceil(64), 1024);
    let dispatch = weight_sums(op, [x, dy, dw], (splits, each), Operand::Workspace(0));
    Ok(Lowered {
        variant: BASELINE,
        workspaces: vec![Spec::f32([splits, dw.len()])],
        dispatches: vec![dispatch, sum_splits(Operand::Workspace(0), Operand::Output(0), splits, dw.len())],
    })
}

/// The baseline's partial sums of the gradient of the weights, so many over so many pixels each.
pub(super) fn weight_sums(
    op: &Conv2dGradWeight,
    [x, dy, dw]: [&Spec; 3],
    (splits, each): (usize, usize),
    part: Operand,
) -> Dispatch {
    epilogue(baseline(&op.conv, "grad_weight", x, dy, op.kernel, (splits, each)), None)
        .set("bias", 0u32)
        .bind("x", Operand::Input(0))
        .bind("dy", Operand::Input(1))
        .bind("part", part)
        .invocations(dw.len() * splits)
        .trips(each + each / 256 + 1)
}

/// Lowers the gradient of the weights with that of a bias: in one kernel for GPUs, else one after the other.
pub(super) fn bias_grad_weight(op: &Conv2dGradWeight, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    if let Some(tile) = Tile::of(variant) {
        let forward = forward_gather(&op.conv, &problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
        let wanted = Wanted { bias: Some(Operand::Output(1)), images: None };
        return Ok(conv2d_tiled::weight_grad(tile, &WeightGrad { forward }, None, wanted));
    }
    with_bias(grad_weight(op, problem, variant)?, problem)
}

/// The kernels for the gradient of weights, and those for that of a bias behind them.
pub(super) fn with_bias(mut weights: Lowered, problem: &Problem) -> Result<Lowered> {
    let part = Problem { inputs: &problem.inputs[1..2], outputs: &problem.outputs[1..], ..*problem };
    weights.append(reduce::sum_rows(&SumRows, &part)?, |operand| match operand {
        Operand::Input(_) => Operand::Input(1),
        _ => Operand::Output(1),
    });
    Ok(weights)
}

fn unsplit(conv: &Conv2d, entry: &'static str, x: &Spec, y: &Spec, kernel: [usize; 2]) -> Dispatch {
    baseline(conv, entry, x, y, kernel, (1, 1))
}

fn baseline(
    conv: &Conv2d,
    entry: &'static str,
    x: &Spec,
    y: &Spec,
    kernel: [usize; 2],
    (splits, each): (usize, usize),
) -> Dispatch {
    let ([h_in, w_in, c_in], [h_out, w_out, c_out]) = (hwc(x), hwc(y));
    Dispatch::new("conv2d.wgsl", entry)
        .set("n", x.shape[0])
        .set("h_in", h_in)
        .set("w_in", w_in)
        .set("c_in", c_in)
        .set("h_out", h_out)
        .set("w_out", w_out)
        .set("c_out", c_out)
        .set("k_h", kernel[0])
        .set("k_w", kernel[1])
        .set("stride_h", conv.stride[0])
        .set("stride_w", conv.stride[1])
        .set("dilation_h", conv.dilation[0])
        .set("dilation_w", conv.dilation[1])
        .set("pad_h", conv.padding[0])
        .set("pad_w", conv.padding[1])
        .set("groups", conv.groups)
        .set("splits", splits)
        .set("pixels_per_split", each)
}
