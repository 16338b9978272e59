//! The fully connected layer and its gradients.
//!
//! ```text
//! y[n,o]  = b[o] + Σ_i x[n,i] · w[o,i]
//! dx[n,i] = Σ_o dy[n,o] · w[o,i]
//! dw[o,i] = Σ_n dy[n,o] · x[n,i]
//! db[o]   = Σ_n dy[n,o]                (see [`crate::ops::SumRows`])
//! ```
//! Weights are [out, in], as PyTorch and ONNX store them, so no layer ever reorders them. Where x is an image [n, h, w, c] instead of
//! rows, its elements count in the order c, h, w, as behind [`crate::ops::Flatten`]: i = (c · h + row) · w + column.

use super::{BlockSum, GradNode, Op, Operator, Real, Source, SumRows, expect_operands, fill_float};
use crate::error::{Error, Result};
use crate::tensor::{DType, Spec, Tensor};

/// `x [n, in]` or an image `[n, h, w, c]`, `w [out, in]`, and, when there is a bias, `b [out]` → `y [n, out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Linear;

/// `dy [n, out]`, `w [out, in]` → `dx`, as `x` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinearGradInput {
    /// Height, width and channels of `x`, where it is an image.
    pub image: Option<[usize; 3]>,
}

/// `x [n, in]` or an image `[n, h, w, c]`, `dy [n, out]` → `dw [out, in]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinearGradWeight;

/// Pixels and channels of a row of `x`: rows that are no images are of one pixel. The element at channel c of pixel p then is
/// number c · pixels + p to the weights, and lies at p · channels + c.
pub(crate) fn pixels_channels(x: &[usize]) -> [usize; 2] {
    match *x {
        [_, h, w, c] => [h * w, c],
        _ => [1, x.get(1).copied().unwrap_or(0)],
    }
}

/// Element `index` of the forward output.
pub fn forward_element<T: Real>(x: &Tensor<T>, w: &Tensor<T>, b: Option<&Tensor<T>>, index: usize) -> T {
    let (c_in, c_out) = (w.shape[1], w.shape[0]);
    let [pixels, channels] = pixels_channels(&x.shape);
    let (n, o) = (index / c_out, index % c_out);
    let (xs, ws) = (&x.floats()[n * c_in..][..c_in], &w.floats()[o * c_in..][..c_in]);
    let mut sum = T::zero();
    for c in 0..channels {
        for p in 0..pixels {
            sum += xs[p * channels + c] * ws[c * pixels + p];
        }
    }
    sum + b.map_or(T::zero(), |b| b.floats()[o])
}

/// Element `index` of the gradient of the input.
pub fn grad_input_element<T: Real>(op: LinearGradInput, dy: &Tensor<T>, w: &Tensor<T>, index: usize) -> T {
    let (c_in, c_out) = (w.shape[1], w.shape[0]);
    let [pixels, channels] = op.image.map_or([1, c_in], |[h, w, c]| [h * w, c]);
    let (n, at) = (index / c_in, index % c_in);
    let i = at % channels * pixels + at / channels;
    let (dys, ws) = (dy.floats(), w.floats());
    let mut sum = T::zero();
    for o in 0..c_out {
        sum += dys[n * c_out + o] * ws[o * c_in + i];
    }
    sum
}

/// Element `index` of the gradient of the weights.
pub fn grad_weight_element<T: Real>(x: &Tensor<T>, dy: &Tensor<T>, index: usize) -> T {
    let [pixels, channels] = pixels_channels(&x.shape);
    let (c_in, c_out) = (pixels * channels, dy.shape[1]);
    let (o, i) = (index / c_in, index % c_in);
    let at = i % pixels * channels + i / pixels;
    let (xs, dys) = (x.floats(), dy.floats());
    let mut sum = BlockSum::new();
    for n in 0..x.shape[0] {
        sum.add(dys[n * c_out + o] * xs[n * c_in + at]);
    }
    sum.value()
}

/// Height, width and channels of `x`, where it is an image.
fn image(x: &[usize]) -> Option<[usize; 3]> {
    let &[_, h, w, c] = x else { return None };
    Some([h, w, c])
}

impl Operator for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let fail = |problem: String| Err(Error::shape("linear", problem));
        expect_operands("linear", inputs, 2..=3)?;
        let (x, w) = (&inputs[0], &inputs[1]);
        let (&[n, _] | &[n, _, _, _], &[c_out, c_in]) = (x.shape.as_slice(), w.shape.as_slice()) else {
            return fail(format!(
                "needs rows [n, in] or an image [n, h, w, c], and weights [out, in], got {:?} and {:?}",
                x.shape, w.shape
            ));
        };
        let features: usize = x.shape[1..].iter().product();
        if x.dtype != DType::F32 || w.dtype != DType::F32 {
            return fail(format!("needs floats, got {:?} and {:?}", x.dtype, w.dtype));
        }
        if features != c_in || c_in == 0 || c_out == 0 {
            let hint = if image(&x.shape).is_some() { "; flatten images first" } else { "" };
            return fail(format!("weights {:?} do not fit rows of {features} features{hint}", w.shape));
        }
        if inputs.get(2).is_some_and(|b| b.shape != [c_out]) {
            return fail(format!("the bias {:?} must have one element for each of {c_out} outputs", inputs[2].shape));
        }
        Ok(vec![Spec::f32([n, c_out])])
    }

    fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
        let mut nodes = vec![
            GradNode {
                op: LinearGradInput { image: image(&inputs[0].shape) }.into(),
                operands: vec![Source::Upstream(0), Source::Input(1)],
                gives: vec![0],
            },
            GradNode {
                op: LinearGradWeight.into(),
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
        vec![fill_float(&outputs[0], |i| forward_element(inputs[0], inputs[1], inputs.get(2).copied(), i))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let bias = inputs.len().saturating_sub(2);
        ((2 * inputs[1].shape[1] + bias) * outputs[0].len()) as u64
    }
}

impl Operator for LinearGradInput {
    fn name(&self) -> &'static str {
        "linear_grad_input"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let (n, features) = (inputs[0].shape[0], inputs[1].shape[1]);
        match self.image {
            None => Ok(vec![Spec::f32([n, features])]),
            Some([h, w, c]) if h * w * c == features => Ok(vec![Spec::f32([n, h, w, c])]),
            Some(image) => {
                Err(Error::shape(self.name(), format!("an image {image:?} does not have {features} elements")))
            }
        }
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![fill_float(&outputs[0], |i| grad_input_element(*self, inputs[0], inputs[1], i))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        (2 * inputs[1].shape[0] * outputs[0].len()) as u64
    }
}

impl Operator for LinearGradWeight {
    fn name(&self) -> &'static str {
        "linear_grad_weight"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [pixels, channels] = pixels_channels(&inputs[0].shape);
        Ok(vec![Spec::f32([inputs[1].shape[1], pixels * channels])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![fill_float(&outputs[0], |i| grad_weight_element(inputs[0], inputs[1], i))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        (2 * inputs[0].shape[0] * outputs[0].len()) as u64
    }
}
