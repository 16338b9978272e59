//! What a step of training does once it knows its logits, and once it knows its gradients.
//!
//! ```text
//! softmax_cross_entropy_and_grad: row_loss, dlogits and perhaps loss, as of softmax_cross_entropy and its gradient
//! settle: loss = 1/n · Σ row_loss; norm = grad_norm(gradients); control = guard(control, loss, norm);
//!         losses, norms, corrects = record_step(..); rates_now = rates[step % steps]; control = advance(control)
//! ```

use crate::error::Result;
use crate::ops::optimizer::RATES;
use crate::ops::{Advance, BlockSum, GradNorm, Guard, Operator, Real, RecordStep, SoftmaxCrossEntropy};
use crate::ops::{SoftmaxCrossEntropyGrad, control, expect_operands, expect_spec};
use crate::tensor::{Spec, Tensor};

/// `logits [n,k]`, `labels [n]` (u32), `dloss [1]` → `row_loss [n]`, `dlogits [n,k]` and, where it is wanted, `loss [1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxCrossEntropyAndGrad {
    /// As in the forward operator.
    pub label_smoothing: f64,
    /// Whether the mean over the batch is wanted.
    pub mean: bool,
}

/// `control`, `row_loss [n]`, `logits [n,k]`, `labels [n]`, `gradients [p]`, `rates [steps, 4]`, `losses [s]`, `norms [s]`, `corrects [s]` (u32) →
/// `control` in place, `norm [2]`, `rates_now [1, 4]`, and `losses`, `norms` and `corrects` in place.
///
/// The step counter has moved on afterwards, unless the flag is set; `rates_now` is the row of the step that it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settle;

/// What settling records: the batch as a whole, not one micro-batch of several.
const RECORD: RecordStep = RecordStep { adds: false };

impl SoftmaxCrossEntropyAndGrad {
    fn parts(&self) -> (SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad) {
        let label_smoothing = self.label_smoothing;
        (SoftmaxCrossEntropy { label_smoothing }, SoftmaxCrossEntropyGrad { label_smoothing })
    }
}

impl Operator for SoftmaxCrossEntropyAndGrad {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy_and_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands(self.name(), inputs, 3..=3)?;
        expect_spec(self.name(), "the upstream gradient", &inputs[2], &Spec::f32([1]))?;
        let losses = self.parts().0.infer(&inputs[..2])?;
        let mean = self.mean.then(|| losses[0].clone());
        Ok([losses[1].clone(), inputs[0].clone()].into_iter().chain(mean).collect())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (forward, grad) = self.parts();
        let mut losses = forward.reference(&inputs[..2], &[Spec::f32([1]), outputs[0].clone()]);
        let row_loss = losses.split_off(1);
        let gradient = grad.reference(inputs, &outputs[1..2]);
        row_loss.into_iter().chain(gradient).chain(losses.into_iter().filter(|_| self.mean)).collect()
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        // The exponentials are taken once.
        8 * inputs[0].len() as u64
    }
}

impl Operator for Settle {
    fn name(&self) -> &'static str {
        "settle"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("settle", inputs, 9..=9)?;
        let (scalar, norm) = (Spec::f32([1]), GradNorm.infer(&inputs[4..5])?);
        let record = [&inputs[0], &scalar, &norm[0], &inputs[2], &inputs[3], &inputs[6], &inputs[7], &inputs[8]];
        let records = RECORD.infer(&record.map(Clone::clone))?;
        expect_spec("settle", "the rows' losses", &inputs[1], &Spec::f32([inputs[3].len()]))?;
        let steps = inputs[5].shape.first().copied().unwrap_or(0).max(1);
        expect_spec("settle", "the table of rates", &inputs[5], &Spec::f32([steps, RATES]))?;
        let own = [inputs[0].clone(), norm[0].clone(), Spec::f32([1, RATES])];
        Ok(own.into_iter().chain(records).collect())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let sum: BlockSum<T> = inputs[1].floats().iter().copied().collect();
        let loss = Tensor::float([1], vec![sum.value() / T::of(inputs[1].floats().len() as f64)]);
        let norm = GradNorm.reference(&inputs[4..5], &outputs[1..2]).swap_remove(0);
        let guarded = Guard.reference(&[inputs[0], &loss, &norm], &outputs[..1]).swap_remove(0);
        let record = [&guarded, &loss, &norm, inputs[2], inputs[3], inputs[6], inputs[7], inputs[8]];
        let records = RECORD.reference(&record, &outputs[3..]);
        let row = inputs[0].u32s()[control::STEP] as usize % inputs[5].shape[0];
        let rates = Tensor::float([1, RATES], inputs[5].floats()[row * RATES..][..RATES].to_vec());
        let advanced = Advance.reference(&[&guarded], &outputs[..1]);
        advanced.into_iter().chain([norm, rates]).chain(records).collect()
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        (2 * inputs[4].len() + inputs[2].len() + inputs[1].len()) as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 0), (3, 6), (4, 7), (5, 8)]
    }
}
