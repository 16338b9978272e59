//! The last two layers of a classifier, an activation between them, with its loss and the gradients of the last one.
//!
//! ```text
//! mlp_cross_entropy_grad: hidden = f(linear(x, w1, b1)), and what linear_cross_entropy_grad(hidden, w, labels, dloss, b, hidden) answers
//! ```

use super::{LinearActivation, LinearCrossEntropyGrad};
use crate::error::{Error, Result};
use crate::ops::{Operator, Real, expect_operands};
use crate::tensor::{Spec, Tensor};

/// `x [n, in]` or an image, `w1 [m, in]`, `b1 [m]` where there is one, and `w`, `labels`, `dloss`, `b` as of
/// [`LinearCrossEntropyGrad`] → `hidden [n, m]` and the results of that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MlpCrossEntropyGrad {
    /// The first of the two layers; its activation is one whose derivative is a function of its output.
    pub hidden: LinearActivation,
    /// Whether that layer has a bias.
    pub bias: bool,
    /// The last layer with its loss and its gradients, whose activation is the one between the layers.
    pub head: LinearCrossEntropyGrad,
}

impl MlpCrossEntropyGrad {
    /// How many operands the first layer has.
    pub fn hidden_operands(&self) -> usize {
        2 + usize::from(self.bias)
    }

    /// The operands of the last layer with its loss, where `hidden` is what it reads.
    pub fn head_operands<'a, T>(&self, inputs: &'a [T], hidden: &'a T) -> Vec<&'a T> {
        [hidden].into_iter().chain(&inputs[self.hidden_operands()..]).chain([hidden]).collect()
    }

    /// Element `index` of the first result.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], index: usize) -> T {
        self.hidden.element(&inputs[..self.hidden_operands()], index)
    }
}

impl Operator for MlpCrossEntropyGrad {
    fn name(&self) -> &'static str {
        "mlp_cross_entropy_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let own = self.hidden_operands();
        expect_operands(self.name(), inputs, own + 3..=own + 4)?;
        if self.head.grad.activation != Some(self.hidden.activation) || !self.hidden.activation.saves_output() {
            return Err(Error::shape(self.name(), "needs one activation between its layers, which saves its output"));
        }
        let hidden = self.hidden.infer(&inputs[..own])?;
        let operands: Vec<Spec> = self.head_operands(inputs, &hidden[0]).into_iter().cloned().collect();
        let results = self.head.infer(&operands)?;
        Ok(hidden.into_iter().chain(results).collect())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let mut results = self.hidden.reference(&inputs[..self.hidden_operands()], &outputs[..1]);
        let hidden = &results[0];
        let operands: Vec<&Tensor<T>> = self.head_operands(inputs, &hidden).into_iter().copied().collect();
        let head = self.head.reference(&operands, &outputs[1..]);
        results.extend(head);
        results
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let operands: Vec<Spec> = self.head_operands(inputs, &outputs[0]).into_iter().cloned().collect();
        self.hidden.flops(&inputs[..self.hidden_operands()], &outputs[..1]) + self.head.flops(&operands, &outputs[1..])
    }
}
