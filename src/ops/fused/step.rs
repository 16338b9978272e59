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
///
/// Where some of the gradients lie in partial sums, these and a table, `sums [q]` and `places [p / 64, 4]` (u32), come last among the
/// operands, and `gradients` in place among the results: row i of the table says of elements 64·i to 64·i + 63 where the first of
/// their partial sums lies, how far the next one is from it, how many there are, and how many of the elements have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settle {
    /// The most partial sums of an element, where there are some.
    pub parts: Option<usize>,
}

/// Elements of the gradients to a row of the table of their partial sums.
pub const PLACE: usize = 64;

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
        let operands = if self.parts.is_some() { 11 } else { 9 };
        expect_operands("settle", inputs, operands..=operands)?;
        let (scalar, norm) = (Spec::f32([1]), GradNorm.infer(&inputs[4..5])?);
        let record = [&inputs[0], &scalar, &norm[0], &inputs[2], &inputs[3], &inputs[6], &inputs[7], &inputs[8]];
        let records = RECORD.infer(&record.map(Clone::clone))?;
        expect_spec("settle", "the rows' losses", &inputs[1], &Spec::f32([inputs[3].len()]))?;
        let steps = inputs[5].shape.first().copied().unwrap_or(0).max(1);
        expect_spec("settle", "the table of rates", &inputs[5], &Spec::f32([steps, RATES]))?;
        let own = [inputs[0].clone(), norm[0].clone(), Spec::f32([1, RATES])];
        if let [_, table] = &inputs[9..] {
            let rows = inputs[4].len().div_ceil(PLACE);
            expect_spec("settle", "the table of partial sums", table, &Spec::u32([rows, 4]))?;
        }
        Ok(own.into_iter().chain(records).chain(self.parts.map(|_| inputs[4].clone())).collect())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let sum: BlockSum<T> = inputs[1].floats().iter().copied().collect();
        let loss = Tensor::float([1], vec![sum.value() / T::of(inputs[1].floats().len() as f64)]);
        let summed = self.parts.map(|_| summed(inputs[4], inputs[9], inputs[10].u32s()));
        let gradients = summed.as_ref().unwrap_or(inputs[4]);
        let norm = GradNorm.reference(&[gradients], &outputs[1..2]).swap_remove(0);
        let guarded = Guard.reference(&[inputs[0], &loss, &norm], &outputs[..1]).swap_remove(0);
        let record = [&guarded, &loss, &norm, inputs[2], inputs[3], inputs[6], inputs[7], inputs[8]];
        let records = RECORD.reference(&record, &outputs[3..6]);
        let row = inputs[0].u32s()[control::STEP] as usize % inputs[5].shape[0];
        let rates = Tensor::float([1, RATES], inputs[5].floats()[row * RATES..][..RATES].to_vec());
        let advanced = Advance.reference(&[&guarded], &outputs[..1]);
        advanced.into_iter().chain([norm, rates]).chain(records).chain(summed).collect()
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        let sums = inputs.get(9).map_or(0, Spec::len);
        (2 * inputs[4].len() + inputs[2].len() + inputs[1].len() + sums) as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        let gradients = self.parts.map(|_| (6, 4));
        [(0, 0), (3, 6), (4, 7), (5, 8)].into_iter().chain(gradients).collect()
    }
}

/// The gradients, those that lie in partial sums added up.
fn summed<T: Real>(gradients: &Tensor<T>, sums: &Tensor<T>, places: &[u32]) -> Tensor<T> {
    let (known, sums) = (gradients.floats(), sums.floats());
    let element = |i: usize| {
        let [first, stride, count, elements] = [0, 1, 2, 3].map(|column| places[i / PLACE * 4 + column] as usize);
        match i % PLACE < elements {
            true => {
                let parts: BlockSum<T> = (0..count).map(|part| sums[first + part * stride + i % PLACE]).collect();
                parts.value()
            }
            false => known[i],
        }
    };
    Tensor::float(gradients.shape.clone(), (0..known.len()).map(element).collect())
}
