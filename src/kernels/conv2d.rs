//! Convolution on the GPU: the baseline, and the choice among the variants.
//!
//! The fast variants see forward and grad_input as one problem, a gather from a source image through taps, and linear
//! layers as convolutions of one pixel: [`Gather`] and [`WeightGrad`] are those two problems, and
//! [`super::linear`] states its own in their terms.

use super::activation::{derivative_epilogue, epilogue};
use super::conv2d_few_channels::{self, FewChannels};
use super::reduce::sum_splits;
use super::{BASELINE, BLOCK, Dispatch, Lowered, Operand, Problem, conv2d_broadcast, conv2d_rows, conv2d_tiled};
use crate::error::Result;
use crate::gpu::Caps;
use crate::ops::{Activation, Conv2d, Conv2dGradInput, Conv2dGradWeight};
use crate::tensor::Spec;

/// `dst[pixel, o] = b[o] + Σ_{p,q,c} src[n, h, w, c] · w[w_first + p·w_row + q·w_tap + c·w_c + o·w_o]` with
/// `h = i·mul + off + p·step` where that lies inside the image, and `w` likewise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gather {
    pub n: usize,
    /// Height, width, channels of what is written.
    pub dst: [usize; 3],
    /// Height, width, channels of what is read.
    pub src: [usize; 3],
    pub kernel: [usize; 2],
    pub mul: [i32; 2],
    pub off: [i32; 2],
    pub step: [i32; 2],
    /// Where the pixels that are written lie.
    pub lattice: Lattice,
    /// The first weight.
    pub w_first: usize,
    /// Distances in the weights between rows of taps, taps, source channels, and destination channels.
    pub w_strides: [usize; 4],
    /// The operands: source, weights, and the bias if there is one.
    pub operands: (Operand, Operand, Option<Operand>),
    /// What is applied to each sum before it is written.
    pub activation: Option<Activation>,
    /// The activation with whose derivative each sum is multiplied instead, and what is saved of it.
    pub derivative: Option<(Activation, Operand)>,
    /// Windows of this height and width, so many in a column and a row, of which the maxima are written, with their places in a
    /// second output.
    pub windows: Option<[[usize; 2]; 2]>,
}

/// Pixel `(i, j)` lies at `first + (i, j) · stride` in an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lattice {
    /// Height and width of the image.
    pub size: [usize; 2],
    pub first: [usize; 2],
    pub stride: [usize; 2],
}

impl Lattice {
    /// All pixels of an image.
    pub fn whole(size: [usize; 2]) -> Self {
        Self { size, first: [0; 2], stride: [1; 2] }
    }

    /// Sets the uniforms of a kernel.
    pub fn set(&self, dispatch: Dispatch) -> Dispatch {
        let Self { size, first, stride } = self;
        dispatch
            .set("h_full", size[0])
            .set("w_full", size[1])
            .set("first_h", first[0])
            .set("first_w", first[1])
            .set("stride_h", stride[0])
            .set("stride_w", stride[1])
    }
}

impl Gather {
    /// Lets a kernel of this problem do to its sums what becomes of them.
    pub fn finish(&self, dispatch: Dispatch) -> Dispatch {
        finish(dispatch, self.activation, self.derivative)
    }

    pub fn pixels(&self) -> usize {
        self.n * self.dst[0] * self.dst[1]
    }

    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    pub fn multiply_adds(&self) -> usize {
        self.pixels() * self.taps() * self.src[2] * self.dst[2]
    }
}

/// Lets a kernel that imports `shaders/shared/finish.wgsl` apply an activation to its sums, or multiply them with a derivative.
fn finish(dispatch: Dispatch, activation: Option<Activation>, derivative: Option<(Activation, Operand)>) -> Dispatch {
    match derivative {
        None => epilogue(dispatch, activation),
        Some(derivative) => derivative_epilogue(dispatch, derivative),
    }
}

/// `dw[(p·k_w + q)·w_tap + c·w_c + o·w_o] = Σ_pixels dy[pixel, o] · src[n, h, w, c]`; the geometry is the forward one, `dst`
/// meaning `dy`.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightGrad {
    /// The forward convolution; its operands are source, `dy`, none.
    pub forward: Gather,
}

impl WeightGrad {
    /// The most pixels of a split: old software drivers loop no longer.
    pub const MOST_PIXELS: usize = 32_768;

    /// Elements of the gradient.
    pub fn len(&self) -> usize {
        self.forward.taps() * self.forward.src[2] * self.forward.dst[2]
    }

    /// Splits of the pixels into `(splits, pixels a split)`: about `wanted` workgroups in all when one split takes `tiles`,
    /// each split a multiple of 256 pixels and within the loop limit of old software drivers.
    pub fn splits(&self, tiles: usize, wanted: usize) -> (usize, usize) {
        let pixels = self.forward.pixels();
        let splits = wanted.div_ceil(tiles).clamp(pixels.div_ceil(Self::MOST_PIXELS), pixels.div_ceil(256));
        let each = pixels.div_ceil(splits).next_multiple_of(256);
        (pixels.div_ceil(each), each)
    }
}

/// The variants of a convolution.
pub(super) fn forward_variants(op: &Conv2d, problem: &Problem) -> Vec<&'static str> {
    let (x, w, y) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    if op.groups > 1 {
        return vec![BASELINE];
    }
    let conv = forward_gather(op, x, y, w);
    with_few_channels(gather_variants(&conv, problem.caps), &FewChannels { conv: &conv, pool: None }, problem.caps)
}

/// The variants of the gradient of its input.
pub(super) fn grad_input_variants(op: &Conv2dGradInput, problem: &Problem) -> Vec<&'static str> {
    let (dy, w) = (&problem.inputs[0], &problem.inputs[1]);
    let parts = input_gathers(op, problem);
    let Some(part) = parts.first().filter(|_| op.conv.groups == 1) else { return vec![BASELINE] };
    // All of them together are as large as the gather from which they are cut.
    let pay = conv2d_broadcast::textures_pay(dy.len() * w.shape[0] * w.shape[1] * w.shape[2]);
    fast_variants(problem.caps, conv2d_broadcast::textures_serve(part, problem.caps), pay)
}

/// The variants of the gradient of its weights.
pub(super) fn grad_weight_variants(op: &Conv2dGradWeight, problem: &Problem) -> Vec<&'static str> {
    let (x, dy, dw) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    if op.conv.groups > 1 {
        return vec![BASELINE];
    }
    let forward = forward_gather(&op.conv, x, dy, dw);
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

/// The variants of any [`Gather`] on this device.
pub(super) fn gather_variants(gather: &Gather, caps: &Caps) -> Vec<&'static str> {
    let pay = conv2d_broadcast::textures_pay(gather.multiply_adds());
    fast_variants(caps, conv2d_broadcast::textures_serve(gather, caps), pay)
}

/// The variants of any [`WeightGrad`] on this device.
pub(super) fn weight_variants(grad: &WeightGrad, caps: &Caps) -> Vec<&'static str> {
    // The broadcast family sums its splits in one accumulator.
    if caps.cpu && grad.forward.pixels() > BLOCK * WeightGrad::MOST_PIXELS {
        return vec![BASELINE];
    }
    let pay = conv2d_broadcast::textures_pay(grad.forward.multiply_adds());
    fast_variants(caps, conv2d_broadcast::textures_serve_weights(grad, caps), pay)
}

/// The fast variants first where they apply. A tile through workgroup memory is ten times slower than the rest on a CPU
/// adapter, the broadcast family exists for those alone; operands go through textures where that is worth the copies.
fn fast_variants(caps: &Caps, textures_serve: bool, textures_pay: bool) -> Vec<&'static str> {
    let mut variants = vec![BASELINE];
    if conv2d_tiled::VARIANT.limits.refuse(caps).is_none() {
        variants.insert(if caps.cpu { 1 } else { 0 }, conv2d_tiled::NAME);
    }
    if conv2d_broadcast::VARIANT.limits.refuse(caps).is_none() {
        variants.insert(0, conv2d_broadcast::NAME);
        if textures_serve {
            variants.insert(if textures_pay { 0 } else { 2 }, conv2d_broadcast::TEXTURES_NAME);
        }
    }
    variants
}

fn hwc(spec: &Spec) -> [usize; 3] {
    [spec.shape[1], spec.shape[2], spec.shape[3]]
}

fn pair(values: [usize; 2]) -> [i32; 2] {
    values.map(|value| value as i32)
}

/// The forward convolution as a gather.
pub(super) fn forward_gather(conv: &Conv2d, x: &Spec, y: &Spec, w: &Spec) -> Gather {
    let [k_h, k_w, c_in, c_out] = [w.shape[0], w.shape[1], w.shape[2], w.shape[3]];
    Gather {
        n: x.shape[0],
        dst: hwc(y),
        src: hwc(x),
        kernel: [k_h, k_w],
        mul: pair(conv.stride),
        off: [-(conv.padding[0] as i32), -(conv.padding[1] as i32)],
        step: pair(conv.dilation),
        lattice: Lattice::whole([y.shape[1], y.shape[2]]),
        w_first: 0,
        w_strides: [k_w * c_in * c_out, c_in * c_out, c_out, 1],
        operands: (Operand::Input(0), Operand::Input(1), None),
        activation: None,
        derivative: None,
        windows: None,
    }
}

/// Along one axis of the input, the pixels with the same remainder by the stride: they read the same taps.
struct Remainder {
    first: usize,
    pixels: usize,
    /// The first tap, how many there are, and how far one is from the next.
    tap: usize,
    taps: usize,
    every: usize,
    /// Where the first tap of the first pixel reads, and how far the next tap reads from it.
    off: i32,
    step: i32,
}

/// The pixels of an axis of the input by their remainders by the stride. Pixel h reads row (h + pad − p·dilation) / stride through
/// tap p where that divides.
fn remainders(size: usize, kernel: usize, stride: usize, dilation: usize, pad: usize) -> Vec<Remainder> {
    let of = |first: usize| {
        let divides = |p: &usize| (first + pad).abs_diff(p * dilation).is_multiple_of(stride);
        let taps: Vec<usize> = (0..kernel).filter(divides).collect();
        let tap = taps.first().copied().unwrap_or(0);
        let every = taps.get(1).map_or(1, |next| next - tap);
        let (stride, reach) = (stride as i32, (every * dilation) as i32);
        Remainder {
            first,
            pixels: (size - first).div_ceil(stride as usize),
            tap,
            taps: taps.len(),
            every,
            off: ((first + pad) as i32 - (tap * dilation) as i32) / stride,
            step: -(reach / stride),
        }
    };
    (0..stride.min(size)).map(of).collect()
}

/// The gradient of the input as gathers, one for each remainder by the stride, so that none multiplies with what no tap reads.
fn input_gathers(op: &Conv2dGradInput, problem: &Problem) -> Vec<Gather> {
    let (dy, w, dx) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    let [k_h, k_w, c_in, c_out] = [w.shape[0], w.shape[1], w.shape[2], w.shape[3]];
    let (conv, [h, width, c]) = (&op.conv, hwc(dx));
    let columns = remainders(width, k_w, conv.stride[1], conv.dilation[1], conv.padding[1]);
    let mut gathers = Vec::new();
    for rows in remainders(h, k_h, conv.stride[0], conv.dilation[0], conv.padding[0]) {
        gathers.extend(columns.iter().map(|columns| Gather {
            n: dy.shape[0],
            dst: [rows.pixels, columns.pixels, c],
            src: hwc(dy),
            kernel: [rows.taps, columns.taps],
            mul: [1, 1],
            off: [rows.off, columns.off],
            step: [rows.step, columns.step],
            lattice: Lattice { size: [h, width], first: [rows.first, columns.first], stride: conv.stride },
            w_first: (rows.tap * k_w + columns.tap) * c_in * c_out,
            w_strides: [rows.every * k_w * c_in * c_out, columns.every * c_in * c_out, 1, c_out],
            operands: (Operand::Input(0), Operand::Input(1), None),
            activation: None,
            derivative: None,
            windows: None,
        }));
    }
    gathers
}

pub(super) fn gather(gather: &Gather, problem: &Problem, variant: &'static str) -> Option<Lowered> {
    match variant {
        conv2d_broadcast::NAME => Some(conv2d_broadcast::gather(gather, problem.caps, false)),
        conv2d_broadcast::TEXTURES_NAME => Some(conv2d_broadcast::gather(gather, problem.caps, true)),
        conv2d_tiled::NAME => Some(conv2d_tiled::gather(gather)),
        _ => None,
    }
}

pub(super) fn weight_grad(grad: &WeightGrad, problem: &Problem, variant: &'static str) -> Option<Lowered> {
    match variant {
        conv2d_broadcast::NAME => Some(conv2d_broadcast::weight_grad(grad, problem.caps)),
        conv2d_broadcast::TEXTURES_NAME => Some(conv2d_rows::weight_grad(grad, problem.caps)),
        conv2d_tiled::NAME => Some(conv2d_tiled::weight_grad(grad)),
        _ => None,
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
    let dispatch = match shape.operands.2 {
        Some(bias) => unsplit(op, "forward_bias", x, y, [k_h, k_w]).bind("b", bias),
        None => unsplit(op, "forward", x, y, [k_h, k_w]),
    };
    let dispatch = epilogue(dispatch, activation)
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
    let dispatch = unsplit(conv, "grad_input", dx, dy, [k_h, k_w]);
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
    let dispatch = epilogue(baseline(&op.conv, "grad_weight", x, dy, op.kernel, (splits, each)), None)
        .bind("x", Operand::Input(0))
        .bind("dy", Operand::Input(1))
        .bind("part", Operand::Workspace(0))
        .invocations(dw.len() * splits)
        .trips(each + each / 256 + 1);
    Ok(Lowered {
        variant: BASELINE,
        workspaces: vec![Spec::f32([splits, dw.len()])],
        dispatches: vec![dispatch, sum_splits(Operand::Workspace(0), Operand::Output(0), splits, dw.len())],
    })
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
