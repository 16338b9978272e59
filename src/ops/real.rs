//! The float type of the references, and the one way in which they sum.

use num_traits::{Float, FromPrimitive, NumAssign};

use super::{Op, Operator};
use crate::tensor::{Spec, Tensor};

/// `f32` (what the CPU session runs) or `f64` (what verifies shaders and is verified by finite differences).
pub trait Real: Float + FromPrimitive + NumAssign + Default + std::fmt::Debug + Send + Sync + 'static {
    /// A constant, rounded to this type.
    fn of(value: f64) -> Self;

    /// Widened to `f64`.
    fn wide(self) -> f64;

    /// Runs the reference of an operator in this type. Not generic, so that its loops are compiled once, here, and not again
    /// in every program that uses them.
    fn reference(op: &Op, inputs: &[&Tensor<Self>], outputs: &[Spec]) -> Vec<Tensor<Self>>;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn reference(op: &Op, inputs: &[&Tensor<Self>], outputs: &[Spec]) -> Vec<Tensor<Self>> {
        Operator::reference(op, inputs, outputs)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    fn reference(op: &Op, inputs: &[&Tensor<Self>], outputs: &[Spec]) -> Vec<Tensor<Self>> {
        Operator::reference(op, inputs, outputs)
    }
}

/// A sum in which no accumulator ever takes more than 256 terms: terms into blocks, blocks into blocks of blocks.
///
/// One f32 accumulator over batch × space loses too much (gradients 3e-5 off and worse), so the references and the
/// kernels both sum like this.
#[derive(Debug, Clone, Default)]
pub struct BlockSum<T> {
    levels: [T; 4],
    count: u32,
}

impl<T: Real> BlockSum<T> {
    /// Terms to an accumulator.
    pub const BLOCK: u32 = 256;

    /// An empty sum.
    pub fn new() -> Self {
        Self { levels: [T::zero(); 4], count: 0 }
    }

    /// Adds a term.
    #[inline]
    pub fn add(&mut self, term: T) {
        self.levels[0] += term;
        self.count += 1;
        if self.count.is_multiple_of(Self::BLOCK) {
            self.carry();
        }
    }

    fn carry(&mut self) {
        let mut full = self.count / Self::BLOCK;
        for level in 0..3 {
            let block = std::mem::replace(&mut self.levels[level], T::zero());
            self.levels[level + 1] += block;
            if !full.is_multiple_of(Self::BLOCK) {
                break;
            }
            full /= Self::BLOCK;
        }
    }

    /// The sum of all terms so far.
    pub fn value(&self) -> T {
        self.levels.iter().rev().fold(T::zero(), |sum, &level| sum + level)
    }
}

impl<T: Real> FromIterator<T> for BlockSum<T> {
    fn from_iter<I: IntoIterator<Item = T>>(terms: I) -> Self {
        let mut sum = Self::new();
        terms.into_iter().for_each(|term| sum.add(term));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Equal terms are the worst case: every addition within a block rounds the same way (2.4e-6 off after 256).
    #[test]
    fn a_long_sum_in_f32_keeps_its_digits_where_one_accumulator_does_not() {
        let exact = 100_000.0 * f64::from(0.1_f32);
        let off = |sum: f32| (sum.wide() - exact).abs() / exact;
        let terms = || std::iter::repeat_n(0.1_f32, 100_000);
        assert!(off(terms().collect::<BlockSum<f32>>().value()) < 5e-6);
        assert!(off(terms().sum()) > 1e-4);
    }
}
