//! What a sum or a batch normalisation writes, through an activation.

use crate::error::Result;
use crate::ops::{Activation, Add, BatchNorm2d, Operator, Real};
use crate::tensor::{Spec, Tensor};

/// An operator whose kernel can apply an activation to its first output.
pub trait Activatable: Operator {
    /// What it is called with an activation behind it.
    const ACTIVATED: &'static str;
}

impl Activatable for Add {
    const ACTIVATED: &'static str = "add_activation";
}

impl Activatable for BatchNorm2d {
    const ACTIVATED: &'static str = "batch_norm2d_activation";
}

/// The operands of `op` → its outputs, the first of them through the activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Activated<S> {
    /// What is computed.
    pub op: S,
    /// What its first output goes through.
    pub activation: Activation,
}

/// A sum.
pub type AddActivation = Activated<Add>;
/// A batch normalisation in training.
pub type BatchNorm2dActivation = Activated<BatchNorm2d>;

impl<S: Activatable> Operator for Activated<S> {
    fn name(&self) -> &'static str {
        S::ACTIVATED
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        self.op.infer(inputs)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let mut results = self.op.reference(inputs, outputs);
        let activated = self.activation.reference(&[&results[0]], &outputs[..1]);
        results.splice(..1, activated);
        results
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        self.op.flops(inputs, outputs) + self.activation.flops(&outputs[..1], &outputs[..1])
    }
}
