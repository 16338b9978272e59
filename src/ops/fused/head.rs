//! The last layer of a classifier with its loss.
//!
//! ```text
//! linear_cross_entropy_and_grad: logits = linear(x, w, b); row_loss, dlogits and perhaps loss, as of
//!                                softmax_cross_entropy_and_grad(logits, labels, dloss)
//! ```

use super::super::linear;
use super::SoftmaxCrossEntropyAndGrad;
use crate::error::Result;
use crate::ops::{Linear, Operator, Real, expect_operands};
use crate::tensor::{Spec, Tensor};

/// `x [n, in]` or an image `[n, h, w, c]`, `w [k, in]`, `labels [n]` (u32), `dloss [1]` and, when there is a bias, `b [k]` →
/// `logits [n,k]`, `row_loss [n]`, `dlogits [n,k]` and, where it is wanted, `loss [1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearCrossEntropyAndGrad {
    /// The loss and its gradient.
    pub loss: SoftmaxCrossEntropyAndGrad,
}

/// The operands of the layer among those of both: the bias comes last, as it may be missing.
fn layer<T: Clone>(inputs: &[T]) -> Vec<T> {
    inputs[..2].iter().chain(&inputs[4..]).cloned().collect()
}

impl LinearCrossEntropyAndGrad {
    /// Element `index` of the logits.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], index: usize) -> T {
        linear::forward_element(inputs[0], inputs[1], inputs.get(4).copied(), index)
    }
}

impl Operator for LinearCrossEntropyAndGrad {
    fn name(&self) -> &'static str {
        "linear_cross_entropy_and_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands(self.name(), inputs, 4..=5)?;
        let logits = Linear.infer(&layer(inputs))?;
        let losses = self.loss.infer(&[&logits[..1], &inputs[2..4]].concat())?;
        Ok(logits.into_iter().chain(losses).collect())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let mut all = Linear.reference(&layer(inputs), &outputs[..1]);
        let losses = self.loss.reference(&[&all[0], inputs[2], inputs[3]], &outputs[1..]);
        all.extend(losses);
        all
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        Linear.flops(&layer(inputs), &outputs[..1]) + self.loss.flops(&outputs[..1], &outputs[1..])
    }
}
