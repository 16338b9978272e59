//! Batch normalisation of images: each channel to mean 0 and variance 1 over batch and pixels, then scaled and moved.
//!
//! ```text
//! m = n·h·w values a channel; pivot[c] = x[0,0,0,c]
//! offset[c] = 1/m · Σ (x − pivot)                     mean = pivot + offset
//! var[c]    = 1/m · Σ ((x − pivot) − offset)²         var_unbiased = var · m/(m − 1)
//! rstd[c]   = 1/√(var + eps)
//! x̂ = ((x − pivot) − offset) · rstd                   y = x̂ · weight + bias
//!
//! dbias   = Σ dy                                      dweight = Σ dy · x̂
//! dx      = weight · rstd · (dy − dbias/m − x̂ · dweight/m)
//! ```
//! sums over all of a channel. In evaluation x̂ = (x − running_mean)/√(running_var + eps) holds constants, so that
//! dx = weight · rstd · dy. The pivot is there for means far from 0: with it f32 keeps its digits at a mean of 1,000,
//! where two plain passes or Welford's method lose them. The variance that normalises is the biased one, the one that
//! is remembered the unbiased one, as in PyTorch.

use super::{
    BlockSum, GradNode, Operator, Real, Source, control, expect_image, expect_operands, expect_spec, fill, fill_float,
};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// Training: `x [n,h,w,c]`, `weight [c]`, `bias [c]` → `y [n,h,w,c]`, `mean [2,c]` (row 0 a pivot, the channel's first
/// value, row 1 the mean's offset from it: their sum is the mean), `rstd [c]` (with the biased variance)
/// and `var_unbiased [c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2d {
    /// Added to the variance inside the square root.
    pub eps: f64,
}

/// `x`, `weight`, `mean [2,c]`, `rstd [c]`, `dy` → `dx [n,h,w,c]`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchNorm2dGrad;

/// Evaluation: `x [n,h,w,c]`, `weight [c]`, `bias [c]`, `running_mean [c]`, `running_var [c]` → `y [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2dEval {
    /// Added to the variance inside the square root.
    pub eps: f64,
}

/// `x`, `weight`, `running_mean`, `running_var`, `dy` → `dx [n,h,w,c]`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2dEvalGrad {
    /// Added to the variance inside the square root.
    pub eps: f64,
}

/// `running_mean [c]`, `running_var [c]`, `mean [2,c]`, `var_unbiased [c]`, `control` → both running statistics, updated in
/// place: r ← (1 − momentum)·r + momentum·batch, unless the control flag is set (see [`crate::ops::control`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningStats {
    /// Weight of the new batch.
    pub momentum: f64,
}

/// The sum over a channel of `term(place)`.
fn channel_sum<T: Real>(len: usize, channels: usize, c: usize, term: impl Fn(usize) -> T) -> T {
    (c..len).step_by(channels).map(term).collect::<BlockSum<T>>().value()
}

/// What normalises each of the channels of an image: mean `[2,c]`, rstd `[c]` and unbiased variance `[c]`.
pub(super) fn batch_statistics<T: Real>(x: &[T], channels: usize, eps: f64) -> [Tensor<T>; 3] {
    let m = x.len() / channels;
    let count = T::of(m as f64);
    let offset = fill(channels, |c| channel_sum(x.len(), channels, c, |i| x[i] - x[c]) / count);
    let centred = |i: usize| (x[i] - x[i % channels]) - offset[i % channels];
    let var = fill(channels, |c| channel_sum(x.len(), channels, c, |i| centred(i) * centred(i)) / count);
    let each = Spec::f32([channels]);
    let mean = fill_float(&Spec::f32([2, channels]), |i| if i < channels { x[i] } else { offset[i - channels] });
    let rstd = fill_float(&each, |c| T::one() / (var[c] + T::of(eps)).sqrt());
    let unbiased = fill_float(&each, |c| var[c] * (count / T::of((m - 1) as f64)));
    [mean, rstd, unbiased]
}

/// `dweight` and `dbias` for x̂ as a function of the place.
fn weight_gradients<T: Real>(dy: &[T], channels: &Spec, normal: impl Fn(usize) -> T + Sync) -> [Tensor<T>; 2] {
    let count = channels.len();
    let dweight = fill_float(channels, |c| channel_sum(dy.len(), count, c, |i| dy[i] * normal(i)));
    let dbias = fill_float(channels, |c| channel_sum(dy.len(), count, c, |i| dy[i]));
    [dweight, dbias]
}

/// The shape rule that both modes share; answers the number of values a channel.
fn infer_norm(op: &str, inputs: &[Spec], eps: f64) -> Result<usize> {
    const NAMES: [&str; 5] = ["the input", "the weight", "the bias", "the running mean", "the running variance"];
    let [n, h, w, c] = expect_image(op, &inputs[0])?;
    for (spec, name) in inputs.iter().zip(NAMES).skip(1) {
        expect_spec(op, name, spec, &Spec::f32([c]))?;
    }
    if !(eps.is_finite() && eps >= 0.0) {
        return Err(Error::shape(op, format!("eps must be a number of at least 0, got {eps}")));
    }
    Ok(n * h * w)
}

/// The gradients' specs of both modes: like the image, and twice like the weight.
fn grad_specs(inputs: &[Spec]) -> Vec<Spec> {
    vec![inputs[0].clone(), inputs[1].clone(), inputs[1].clone()]
}

impl Operator for BatchNorm2d {
    fn name(&self) -> &'static str {
        "batch_norm2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("batch_norm2d", inputs, 3..=3)?;
        if infer_norm("batch_norm2d", inputs, self.eps)? < 2 {
            return Err(Error::shape(
                "batch_norm2d",
                "training needs more than one value a channel, got a single image of a single pixel; use a larger batch",
            ));
        }
        let c = inputs[1].len();
        Ok(vec![inputs[0].clone(), Spec::f32([2, c]), Spec::f32([c]), Spec::f32([c])])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode {
            op: BatchNorm2dGrad.into(),
            operands: vec![
                Source::Input(0),
                Source::Input(1),
                Source::Output(1),
                Source::Output(2),
                Source::Upstream(0),
            ],
            gives: vec![0, 1, 2],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, weight, bias) = (inputs[0].floats(), inputs[1].floats(), inputs[2].floats());
        let channels = weight.len();
        let [mean, rstd, unbiased] = batch_statistics(x, channels, self.eps);
        let (centre, scale) = (mean.floats(), rstd.floats());
        let y = fill_float(&outputs[0], |i| {
            let c = i % channels;
            ((x[i] - centre[c]) - centre[channels + c]) * scale[c] * weight[c] + bias[c]
        });
        vec![y, mean, rstd, unbiased]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        10 * inputs[0].len() as u64
    }
}

impl Operator for BatchNorm2dGrad {
    fn name(&self) -> &'static str {
        "batch_norm2d_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(grad_specs(inputs))
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, weight, mean) = (inputs[0].floats(), inputs[1].floats(), inputs[2].floats());
        let (rstd, dy, channels) = (inputs[3].floats(), inputs[4].floats(), weight.len());
        let count = T::of((x.len() / channels) as f64);
        let normal = |i: usize| {
            let c = i % channels;
            ((x[i] - mean[c]) - mean[channels + c]) * rstd[c]
        };
        let [dweight, dbias] = weight_gradients(dy, &outputs[1], normal);
        let (dw, db) = (dweight.floats(), dbias.floats());
        let dx = fill_float(&outputs[0], |i| {
            let c = i % channels;
            weight[c] * rstd[c] * (dy[i] - db[c] / count - normal(i) * (dw[c] / count))
        });
        vec![dx, dweight, dbias]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        14 * inputs[0].len() as u64
    }
}

impl Operator for BatchNorm2dEval {
    fn name(&self) -> &'static str {
        "batch_norm2d_eval"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("batch_norm2d_eval", inputs, 5..=5)?;
        infer_norm("batch_norm2d_eval", inputs, self.eps)?;
        Ok(vec![inputs[0].clone()])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode {
            op: BatchNorm2dEvalGrad { eps: self.eps }.into(),
            operands: vec![Source::Input(0), Source::Input(1), Source::Input(3), Source::Input(4), Source::Upstream(0)],
            gives: vec![0, 1, 2],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, weight, bias) = (inputs[0].floats(), inputs[1].floats(), inputs[2].floats());
        let (mean, var, channels) = (inputs[3].floats(), inputs[4].floats(), weight.len());
        let rstd = fill(channels, |c| T::one() / (var[c] + T::of(self.eps)).sqrt());
        vec![fill_float(&outputs[0], |i| {
            let c = i % channels;
            (x[i] - mean[c]) * rstd[c] * weight[c] + bias[c]
        })]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        4 * inputs[0].len() as u64
    }
}

impl Operator for BatchNorm2dEvalGrad {
    fn name(&self) -> &'static str {
        "batch_norm2d_eval_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(grad_specs(inputs))
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, weight, mean) = (inputs[0].floats(), inputs[1].floats(), inputs[2].floats());
        let (var, dy, channels) = (inputs[3].floats(), inputs[4].floats(), weight.len());
        let rstd = fill(channels, |c| T::one() / (var[c] + T::of(self.eps)).sqrt());
        let [dweight, dbias] = weight_gradients(dy, &outputs[1], |i| (x[i] - mean[i % channels]) * rstd[i % channels]);
        let dx = fill_float(&outputs[0], |i| weight[i % channels] * rstd[i % channels] * dy[i]);
        vec![dx, dweight, dbias]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        7 * inputs[0].len() as u64
    }
}

impl Operator for RunningStats {
    fn name(&self) -> &'static str {
        "running_stats"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("running_stats", inputs, 5..=5)?;
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::shape("running_stats", format!("momentum must lie in 0..=1, got {}", self.momentum)));
        }
        let c = inputs[0].len();
        expect_spec("running_stats", "the running mean", &inputs[0], &Spec::f32([c]))?;
        expect_spec("running_stats", "the running variance", &inputs[1], &Spec::f32([c]))?;
        expect_spec("running_stats", "the batch's mean", &inputs[2], &Spec::f32([2, c]))?;
        expect_spec("running_stats", "the batch's variance", &inputs[3], &Spec::f32([c]))?;
        control::expect("running_stats", &inputs[4])?;
        Ok(inputs[..2].to_vec())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        if control::stopped(inputs[4]) {
            return vec![inputs[0].clone(), inputs[1].clone()];
        }
        let (batch, channels, new) = (inputs[2].floats(), inputs[0].len(), T::of(self.momentum));
        let blend = |old: T, value: T| (T::one() - new) * old + new * value;
        let (mean, var, unbiased) = (inputs[0].floats(), inputs[1].floats(), inputs[3].floats());
        vec![
            fill_float(&outputs[0], |c| blend(mean[c], batch[c] + batch[channels + c])),
            fill_float(&outputs[1], |c| blend(var[c], unbiased[c])),
        ]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        7 * inputs[0].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 0), (1, 1)]
    }
}
