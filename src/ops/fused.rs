//! Operators that one kernel computes together. `graph::fuse` puts them in the place of the nodes that they stand for, once the
//! gradients are there, so they need no gradient rule. Each keeps its parts, which are its definition and its reference:
//!
//! ```text
//! conv2d_activation: y = f(conv2d(x, w, b))
//! linear_activation: y = f(linear(x, w, b))
//! ```

use super::{Activation, Conv2d, Linear, Operator, Real, conv2d, fill_float, linear};
use crate::error::Result;
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
    pub(super) fn element<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec], index: usize) -> T {
        let out = [outputs[0].shape[1], outputs[0].shape[2]];
        let (x, w, b) = (inputs[0], inputs[1], inputs.get(2).copied());
        self.activation.value(conv2d::forward_element(&self.conv, x, w, b, out, index))
    }
}

impl LinearActivation {
    /// Element `index` of the output.
    pub(super) fn element<T: Real>(&self, inputs: &[&Tensor<T>], index: usize) -> T {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    fn numbers(shape: &[usize], seed: usize) -> Tensor<f64> {
        let value = |i: usize| ((i * 37 + seed * 11) % 29) as f64 / 7.0 - 2.0;
        Tensor::float(shape.to_vec(), (0..shape.iter().product()).map(value).collect())
    }

    /// What a fused operator answers is what its parts answer one after the other.
    #[test]
    fn fused_operators_are_their_parts_one_after_the_other() {
        let conv = Conv2d { padding: [1, 0, 0, 1], stride: [2, 1], ..Conv2d::default() };
        for activation in Activation::all(0.1, 1.25) {
            let image = [numbers(&[2, 5, 4, 3], 1), numbers(&[3, 2, 3, 4], 2), numbers(&[4], 3)];
            let rows = [numbers(&[3, 5], 4), numbers(&[2, 5], 5), numbers(&[2], 6)];
            let pairs: [(Op, Op, &[Tensor<f64>]); 2] = [
                (Conv2dActivation { conv, activation }.into(), conv.into(), &image),
                (LinearActivation { activation }.into(), Linear.into(), &rows),
            ];
            for (fused, first, inputs) in pairs {
                for operands in [2, 3] {
                    let inputs: Vec<_> = inputs[..operands].iter().collect();
                    let between = first.evaluate(&inputs).unwrap();
                    let apart = Op::from(activation).evaluate(&[&between[0]]).unwrap();
                    assert_eq!(fused.evaluate(&inputs).unwrap(), apart, "{fused:?}");
                }
            }
        }
    }
}
