//! The gradient of a layer's bias beside that of its weights: both are sums over what arrives at its output.

use crate::error::{Error, Result};
use crate::ops::{Conv2dGradWeight, LinearGradWeight, Operator, Real, SumRows, conv2d, linear};
use crate::tensor::{Spec, Tensor};

/// The gradient of a layer's weights, `x`, `dy` → `dw`.
pub trait GradWeight: Operator {
    /// What it is called with the gradient of a bias beside it.
    const WITH_BIAS: &'static str;

    /// Element `index` of the output.
    fn element<T: Real>(&self, x: &Tensor<T>, dy: &Tensor<T>, index: usize) -> T;
}

impl GradWeight for Conv2dGradWeight {
    const WITH_BIAS: &'static str = "conv2d_bias_grad_weight";

    fn element<T: Real>(&self, x: &Tensor<T>, dy: &Tensor<T>, index: usize) -> T {
        conv2d::grad_weight_element(self, x, dy, index)
    }
}

impl GradWeight for LinearGradWeight {
    const WITH_BIAS: &'static str = "linear_bias_grad_weight";

    fn element<T: Real>(&self, x: &Tensor<T>, dy: &Tensor<T>, index: usize) -> T {
        linear::grad_weight_element(x, dy, index)
    }
}

/// `x`, `dy [.., c]` as of the gradient of the weights → `dw` and `db [c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradWeightBias<S> {
    /// The gradient of the layer's weights.
    pub weight: S,
}

/// Of a convolution.
pub type Conv2dGradWeightBias = GradWeightBias<Conv2dGradWeight>;
/// Of a linear layer.
pub type LinearGradWeightBias = GradWeightBias<LinearGradWeight>;

impl<S: GradWeight> GradWeightBias<S> {
    /// Element `index` of the gradient of the weights.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], index: usize) -> T {
        self.weight.element(inputs[0], inputs[1], index)
    }
}

impl<S: GradWeight> Operator for GradWeightBias<S> {
    fn name(&self) -> &'static str {
        S::WITH_BIAS
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let mut outputs = self.weight.infer(inputs)?;
        match inputs.get(1).and_then(|dy| dy.shape.last()) {
            Some(&channels) => outputs.push(Spec::f32([channels])),
            None => return Err(Error::shape(self.name(), "the upstream gradient has no channels")),
        }
        Ok(outputs)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let mut results = self.weight.reference(inputs, &outputs[..1]);
        results.extend(SumRows.reference(&inputs[1..], &outputs[1..]));
        results
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        self.weight.flops(inputs, &outputs[..1]) + inputs[1].len() as u64
    }
}
