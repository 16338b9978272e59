//! A workload: an operator with its operands, said in data, under a name that says where its shapes come from.

use crate::error::Result;
use crate::ops::{Op, Operator, Source};
use crate::tensor::Spec;
use crate::verify::case::{Operand, noise, outputs_of, split};

/// A forward operator with its operands; its backward operators follow from its gradient rule.
#[derive(Debug, Clone)]
pub struct Workload {
    /// `resnet18/layer1_conv`: network and layer.
    pub name: String,
    /// The forward operator.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Operand>,
}

/// One operator of a workload.
#[derive(Debug, Clone)]
pub struct Task {
    /// `forward`, `grad_input`, `grad_weight`, `grad_bias`, or `grad` where there is one gradient.
    pub direction: &'static str,
    /// The operator.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Operand>,
}

impl Task {
    /// Specs of the operands and of the outputs.
    pub fn specs(&self) -> Result<[Vec<Spec>; 2]> {
        let inputs: Vec<Spec> = self.operands.iter().map(|operand| operand.spec.clone()).collect();
        let outputs = self.op.infer(&inputs)?;
        Ok([inputs, outputs])
    }
}

impl Workload {
    /// A workload from its parts.
    pub fn new(name: impl Into<String>, op: impl Into<Op>, operands: Vec<Operand>) -> Self {
        Self { name: name.into(), op: op.into(), operands }
    }

    /// The forward operator and its backward operators, each under a direction of its own.
    pub fn tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = vec![Task { direction: "forward", op: self.op.clone(), operands: self.operands.clone() }];
        let [inputs, outputs] = tasks[0].specs()?;
        let saved = outputs_of(self.op.clone(), &self.operands);
        for rule in self.op.gradient(&inputs) {
            let direction = match (split(rule.op.name()).1, rule.gives.as_slice()) {
                ("forward", [2]) => "grad_bias",
                ("forward", _) => "grad",
                (direction, _) => direction,
            };
            // A copy of the upstream gradient is no node of a plan, and of alike operators one is enough.
            if matches!(rule.op, Op::Copy(_)) || tasks.iter().any(|task| task.direction == direction) {
                continue;
            }
            let operand = |source: &Source| match *source {
                Source::Input(i) => self.operands[i].clone(),
                Source::Output(i) => saved[i].clone(),
                Source::Upstream(i) => noise(99, outputs[i].shape.clone()),
            };
            let operands = rule.operands.iter().map(operand).collect();
            tasks.push(Task { direction, op: rule.op, operands });
        }
        Ok(tasks)
    }
}
