//! Pooling over windows of an image, and over the whole image.
//!
//! ```text
//! max:    y[n,i,j,c]  = max_{p,q} x[n, i·s_h + p − pad_top, j·s_w + q − pad_left, c]
//!         dx[n,h,w,c] = Σ over windows (i,j) whose argmax is (h,w) of dy[n,i,j,c]
//! mean:   y[n,i,j,c]  = 1/D(i,j) · Σ_{p,q} x[n, i·s_h + p − pad_top, j·s_w + q − pad_left, c]
//!         dx[n,h,w,c] = Σ over windows (i,j) that hold (h,w) of dy[n,i,j,c] / D(i,j)
//! global: y[n,c]      = 1/(h·w) · Σ_{h,w} x[n,h,w,c]
//!         dx[n,h,w,c] = dy[n,c] / (h·w)
//! ```
//! The border never wins a maximum and adds nothing to a mean. D(i,j) counts the window's cells inside the image, or,
//! with `count_include_pad`, inside the image and its border: a window that hangs over the border (`ceil_mode`) is
//! clipped to it first. A NaN wins a maximum. All of this is PyTorch's rule.

use super::conv2d::MOST;
use super::{BlockSum, GradNode, Operator, Real, Source, expect_image, fill, fill_float};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};
use std::ops::Range;

/// Window of a pooling operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps of the window, [vertical, horizontal].
    pub stride: [usize; 2],
    /// Border around the image: top, left, bottom, right. Never wins a maximum.
    pub padding: [usize; 4],
    /// Whether a window that hangs over the bottom or right edge still counts (PyTorch's `ceil_mode`).
    pub ceil_mode: bool,
}

/// `x [n,h,w,c]` → `y [n,h_out,w_out,c]` and `argmax [n,h_out,w_out,c]` (u32, row·w + column inside the image plane).
/// Of equal values the first in row-major order wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPool2d(pub Pool2d);

/// `dy [n,h_out,w_out,c]`, `argmax` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPool2dGrad {
    /// The forward window.
    pub pool: Pool2d,
    /// Height and width of the forward input.
    pub input: [usize; 2],
}

/// `x [n,h,w,c]` → `y [n,h_out,w_out,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AvgPool2d {
    /// The window.
    pub pool: Pool2d,
    /// Whether the border's zeros count in the mean.
    pub count_include_pad: bool,
}

/// `dy [n,h_out,w_out,c]` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AvgPool2dGrad {
    /// The forward operator.
    pub forward: AvgPool2d,
    /// Height and width of the forward input.
    pub input: [usize; 2],
}

/// `x [n,h,w,c]` → `y [n,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GlobalAvgPool2d;

/// `dy [n,c]` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GlobalAvgPool2dGrad {
    /// Height and width of the forward input.
    pub input: [usize; 2],
}

impl Pool2d {
    /// Height and width of the output for an input of this size. With `ceil_mode` the last window must start inside
    /// the image or its top or left border.
    pub fn output_size(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        let fail = |problem: String| Err(Error::shape("pool2d", problem));
        let mut size = [0; 2];
        for axis in 0..2 {
            let (k, s) = (self.kernel[axis], self.stride[axis]);
            let (before, after) = (self.padding[axis], self.padding[axis + 2]);
            if k == 0 || s == 0 {
                return fail(format!("kernel {:?} and stride {:?} must be at least 1", self.kernel, self.stride));
            }
            if [k, s, input[axis]].iter().any(|&n| n > MOST) {
                return fail(format!("sizes above {MOST} are not supported"));
            }
            if before.max(after) > k / 2 {
                return fail(format!(
                    "padding {:?} must be at most half the {}×{} kernel",
                    self.padding, self.kernel[0], self.kernel[1]
                ));
            }
            let padded = input[axis] + before + after + if self.ceil_mode { s - 1 } else { 0 };
            if padded < k || input[axis] == 0 {
                return fail(format!(
                    "a {}×{} window does not fit a {}×{} image with padding {:?}; use a smaller window or more padding",
                    self.kernel[0], self.kernel[1], input[0], input[1], self.padding
                ));
            }
            size[axis] = (padded - k) / s + 1;
            if self.ceil_mode && (size[axis] - 1) * s >= input[axis] + before {
                size[axis] -= 1;
            }
        }
        Ok(size)
    }

    /// Whether `windows` of it, down and across, neither overlap nor leave gaps nor hang over an image of this height and width;
    /// rows and columns may be left over at its end.
    pub fn tiles(&self, windows: [usize; 2], input: [usize; 2]) -> bool {
        let whole = |axis: usize| windows[axis] * self.kernel[axis] <= input[axis];
        self.kernel == self.stride && self.padding == [0; 4] && whole(0) && whole(1)
    }

    /// Rows (axis 0) or columns (axis 1) of the image that window `out` covers.
    fn covered(&self, axis: usize, out: usize, len: usize) -> Range<usize> {
        let (start, before) = (out * self.stride[axis], self.padding[axis]);
        start.saturating_sub(before)..(start + self.kernel[axis]).saturating_sub(before).min(len)
    }

    /// Windows of `out` many along an axis that cover row or column `i`.
    fn covering(&self, axis: usize, i: usize, out: usize) -> Range<usize> {
        let at = i + self.padding[axis];
        let first = (at + 1).saturating_sub(self.kernel[axis]).div_ceil(self.stride[axis]);
        first..(at / self.stride[axis] + 1).min(out)
    }

    /// Cells of window `out` along an axis, clipped to the image and its border.
    fn padded_extent(&self, axis: usize, out: usize, len: usize) -> usize {
        let start = out * self.stride[axis];
        (start + self.kernel[axis]).min(self.padding[axis] + len + self.padding[axis + 2]) - start
    }

    fn infer(&self, op: &str, x: &Spec) -> Result<[usize; 4]> {
        let [n, h, w, c] = expect_image(op, x)?;
        let [h_out, w_out] = self.output_size([h, w])?;
        Ok([n, h_out, w_out, c])
    }
}

impl AvgPool2d {
    /// The divisor of window (i, j).
    fn divisor(&self, window: [usize; 2], input: [usize; 2]) -> usize {
        let extent = |axis| match self.count_include_pad {
            true => self.pool.padded_extent(axis, window[axis], input[axis]),
            false => self.pool.covered(axis, window[axis], input[axis]).len(),
        };
        extent(0) * extent(1)
    }
}

/// The indices (n, h, w, c) of element `index` of an image of this shape.
fn unravel(index: usize, shape: &[usize]) -> [usize; 4] {
    let (h, w, c) = (shape[1], shape[2], shape[3]);
    [index / (h * w * c), index / (w * c) % h, index / c % w, index % c]
}

/// Element `index` of the maximum, and its place row·w + column.
pub fn max_element<T: Real>(pool: &Pool2d, x: &Tensor<T>, out: &[usize], index: usize) -> (T, u32) {
    let xs = x.floats();
    max_of(pool, |i| xs[i], &x.shape, out, index)
}

/// The same of an image of shape `input` whose element i is `value(i)`.
pub(super) fn max_of<T: Real>(
    pool: &Pool2d,
    value: impl Fn(usize) -> T,
    input: &[usize],
    out: &[usize],
    index: usize,
) -> (T, u32) {
    let [n, i, j, c] = unravel(index, out);
    let (h_in, w_in, c_in) = (input[1], input[2], input[3]);
    let mut best = None;
    for row in pool.covered(0, i, h_in) {
        for col in pool.covered(1, j, w_in) {
            let value = value(((n * h_in + row) * w_in + col) * c_in + c);
            if best.is_none_or(|(max, _)| value > max || value.is_nan()) {
                best = Some((value, (row * w_in + col) as u32));
            }
        }
    }
    best.unwrap_or((T::nan(), 0))
}

/// Element `index` of the gradient of the maximum.
pub fn max_grad_element<T: Real>(op: &MaxPool2dGrad, dy: &Tensor<T>, argmax: &[u32], index: usize) -> T {
    let dys = dy.floats();
    max_grad_of(op, |at| dys[at], argmax, [dy.shape[1], dy.shape[2], dy.shape[3]], index)
}

/// The same of an upstream gradient of this height, width and channels whose element i is `dy(i)`.
pub(super) fn max_grad_of<T: Real>(
    op: &MaxPool2dGrad,
    dy: impl Fn(usize) -> T,
    argmax: &[u32],
    [h_out, w_out, c_in]: [usize; 3],
    index: usize,
) -> T {
    let [n, row, col, c] = unravel(index, &[0, op.input[0], op.input[1], c_in]);
    let place = (row * op.input[1] + col) as u32;
    let mut sum = T::zero();
    for i in op.pool.covering(0, row, h_out) {
        for j in op.pool.covering(1, col, w_out) {
            let at = ((n * h_out + i) * w_out + j) * c_in + c;
            if argmax[at] == place {
                sum += dy(at);
            }
        }
    }
    sum
}

/// Element `index` of the mean.
pub fn avg_element<T: Real>(op: &AvgPool2d, x: &Tensor<T>, out: &[usize], index: usize) -> T {
    let [n, i, j, c] = unravel(index, out);
    let (h_in, w_in, c_in) = (x.shape[1], x.shape[2], x.shape[3]);
    let xs = x.floats();
    let mut sum = BlockSum::new();
    for row in op.pool.covered(0, i, h_in) {
        for col in op.pool.covered(1, j, w_in) {
            sum.add(xs[((n * h_in + row) * w_in + col) * c_in + c]);
        }
    }
    sum.value() / T::of(op.divisor([i, j], [h_in, w_in]) as f64)
}

/// Element `index` of the gradient of the mean.
pub fn avg_grad_element<T: Real>(op: &AvgPool2dGrad, dy: &Tensor<T>, index: usize) -> T {
    let (h_out, w_out, c_in) = (dy.shape[1], dy.shape[2], dy.shape[3]);
    let [n, row, col, c] = unravel(index, &[0, op.input[0], op.input[1], c_in]);
    let (pool, dys) = (&op.forward.pool, dy.floats());
    let mut sum = BlockSum::new();
    for i in pool.covering(0, row, h_out) {
        for j in pool.covering(1, col, w_out) {
            let divisor = op.forward.divisor([i, j], op.input);
            sum.add(dys[((n * h_out + i) * w_out + j) * c_in + c] / T::of(divisor as f64));
        }
    }
    sum.value()
}

impl Operator for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let shape = self.0.infer("max_pool2d", &inputs[0])?;
        Ok(vec![Spec::f32(shape), Spec::u32(shape)])
    }

    fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
        let x = &inputs[0].shape;
        vec![GradNode {
            op: MaxPool2dGrad { pool: self.0, input: [x[1], x[2]] }.into(),
            operands: vec![Source::Upstream(0), Source::Output(1)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let shape = &outputs[0].shape;
        let (y, argmax) = fill(outputs[0].len(), |i| max_element(&self.0, inputs[0], shape, i)).into_iter().unzip();
        vec![Tensor::float(shape.clone(), y), Tensor::u32(shape.clone(), argmax)]
    }

    fn flops(&self, _inputs: &[Spec], outputs: &[Spec]) -> u64 {
        (self.0.kernel[0] * self.0.kernel[1] * outputs[0].len()) as u64
    }
}

impl Operator for MaxPool2dGrad {
    fn name(&self) -> &'static str {
        "max_pool2d_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![Spec::f32([inputs[0].shape[0], self.input[0], self.input[1], inputs[0].shape[3]])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let argmax = inputs[1].u32s();
        vec![fill_float(&outputs[0], |i| max_grad_element(self, inputs[0], argmax, i))]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }
}

impl Operator for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![Spec::f32(self.pool.infer("avg_pool2d", &inputs[0])?)])
    }

    fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
        let x = &inputs[0].shape;
        vec![GradNode {
            op: AvgPool2dGrad { forward: *self, input: [x[1], x[2]] }.into(),
            operands: vec![Source::Upstream(0)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![fill_float(&outputs[0], |i| avg_element(self, inputs[0], &outputs[0].shape, i))]
    }

    fn flops(&self, _inputs: &[Spec], outputs: &[Spec]) -> u64 {
        ((self.pool.kernel[0] * self.pool.kernel[1] + 1) * outputs[0].len()) as u64
    }
}

impl Operator for AvgPool2dGrad {
    fn name(&self) -> &'static str {
        "avg_pool2d_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![Spec::f32([inputs[0].shape[0], self.input[0], self.input[1], inputs[0].shape[3]])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![fill_float(&outputs[0], |i| avg_grad_element(self, inputs[0], i))]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        let kernel = self.forward.pool.kernel;
        (2 * kernel[0] * kernel[1] * inputs[0].len()) as u64
    }
}

impl Operator for GlobalAvgPool2d {
    fn name(&self) -> &'static str {
        "global_avg_pool2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [n, _, _, c] = expect_image("global_avg_pool2d", &inputs[0])?;
        Ok(vec![Spec::f32([n, c])])
    }

    fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
        let x = &inputs[0].shape;
        vec![GradNode {
            op: GlobalAvgPool2dGrad { input: [x[1], x[2]] }.into(),
            operands: vec![Source::Upstream(0)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (pixels, c) = (inputs[0].shape[1] * inputs[0].shape[2], inputs[0].shape[3]);
        let image = |n: usize| &inputs[0].floats()[n * pixels * c..][..pixels * c];
        let sum = |i: usize| image(i / c).iter().skip(i % c).step_by(c).copied().collect::<BlockSum<T>>().value();
        vec![fill_float(&outputs[0], |i| sum(i) / T::of(pixels as f64))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        (inputs[0].len() + outputs[0].len()) as u64
    }
}

impl Operator for GlobalAvgPool2dGrad {
    fn name(&self) -> &'static str {
        "global_avg_pool2d_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![Spec::f32([inputs[0].shape[0], self.input[0], self.input[1], inputs[0].shape[1]])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (pixels, c) = (self.input[0] * self.input[1], inputs[0].shape[1]);
        let dy = inputs[0].floats();
        vec![fill_float(&outputs[0], |i| dy[i / (pixels * c) * c + i % c] / T::of(pixels as f64))]
    }

    fn flops(&self, _inputs: &[Spec], outputs: &[Spec]) -> u64 {
        outputs[0].len() as u64
    }
}
