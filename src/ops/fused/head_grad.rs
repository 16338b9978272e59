//! The last layer of a classifier with its loss and all its gradients.
//!
//! ```text
//! linear_cross_entropy_grad: logits, row_loss, dlogits and perhaps loss, as of linear_cross_entropy_and_grad(x, w, labels, dloss, b);
//!                            dw, perhaps db, and dx, as of linear_grad(x, dlogits, w, saved)
//! ```

use super::{LinearCrossEntropyAndGrad, LinearGrad};
use crate::error::Result;
use crate::ops::{Operator, Real, expect_operands};
use crate::tensor::{Spec, Tensor};

/// `x`, `w`, `labels`, `dloss` and, where there is one, `b` as of [`LinearCrossEntropyAndGrad`], and last what is `saved` where the
/// layer reads an activation → the results of that, and those of [`LinearGrad`] to the gradient of the logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearCrossEntropyGrad {
    /// The layer and its loss.
    pub head: LinearCrossEntropyAndGrad,
    /// The layer's gradients.
    pub grad: LinearGrad,
}

impl LinearCrossEntropyGrad {
    /// How many operands the layer with its loss has among these: what is saved is not one of them.
    pub fn head_operands(&self, operands: usize) -> usize {
        operands - usize::from(self.grad.activation.is_some())
    }

    /// How many results the layer with its loss has.
    pub fn head_results(&self) -> usize {
        3 + usize::from(self.head.loss.mean)
    }

    /// The operands of the gradients, where `dlogits` is what arrives at the layer.
    pub fn grad_operands<'a, T>(&self, inputs: &'a [T], dlogits: &'a T) -> Vec<&'a T> {
        let saved = self.grad.activation.and_then(|_| inputs.last());
        [&inputs[0], dlogits, &inputs[1]].into_iter().chain(saved).collect()
    }

    /// Element `index` of the first result.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], index: usize) -> T {
        self.head.element(&inputs[..self.head_operands(inputs.len())], index)
    }
}

impl Operator for LinearCrossEntropyGrad {
    fn name(&self) -> &'static str {
        "linear_cross_entropy_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let saved = usize::from(self.grad.activation.is_some());
        expect_operands(self.name(), inputs, 4 + saved..=5 + saved)?;
        let mut outputs = self.head.infer(&inputs[..self.head_operands(inputs.len())])?;
        let operands: Vec<Spec> = self.grad_operands(inputs, &outputs[2]).into_iter().cloned().collect();
        outputs.extend(self.grad.infer(&operands)?);
        Ok(outputs)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let head = self.head_results();
        let mut results = self.head.reference(&inputs[..self.head_operands(inputs.len())], &outputs[..head]);
        let dlogits = &results[2];
        let operands: Vec<&Tensor<T>> = self.grad_operands(inputs, &dlogits).into_iter().copied().collect();
        let grads = self.grad.reference(&operands, &outputs[head..]);
        results.extend(grads);
        results
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let head = self.head_results();
        let operands: Vec<Spec> = self.grad_operands(inputs, &outputs[2]).into_iter().cloned().collect();
        self.head.flops(&inputs[..self.head_operands(inputs.len())], &outputs[..head])
            + self.grad.flops(&operands, &outputs[head..])
    }
}
