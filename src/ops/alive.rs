//! Which channels have an element that is not zero: `alive[c]` = 1 where x[.., c] is not 0 anywhere, else 0.

use super::{Operator, Real, expect_float, expect_operands, fill};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `x [.., c]` → `alive [c]`: 1 where channel c of x has an element that is not 0, else 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alive;

impl Operator for Alive {
    fn name(&self) -> &'static str {
        "alive"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("alive", inputs, 1..=1)?;
        expect_float("alive", "the input", &inputs[0])?;
        match inputs[0].shape.last() {
            Some(&c) if !inputs[0].is_empty() => Ok(vec![Spec::f32([c])]),
            _ => Err(Error::shape("alive", format!("needs elements, got {:?}", inputs[0].shape))),
        }
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, c) = (inputs[0].floats(), outputs[0].len());
        let found = |i: usize| x.iter().skip(i).step_by(c).any(|&x| x != T::zero());
        vec![Tensor::float([c], fill(c, |i| if found(i) { T::one() } else { T::zero() }))]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    #[test]
    fn a_unit_is_alive_that_is_not_zero_once() {
        let x = Tensor::float([2, 3], vec![0.0, 1.0, 0.0, -0.0, 0.0, -2.0]);
        let alive = Op::from(Alive).evaluate::<f64>(&[&x]).unwrap();
        assert_eq!(alive[0].floats(), [0.0, 1.0, 1.0]);
    }
}
