//! An optimiser that clips what it reads and what it writes.

use super::{Operator, Real, expect_operands};
use crate::error::Result;
use crate::ops::{ClipGradNorm, ClipValue, Optimizer};
use crate::tensor::{Spec, Tensor};

/// As of [`Optimizer`], and behind that `norm [2]` where the gradient is clipped by it: the gradient through [`ClipValue`], then through
/// [`ClipGradNorm`], then the optimiser, and the new parameters through [`ClipValue`]. The gradient itself stays as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClippedOptimizer {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The limit of each element of the gradient.
    pub value: Option<f64>,
    /// The largest norm of the gradient.
    pub norm: Option<f64>,
    /// The limit of each parameter.
    pub parameters: Option<f64>,
}

impl From<Optimizer> for ClippedOptimizer {
    /// One that clips nothing.
    fn from(optimizer: Optimizer) -> Self {
        Self { optimizer, value: None, norm: None, parameters: None }
    }
}

impl ClippedOptimizer {
    /// How many operands the optimiser has.
    fn operands(&self) -> usize {
        4 + self.optimizer.moments()
    }

    /// The operand that is the norm.
    pub fn norm_operand(&self) -> Option<usize> {
        self.norm.map(|_| self.operands())
    }
}

impl Operator for ClippedOptimizer {
    fn name(&self) -> &'static str {
        match self.optimizer {
            Optimizer::Sgd { .. } => "clipped_sgd",
            Optimizer::Adam { .. } => "clipped_adam",
            Optimizer::AdamW { .. } => "clipped_adamw",
            Optimizer::RmsProp { .. } => "clipped_rmsprop",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let own = self.operands().min(inputs.len());
        let outputs = self.optimizer.infer(&inputs[..own])?;
        let (flat, control) = (&inputs[1..2], &inputs[3..4]);
        for limit in [self.value, self.parameters].into_iter().flatten() {
            ClipValue { limit }.infer(&[flat, control].concat())?;
        }
        match self.norm {
            Some(max_norm) => drop(ClipGradNorm { max_norm }.infer(&[flat, &inputs[own..]].concat())?),
            None => expect_operands(self.name(), inputs, own..=own)?,
        }
        Ok(outputs)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let flat = &outputs[..1];
        let clip = |limit: Option<f64>, x: &Tensor<T>| match limit {
            Some(limit) => ClipValue { limit }.reference(&[x, inputs[3]], flat).swap_remove(0),
            None => x.clone(),
        };
        let mut grad = clip(self.value, inputs[1]);
        if let Some((max_norm, norm)) = self.norm.zip(self.norm_operand()) {
            grad = ClipGradNorm { max_norm }.reference(&[&grad, inputs[norm]], flat).swap_remove(0);
        }
        let mut operands = inputs[..self.operands()].to_vec();
        operands[1] = &grad;
        let mut results = self.optimizer.reference(&operands, outputs);
        results[0] = clip(self.parameters, &results[0]);
        results
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let values = 2 * [self.value, self.parameters].iter().flatten().count() as u64;
        let each = values + u64::from(self.norm.is_some());
        self.optimizer.flops(&inputs[..self.operands()], outputs) + each * inputs[0].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        self.optimizer.in_place()
    }
}
