//! Group and layer normalisation: each group of channels of each image to mean 0 and variance 1.
//!
//! ```text
//! m = pixels · c/groups values a group; pivot[n,g] = the group's first value
//! offset[n,g] = 1/m · Σ (x − pivot)            var[n,g] = 1/m · Σ ((x − pivot) − offset)²
//! rstd[n,g]   = 1/√(var + eps)
//! x̂ = ((x − pivot) − offset) · rstd            y = x̂ · weight[c] + bias[c]
//!
//! dbias[c] = Σ_{n,pixels} dy                   dweight[c] = Σ_{n,pixels} dy · x̂
//! dx       = rstd · (dy·weight − 1/m · Σ_group dy·weight − x̂ · 1/m · Σ_group dy·weight·x̂)
//! ```
//! Layer normalisation is the same with one group and one pixel: rows of c channels. The pivot keeps the digits where
//! the mean is far from 0 (see [`crate::ops::batch_norm2d`]).

use super::fill_float;
use super::{
    BlockSum, GradNode, Operator, Real, Source, expect_float, expect_image, expect_operands, expect_spec, fill,
};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `x [n,h,w,c]`, `weight [c]`, `bias [c]` → `y [n,h,w,c]`, `mean [2,n,groups]` (pivot and offset), `rstd [n,groups]`: statistics over the
/// pixels and the c/groups channels of a group, an image at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNorm {
    /// Number of groups; divides the channels.
    pub groups: usize,
    /// Added to the variance inside the square root.
    pub eps: f64,
}

/// `x`, `weight`, `mean`, `rstd`, `dy` → `dx`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupNormGrad {
    /// Number of groups of the forward operator.
    pub groups: usize,
}

/// `x [.., c]`, `weight [c]`, `bias [c]` → `y [.., c]`, `mean [2,..]` (pivot and offset), `rstd [..]`: statistics over the last axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance inside the square root.
    pub eps: f64,
}

/// `x`, `weight`, `mean`, `rstd`, `dy` → `dx`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerNormGrad;

/// What both operators see: images of pixels of channels, the channels in groups.
#[derive(Clone, Copy)]
struct Groups {
    images: usize,
    pixels: usize,
    channels: usize,
    groups: usize,
}

impl Groups {
    fn of_images(shape: &[usize], groups: usize) -> Self {
        Self { images: shape[0], pixels: shape[1] * shape[2], channels: shape[3], groups }
    }

    fn of_rows(shape: &[usize], channels: usize) -> Self {
        Self { images: shape.iter().product::<usize>() / channels, pixels: 1, channels, groups: 1 }
    }

    fn width(self) -> usize {
        self.channels / self.groups
    }

    /// Number of (image, group) pairs, each with statistics of its own.
    fn count(self) -> usize {
        self.images * self.groups
    }

    /// The pair that holds the element at this place.
    fn of(self, place: usize) -> usize {
        place / (self.pixels * self.channels) * self.groups + place % self.channels / self.width()
    }

    fn first(self, pair: usize) -> usize {
        pair / self.groups * self.pixels * self.channels + pair % self.groups * self.width()
    }

    /// The mean of `term(place)` over a pair.
    fn mean<T: Real>(self, pair: usize, term: impl Fn(usize) -> T) -> T {
        let mut sum = BlockSum::new();
        for pixel in 0..self.pixels {
            for channel in 0..self.width() {
                sum.add(term(self.first(pair) + pixel * self.channels + channel));
            }
        }
        sum.value() / T::of((self.pixels * self.width()) as f64)
    }

    fn forward<T: Real>(self, eps: f64, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, weight, bias) = (inputs[0].floats(), inputs[1].floats(), inputs[2].floats());
        let pivot = fill(self.count(), |pair| x[self.first(pair)]);
        let offset = fill(self.count(), |pair| self.mean(pair, |i| x[i] - pivot[pair]));
        let centred = |i: usize| (x[i] - pivot[self.of(i)]) - offset[self.of(i)];
        let var = fill(self.count(), |pair| self.mean(pair, |i| centred(i) * centred(i)));
        let rstd = fill_float(&outputs[2], |pair| T::one() / (var[pair] + T::of(eps)).sqrt());
        let scale = rstd.floats();
        let y = fill_float(&outputs[0], |i| {
            centred(i) * scale[self.of(i)] * weight[i % self.channels] + bias[i % self.channels]
        });
        let mean = Tensor::float(outputs[1].shape.clone(), [pivot, offset].concat());
        vec![y, mean, rstd]
    }

    fn backward<T: Real>(self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, weight, mean) = (inputs[0].floats(), inputs[1].floats(), inputs[2].floats());
        let (rstd, dy, count) = (inputs[3].floats(), inputs[4].floats(), self.count());
        let normal = |i: usize| {
            let pair = self.of(i);
            ((x[i] - mean[pair]) - mean[count + pair]) * rstd[pair]
        };
        let scaled = |i: usize| dy[i] * weight[i % self.channels];
        let plain = fill(count, |pair| self.mean(pair, scaled));
        let along = fill(count, |pair| self.mean(pair, |i| scaled(i) * normal(i)));
        let dx = fill_float(&outputs[0], |i| {
            let pair = self.of(i);
            rstd[pair] * (scaled(i) - plain[pair] - normal(i) * along[pair])
        });
        let places = |c: usize| (c..dy.len()).step_by(self.channels);
        let dweight = |c: usize| places(c).map(|i| dy[i] * normal(i)).collect::<BlockSum<T>>().value();
        let dbias = |c: usize| places(c).map(|i| dy[i]).collect::<BlockSum<T>>().value();
        vec![dx, fill_float(&outputs[1], dweight), fill_float(&outputs[2], dbias)]
    }
}

fn expect_parameters(op: &str, inputs: &[Spec], channels: usize, eps: f64) -> Result<()> {
    expect_spec(op, "the weight", &inputs[1], &Spec::f32([channels]))?;
    expect_spec(op, "the bias", &inputs[2], &Spec::f32([channels]))?;
    if !(eps.is_finite() && eps >= 0.0) {
        return Err(Error::shape(op, format!("eps must be a number of at least 0, got {eps}")));
    }
    Ok(())
}

/// The saved values that the backward operator takes, the same for both.
fn operands() -> Vec<Source> {
    vec![Source::Input(0), Source::Input(1), Source::Output(1), Source::Output(2), Source::Upstream(0)]
}

impl Operator for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("group_norm", inputs, 3..=3)?;
        let [n, h, w, c] = expect_image("group_norm", &inputs[0])?;
        if self.groups == 0 || c % self.groups != 0 {
            return Err(Error::shape("group_norm", format!("{} groups do not divide {c} channels", self.groups)));
        }
        if h * w * (c / self.groups) == 1 {
            return Err(Error::shape("group_norm", "each group holds a single value; use fewer groups"));
        }
        expect_parameters("group_norm", inputs, c, self.eps)?;
        Ok(vec![inputs[0].clone(), Spec::f32([2, n, self.groups]), Spec::f32([n, self.groups])])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        let op = GroupNormGrad { groups: self.groups }.into();
        vec![GradNode { op, operands: operands(), gives: vec![0, 1, 2] }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        Groups::of_images(&inputs[0].shape, self.groups).forward(self.eps, inputs, outputs)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        10 * inputs[0].len() as u64
    }
}

impl Operator for GroupNormGrad {
    fn name(&self) -> &'static str {
        "group_norm_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone(), inputs[1].clone(), inputs[1].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        Groups::of_images(&inputs[0].shape, self.groups).backward(inputs, outputs)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        18 * inputs[0].len() as u64
    }
}

impl Operator for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("layer_norm", inputs, 3..=3)?;
        expect_float("layer_norm", "the input", &inputs[0])?;
        let (Some((&c, rows)), false) = (inputs[0].shape.split_last(), inputs[0].is_empty()) else {
            return Err(Error::shape("layer_norm", format!("needs rows of channels, got {:?}", inputs[0].shape)));
        };
        expect_parameters("layer_norm", inputs, c, self.eps)?;
        let mean: Vec<usize> = std::iter::once(2).chain(rows.iter().copied()).collect();
        Ok(vec![inputs[0].clone(), Spec::f32(mean), Spec::f32(rows)])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode { op: LayerNormGrad.into(), operands: operands(), gives: vec![0, 1, 2] }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        Groups::of_rows(&inputs[0].shape, inputs[1].len()).forward(self.eps, inputs, outputs)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        10 * inputs[0].len() as u64
    }
}

impl Operator for LayerNormGrad {
    fn name(&self) -> &'static str {
        "layer_norm_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone(), inputs[1].clone(), inputs[1].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        Groups::of_rows(&inputs[0].shape, inputs[1].len()).backward(inputs, outputs)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        18 * inputs[0].len() as u64
    }
}
