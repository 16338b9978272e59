//! Sums over all axes but the last: the gradient of a bias.
//!
//! ```text
//! y[c] = Σ_rows x[row, c]
//! ```

use super::{BlockSum, Operator, Real, fill};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `x [.., c]` → `y [c]`, summed in blocks of at most 256 rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SumRows;

impl Operator for SumRows {
    fn name(&self) -> &'static str {
        "sum_rows"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        match inputs[0].shape.as_slice() {
            [.., c] => Ok(vec![Spec::f32([*c])]),
            [] => Err(Error::shape("sum_rows", "needs at least one axis")),
        }
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, c) = (inputs[0].floats(), outputs[0].len());
        let y = fill(c, |i| x.iter().skip(i).step_by(c).copied().collect::<BlockSum<T>>().value());
        vec![Tensor::float([c], y)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }
}
