//! What a convolution or a linear layer writes, through an activation.

use crate::error::Result;
use crate::ops::{Activation, Conv2d, Linear, Operator, Real, conv2d, fill_float, linear};
use crate::tensor::{Spec, Tensor};

/// `x`, `w` and perhaps `b` as of [`Conv2d`] → `y`, its output through the activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dActivation {
    /// The convolution.
    pub conv: Conv2d,
    /// What its output goes through.
    pub activation: Activation,
}

/// `x`, `w` and perhaps `b` as of [`Linear`] → `y`, its output through the activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearActivation {
    /// What the layer's output goes through.
    pub activation: Activation,
}

impl Conv2dActivation {
    /// Element `index` of the output.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec], index: usize) -> T {
        let out = [outputs[0].shape[1], outputs[0].shape[2]];
        let (x, w, b) = (inputs[0], inputs[1], inputs.get(2).copied());
        self.activation.value(conv2d::forward_element(&self.conv, x, w, b, out, index))
    }
}

impl LinearActivation {
    /// Element `index` of the output.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], index: usize) -> T {
        self.activation.value(linear::forward_element(inputs[0], inputs[1], inputs.get(2).copied(), index))
    }
}

impl Operator for Conv2dActivation {
    fn name(&self) -> &'static str {
        "conv2d_activation"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        self.activation.infer(&self.conv.infer(inputs)?)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![fill_float(&outputs[0], |i| self.element(inputs, outputs, i))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        self.conv.flops(inputs, outputs) + self.activation.flops(outputs, outputs)
    }
}

impl Operator for LinearActivation {
    fn name(&self) -> &'static str {
        "linear_activation"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        self.activation.infer(&Linear.infer(inputs)?)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![fill_float(&outputs[0], |i| self.element(inputs, i))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        Linear.flops(inputs, outputs) + self.activation.flops(outputs, outputs)
    }
}
