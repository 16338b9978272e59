//! Convolutions as the fast variants see them: forward and grad_input as one problem, a gather from a source image through taps, and
//! linear layers as convolutions whose kernel covers the image: [`Gather`] and [`WeightGrad`] are those two problems, and
//! [`super::linear`] states its own in their terms.

use super::activation::{derivative_epilogue, epilogue};
use super::{Dispatch, Operand, Problem};
use crate::ops::{Activation, Conv2d, Conv2dGradInput};
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

/// Whether the fast kernels can write the maxima of such windows, which tile what they are taken of, of so many channels: an
/// invocation of each has four pixels, and four channels at a time.
pub(super) fn pools(window: [usize; 2], channels: usize) -> bool {
    4usize.is_multiple_of(window[0] * window[1]) && channels.is_multiple_of(4)
}

/// Lets a kernel that imports `shaders/shared/finish.wgsl` apply an activation to its sums, or multiply them with a derivative.
pub(super) fn finish(
    dispatch: Dispatch,
    activation: Option<Activation>,
    derivative: Option<(Activation, Operand)>,
) -> Dispatch {
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

    /// Taps and input channels, each a row of the gradient as a matrix.
    pub fn rows(&self) -> usize {
        self.forward.taps() * self.forward.src[2]
    }

    /// Elements of the gradient.
    pub fn len(&self) -> usize {
        self.rows() * self.forward.dst[2]
    }

    /// Splits of the pixels by so many images each, where this is given.
    pub fn parts(&self, images: Option<usize>) -> Option<(usize, usize)> {
        let image = self.forward.dst[0] * self.forward.dst[1];
        images.map(|images| (self.forward.n.div_ceil(images), images * image))
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

pub(super) fn hwc(spec: &Spec) -> [usize; 3] {
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
pub(super) fn input_gathers(op: &Conv2dGradInput, problem: &Problem) -> Vec<Gather> {
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
