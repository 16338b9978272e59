//! Dropout: a random share of the elements becomes 0, the rest grows to make up for it.
//!
//! ```text
//! y[i]  = x[i] / (1 − rate)    where random(seed, step, first + i) ≥ rate · 2³², else 0
//! dx[i] = dy[i] / (1 − rate)   at the same places
//! ```
//! The mask is a function of (seed, step, first + i), so nothing is saved: the gradient draws it again; first is where x begins in
//! the whole batch, so a micro-batch draws what the batch would. In evaluation a network
//! simply has no such operator.

use super::{GradNode, Operator, Real, Source, control, expect_float, expect_operands, fill_float, random};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `x [..]`, `control` → `y [..]`: element i is kept, and scaled by 1/(1 − rate), where
/// `random(seed, step, first + i) >= rate · 2³²`, and 0 elsewhere; `step` comes from the control value. Its gradient is the
/// same operator on the upstream gradient, since the mask can be drawn again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of elements that are dropped, 0 ≤ rate < 1.
    pub rate: f64,
    /// The stream of random numbers; differs from layer to layer.
    pub seed: u32,
    /// The place of the first element in the whole batch, modulo 2³².
    pub first: u32,
}

impl Dropout {
    /// An element is kept where its 32 random bits are at least this: rate · 2³².
    pub fn threshold(&self) -> u32 {
        (self.rate * 2f64.powi(32)) as u32
    }

    /// The factor of the elements that stay, 1/(1 − rate).
    pub fn scale(&self) -> f64 {
        1.0 / (1.0 - self.rate)
    }
}

impl Operator for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("dropout", inputs, 2..=2)?;
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::shape("dropout", format!("the rate must be at least 0 and below 1, got {}", self.rate)));
        }
        expect_float("dropout", "the input", &inputs[0])?;
        control::expect("dropout", &inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode { op: (*self).into(), operands: vec![Source::Upstream(0), Source::Input(1)], gives: vec![0] }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, step) = (inputs[0].floats(), inputs[1].u32s()[control::STEP]);
        let (threshold, scale) = (self.threshold(), T::of(self.scale()));
        let kept = |i: usize| random::random(self.seed, step, self.first.wrapping_add(i as u32)) >= threshold;
        vec![fill_float(&outputs[0], |i| if kept(i) { x[i] * scale } else { T::zero() })]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }
}
