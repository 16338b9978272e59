//! Two-dimensional convolution (cross-correlation, as every framework means it) and its gradients.
//!
//! ```text
//! y[n,i,j,o]  = b[o] + Σ_{p,q,c} x[n, i·s_h + p·d_h − pad_top, j·s_w + q·d_w − pad_left, g·C + c] · w[p,q,c,o]
//! dx[n,h,w,c] = Σ over (p,q,o) that read x[n,h,w,c] of dy[n,i,j,o] · w[p,q,c,o]
//! dw[p,q,c,o] = Σ_{n,i,j} dy[n,i,j,o] · x[n, i·s_h + p·d_h − pad_top, j·s_w + q·d_w − pad_left, g·C + c]
//! db[o]       = Σ_{n,i,j} dy[n,i,j,o]                         (see [`crate::ops::SumRows`])
//! ```
//! with C = c_in / groups channels a group, g the group of o; outside the image x is 0.
//!
//! The article that this project began with writes the convolution centred, y(i,j) = Σₚ Σ_q x(i+p, j+q)·k(p,q) with
//! p, q over −k..k: that is kernel 2k+1 with padding k on every side, and a named test.

use super::{BlockSum, GradNode, Op, Operator, Real, Source, SumRows, fill};
use crate::error::{Error, Result};
use crate::tensor::{DType, Spec, Tensor};

/// Attributes of a convolution; also the forward operator: `x [n,h,w,c_in]`, `w [k_h,k_w,c_in/groups,c_out]` and,
/// when there is a bias, `b [c_out]` → `y [n,h_out,w_out,c_out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Steps of the window, [vertical, horizontal].
    pub stride: [usize; 2],
    /// Zeros around the image: top, left, bottom, right.
    pub padding: [usize; 4],
    /// Distance between the taps of the kernel, [vertical, horizontal].
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; `c_in` for a depthwise convolution.
    pub groups: usize,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self { stride: [1; 2], padding: [0; 4], dilation: [1; 2], groups: 1 }
    }
}

/// Gradient of the input: `dy [n,h_out,w_out,c_out]`, `w` → `dx [n,h,w,c_in]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2dGradInput {
    /// The forward convolution.
    pub conv: Conv2d,
    /// Height and width of the forward input, which the output's size alone does not tell.
    pub input: [usize; 2],
}

/// Gradient of the weights: `x [n,h,w,c_in]`, `dy [n,h_out,w_out,c_out]` → `dw [k_h,k_w,c_in/groups,c_out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2dGradWeight {
    /// The forward convolution.
    pub conv: Conv2d,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
}

/// The largest kernel, stride, dilation, padding or image side: their products stay far from overflow.
pub(super) const MOST: usize = 1 << 20;

impl Conv2d {
    /// Height and width of the output for an input and a kernel of these sizes.
    pub fn output_size(&self, input: [usize; 2], kernel: [usize; 2]) -> Result<[usize; 2]> {
        let mut size = [0; 2];
        for axis in 0..2 {
            let [k, s, d] = [kernel[axis], self.stride[axis], self.dilation[axis]];
            if k == 0 || s == 0 || d == 0 {
                return Err(Error::shape(
                    "conv2d",
                    format!(
                        "kernel {kernel:?}, stride {:?} and dilation {:?} must all be at least 1",
                        self.stride, self.dilation
                    ),
                ));
            }
            if [k, s, d, input[axis], self.padding[axis], self.padding[axis + 2]].iter().any(|&n| n > MOST) {
                return Err(Error::shape("conv2d", format!("sizes above {MOST} are not supported")));
            }
            let padded = input[axis] + self.padding[axis] + self.padding[axis + 2];
            let span = (k - 1) * d + 1;
            if padded < span {
                return Err(Error::shape(
                    "conv2d",
                    format!(
                        "a {}×{} kernel with dilation {:?} does not fit a {}×{} image with padding {:?}; use a smaller kernel or more padding",
                        kernel[0], kernel[1], self.dilation, input[0], input[1], self.padding
                    ),
                ));
            }
            size[axis] = (padded - span) / s + 1;
        }
        Ok(size)
    }
}

/// The row or column of the input that tap `tap` of output `out` reads, if it lies inside the image.
#[inline]
fn source(out: usize, tap: usize, stride: usize, dilation: usize, pad: usize, len: usize) -> Option<usize> {
    (out * stride + tap * dilation).checked_sub(pad).filter(|&i| i < len)
}

/// The row or column of the output whose tap `tap` reads input `i`, if there is one.
#[inline]
fn target(i: usize, tap: usize, stride: usize, dilation: usize, pad: usize, len: usize) -> Option<usize> {
    let shifted = (i + pad).checked_sub(tap * dilation)?;
    (shifted.is_multiple_of(stride)).then_some(shifted / stride).filter(|&o| o < len)
}

/// Element `index` of the forward output.
pub fn forward_element<T: Real>(
    conv: &Conv2d,
    x: &Tensor<T>,
    w: &Tensor<T>,
    b: Option<&Tensor<T>>,
    out: [usize; 2],
    index: usize,
) -> T {
    let ([h_in, w_in, c_in], [k_h, k_w, c_group, c_out]) = (hwc(&x.shape), dims(&w.shape));
    let [h_out, w_out] = out;
    let (o, j, i, n) =
        (index % c_out, index / c_out % w_out, index / (c_out * w_out) % h_out, index / (c_out * w_out * h_out));
    let first = o / (c_out / conv.groups) * c_group;
    let (xs, ws) = (x.floats(), w.floats());
    let mut sum = T::zero();
    for p in 0..k_h {
        let Some(row) = source(i, p, conv.stride[0], conv.dilation[0], conv.padding[0], h_in) else { continue };
        for q in 0..k_w {
            let Some(col) = source(j, q, conv.stride[1], conv.dilation[1], conv.padding[1], w_in) else { continue };
            let x_at = ((n * h_in + row) * w_in + col) * c_in + first;
            let w_at = (p * k_w + q) * c_group * c_out + o;
            for c in 0..c_group {
                sum += xs[x_at + c] * ws[w_at + c * c_out];
            }
        }
    }
    sum + b.map_or(T::zero(), |b| b.floats()[o])
}

/// Element `index` of the gradient of the input.
pub fn grad_input_element<T: Real>(op: &Conv2dGradInput, dy: &Tensor<T>, w: &Tensor<T>, index: usize) -> T {
    let dys = dy.floats();
    grad_input_of(op, |at| dys[at], dims(&dy.shape), w, index)
}

/// The same of an upstream gradient of this shape whose element i is `dy(i)`.
pub(super) fn grad_input_of<T: Real>(
    op: &Conv2dGradInput,
    dy: impl Fn(usize) -> T,
    [_, h_out, w_out, c_out]: [usize; 4],
    w: &Tensor<T>,
    index: usize,
) -> T {
    let [k_h, k_w, c_group, _] = dims(&w.shape);
    let (conv, [h_in, w_in]) = (&op.conv, op.input);
    let c_in = c_group * conv.groups;
    let (c, col, row, n) =
        (index % c_in, index / c_in % w_in, index / (c_in * w_in) % h_in, index / (c_in * w_in * h_in));
    let o_group = c_out / conv.groups;
    let first = c / c_group * o_group;
    let ws = w.floats();
    let mut sum = T::zero();
    for p in 0..k_h {
        let Some(i) = target(row, p, conv.stride[0], conv.dilation[0], conv.padding[0], h_out) else { continue };
        for q in 0..k_w {
            let Some(j) = target(col, q, conv.stride[1], conv.dilation[1], conv.padding[1], w_out) else { continue };
            let dy_at = ((n * h_out + i) * w_out + j) * c_out + first;
            let w_at = ((p * k_w + q) * c_group + c % c_group) * c_out + first;
            for o in 0..o_group {
                sum += dy(dy_at + o) * ws[w_at + o];
            }
        }
    }
    sum
}

/// Element `index` of the gradient of the weights.
pub fn grad_weight_element<T: Real>(op: &Conv2dGradWeight, x: &Tensor<T>, dy: &Tensor<T>, index: usize) -> T {
    let dys = dy.floats();
    grad_weight_of(op, x, |at| dys[at], dims(&dy.shape), index)
}

/// The same of an upstream gradient of this shape whose element i is `dy(i)`.
pub(super) fn grad_weight_of<T: Real>(
    op: &Conv2dGradWeight,
    x: &Tensor<T>,
    dy: impl Fn(usize) -> T,
    [_, h_out, w_out, c_out]: [usize; 4],
    index: usize,
) -> T {
    let [h_in, w_in, c_in] = hwc(&x.shape);
    let (conv, [_, k_w]) = (&op.conv, op.kernel);
    let c_group = c_in / conv.groups;
    let (o, c, q, p) =
        (index % c_out, index / c_out % c_group, index / (c_out * c_group) % k_w, index / (c_out * c_group * k_w));
    let channel = o / (c_out / conv.groups) * c_group + c;
    let xs = x.floats();
    let mut sum = BlockSum::new();
    for n in 0..x.shape[0] {
        for i in 0..h_out {
            let Some(row) = source(i, p, conv.stride[0], conv.dilation[0], conv.padding[0], h_in) else { continue };
            for j in 0..w_out {
                let Some(col) = source(j, q, conv.stride[1], conv.dilation[1], conv.padding[1], w_in) else { continue };
                sum.add(
                    dy(((n * h_out + i) * w_out + j) * c_out + o)
                        * xs[((n * h_in + row) * w_in + col) * c_in + channel],
                );
            }
        }
    }
    sum.value()
}

fn hwc(shape: &[usize]) -> [usize; 3] {
    [shape[1], shape[2], shape[3]]
}

fn dims(shape: &[usize]) -> [usize; 4] {
    [shape[0], shape[1], shape[2], shape[3]]
}

impl Operator for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let fail = |problem: String| Err(Error::shape("conv2d", problem));
        let (x, w) = (&inputs[0], &inputs[1]);
        if x.shape.len() != 4 || w.shape.len() != 4 || x.dtype != DType::F32 {
            return fail(format!(
                "needs an image [n, h, w, c] and weights [k_h, k_w, c_in/groups, c_out], got {:?} and {:?}",
                x.shape, w.shape
            ));
        }
        let (c_in, [k_h, k_w, c_group, c_out]) = (x.shape[3], dims(&w.shape));
        if self.groups == 0 || c_in % self.groups != 0 || c_out % self.groups != 0 {
            return fail(format!("{} groups do not divide {c_in} input and {c_out} output channels", self.groups));
        }
        if c_group * self.groups != c_in || c_out == 0 {
            return fail(format!("weights {:?} with {} groups do not fit {c_in} input channels", w.shape, self.groups));
        }
        if inputs.get(2).is_some_and(|b| b.shape != [c_out]) {
            return fail(format!(
                "the bias {:?} must have one element for each of {c_out} output channels",
                inputs[2].shape
            ));
        }
        let [h_out, w_out] = self.output_size([x.shape[1], x.shape[2]], [k_h, k_w])?;
        Ok(vec![Spec::f32([x.shape[0], h_out, w_out, c_out])])
    }

    fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
        let (x, w) = (&inputs[0].shape, &inputs[1].shape);
        let mut nodes = vec![
            GradNode {
                op: Conv2dGradInput { conv: *self, input: [x[1], x[2]] }.into(),
                operands: vec![Source::Upstream(0), Source::Input(1)],
                gives: vec![0],
            },
            GradNode {
                op: Conv2dGradWeight { conv: *self, kernel: [w[0], w[1]] }.into(),
                operands: vec![Source::Input(0), Source::Upstream(0)],
                gives: vec![1],
            },
        ];
        if inputs.len() > 2 {
            nodes.push(GradNode { op: Op::from(SumRows), operands: vec![Source::Upstream(0)], gives: vec![2] });
        }
        nodes
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let out = [outputs[0].shape[1], outputs[0].shape[2]];
        let y = fill(outputs[0].len(), |i| forward_element(self, inputs[0], inputs[1], inputs.get(2).copied(), out, i));
        vec![Tensor::float(outputs[0].shape.clone(), y)]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let taps: usize = inputs[1].shape[..3].iter().product();
        let bias = inputs.len().saturating_sub(2);
        ((2 * taps + bias) * outputs[0].len()) as u64
    }
}

impl Operator for Conv2dGradInput {
    fn name(&self) -> &'static str {
        "conv2d_grad_input"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let c_in = inputs[1].shape[2] * self.conv.groups;
        Ok(vec![Spec::f32([inputs[0].shape[0], self.input[0], self.input[1], c_in])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let dx = fill(outputs[0].len(), |i| grad_input_element(self, inputs[0], inputs[1], i));
        vec![Tensor::float(outputs[0].shape.clone(), dx)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        let taps: usize = inputs[1].shape[..3].iter().product();
        (2 * taps * inputs[0].len()) as u64
    }
}

impl Operator for Conv2dGradWeight {
    fn name(&self) -> &'static str {
        "conv2d_grad_weight"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let c_group = inputs[0].shape[3] / self.conv.groups;
        Ok(vec![Spec::f32([self.kernel[0], self.kernel[1], c_group, inputs[1].shape[3]])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let dw = fill(outputs[0].len(), |i| grad_weight_element(self, inputs[0], inputs[1], i));
        vec![Tensor::float(outputs[0].shape.clone(), dw)]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let pixels: usize = inputs[1].shape[..3].iter().product();
        (2 * pixels * outputs[0].len()) as u64
    }
}
