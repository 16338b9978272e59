//! What steers a plan from inside: the step counter and the flag that stops all writes.
//!
//! `control [4]` (u32) holds: 0 the number of steps done, 1 the flag (not 0: a loss or gradient was not finite; nothing
//! that lasts may be written until the host has looked), 2 and 3 reserved.
//!
//! In a training step [`Guard`] comes after the gradients, then [`RecordStep`] and all that writes lasting values, and
//! [`Advance`] last. None of them has a gradient.

use super::{Operator, Real, expect_operands, expect_spec};
use crate::error::{Error, Result};
use crate::tensor::{DType, Spec, Tensor};

/// Index of the step counter in a control value.
pub const STEP: usize = 0;
/// Index of the flag in a control value.
pub const FLAG: usize = 1;
/// Elements of a control value.
pub const LEN: usize = 4;

/// `control`, `loss [1]`, `norm [2]` (of [`crate::ops::GradNorm`]) → `control` in place: sets the flag when the loss or any gradient
/// is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guard;

/// `control`, `loss [1]`, `norm [2]`, `logits [n,k]`, `labels [n]`, `losses [s]`, `norms [s]`, `corrects [s]` (u32) → `losses`, `norms` and `corrects`
/// in place: element `step % s` takes the loss, the gradient norm and the number of rows whose largest logit (the first of equals) is the
/// label; nothing when the flag is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordStep {
    /// Whether the rows are added to those that the step has recorded before: of a micro-batch that is not its first.
    pub adds: bool,
}

/// `control`, `logits [n,k]`, `row_loss [n]`, `losses [len]`, `classes [len]` (u32) → `losses` and `classes` in place: element `step·n + r` takes the
/// loss of row r and its largest logit's class, as long as it is below `len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordEvaluation;

/// `control` → `control` in place: one step more, unless the flag is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Advance;

/// Refuses an operand that is not a control value.
pub(crate) fn expect(op: &str, spec: &Spec) -> Result<()> {
    expect_spec(op, "the control value", spec, &Spec::u32([LEN]))
}

/// Whether the flag forbids lasting writes.
pub(crate) fn stopped<T>(control: &Tensor<T>) -> bool {
    control.u32s()[FLAG] != 0
}

/// Number of rows and classes of the logits.
fn expect_logits(op: &str, logits: &Spec) -> Result<[usize; 2]> {
    match logits.shape.as_slice() {
        &[n, k] if n > 0 && k > 0 && logits.dtype == DType::F32 => Ok([n, k]),
        shape => {
            Err(Error::shape(op, format!("needs logits [n, classes] of floats, got {:?} of {shape:?}", logits.dtype)))
        }
    }
}

/// Number of elements of a list that results are written to.
fn expect_list(op: &str, spec: &Spec) -> Result<usize> {
    match spec.shape.as_slice() {
        &[len] if len > 0 => Ok(len),
        shape => Err(Error::shape(op, format!("results need a list with at least one place, got {shape:?}"))),
    }
}

/// The class of the largest logit of a row, the first of equals.
fn largest<T: Real>(row: &[T]) -> u32 {
    (0..row.len()).reduce(|best, j| if row[j] > row[best] { j } else { best }).unwrap_or(0) as u32
}

impl Operator for Guard {
    fn name(&self) -> &'static str {
        "guard"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("guard", inputs, 3..=3)?;
        expect("guard", &inputs[0])?;
        expect_spec("guard", "the loss", &inputs[1], &Spec::f32([1]))?;
        expect_spec("guard", "the norm", &inputs[2], &Spec::f32([2]))?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], _outputs: &[Spec]) -> Vec<Tensor<T>> {
        let mut control = inputs[0].u32s().to_vec();
        let [loss, norm, broken] = [inputs[1].floats()[0], inputs[2].floats()[0], inputs[2].floats()[1]];
        if !loss.is_finite() || !norm.is_finite() || broken != T::zero() {
            control[FLAG] = 1;
        }
        vec![Tensor::u32([LEN], control)]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        0
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}

impl Operator for RecordStep {
    fn name(&self) -> &'static str {
        "record_step"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("record_step", inputs, 8..=8)?;
        expect("record_step", &inputs[0])?;
        expect_spec("record_step", "the loss", &inputs[1], &Spec::f32([1]))?;
        expect_spec("record_step", "the norm", &inputs[2], &Spec::f32([2]))?;
        let [n, _] = expect_logits("record_step", &inputs[3])?;
        expect_spec("record_step", "labels", &inputs[4], &Spec::u32([n]))?;
        let places = expect_list("record_step", &inputs[5])?;
        expect_spec("record_step", "losses", &inputs[5], &Spec::f32([places]))?;
        expect_spec("record_step", "norms", &inputs[6], &Spec::f32([places]))?;
        expect_spec("record_step", "corrects", &inputs[7], &Spec::u32([places]))?;
        Ok(inputs[5..].to_vec())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        if stopped(inputs[0]) {
            return inputs[5..].iter().map(|&list| list.clone()).collect();
        }
        let (logits, labels, classes) = (inputs[3].floats(), inputs[4].u32s(), inputs[3].shape[1]);
        let place = inputs[0].u32s()[STEP] as usize % outputs[0].len();
        let (mut losses, mut norms) = (inputs[5].floats().to_vec(), inputs[6].floats().to_vec());
        let mut corrects = inputs[7].u32s().to_vec();
        losses[place] = inputs[1].floats()[0];
        norms[place] = inputs[2].floats()[0];
        let hits = logits.chunks(classes).zip(labels).filter(|&(row, &label)| largest(row) == label).count() as u32;
        corrects[place] = if self.adds { corrects[place].wrapping_add(hits) } else { hits };
        let shape = outputs[0].shape.clone();
        vec![Tensor::float(shape.clone(), losses), Tensor::float(shape.clone(), norms), Tensor::u32(shape, corrects)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[3].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 5), (1, 6), (2, 7)]
    }
}

impl Operator for RecordEvaluation {
    fn name(&self) -> &'static str {
        "record_evaluation"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("record_evaluation", inputs, 5..=5)?;
        expect("record_evaluation", &inputs[0])?;
        let [n, _] = expect_logits("record_evaluation", &inputs[1])?;
        expect_spec("record_evaluation", "the rows' losses", &inputs[2], &Spec::f32([n]))?;
        let len = expect_list("record_evaluation", &inputs[3])?;
        expect_spec("record_evaluation", "losses", &inputs[3], &Spec::f32([len]))?;
        expect_spec("record_evaluation", "classes", &inputs[4], &Spec::u32([len]))?;
        Ok(inputs[3..].to_vec())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (logits, row_loss, classes) = (inputs[1].floats(), inputs[2].floats(), inputs[1].shape[1]);
        let first = inputs[0].u32s()[STEP] as usize * row_loss.len();
        let (mut losses, mut best) = (inputs[3].floats().to_vec(), inputs[4].u32s().to_vec());
        for (row, logits) in logits.chunks(classes).enumerate() {
            if first + row < losses.len() {
                losses[first + row] = row_loss[row];
                best[first + row] = largest(logits);
            }
        }
        vec![Tensor::float(outputs[0].shape.clone(), losses), Tensor::u32(outputs[1].shape.clone(), best)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[1].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 3), (1, 4)]
    }
}

impl Operator for Advance {
    fn name(&self) -> &'static str {
        "advance"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect("advance", &inputs[0])?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], _outputs: &[Spec]) -> Vec<Tensor<T>> {
        let mut control = inputs[0].u32s().to_vec();
        if !stopped(inputs[0]) {
            control[STEP] = control[STEP].wrapping_add(1);
        }
        vec![Tensor::u32([LEN], control)]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        0
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
