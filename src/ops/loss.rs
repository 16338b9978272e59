//! Losses: what training makes small.
//!
//! ```text
//! softmax_cross_entropy:
//!   −log p_j       = ln(1 + Σ_(k≠top) e^(z_k − m)) + (m − z_j)             with m = max_k z_k = z_top
//!   row_loss[n]    = (1 − s)·(−log p_label) + s/k · Σ_j (−log p_j)
//!   loss           = 1/n · Σ_n row_loss[n]
//!   dlogits[n,j]   = dloss/n · (p_j − (1 − s)·[j = label] − s/k)
//! mixup_cross_entropy, with labels y and o and the share m of o:
//!   row_loss[n]    = (1 − s)·((1 − m)·(−log p_y) + m·(−log p_o)) + s/k · Σ_j (−log p_j)
//!   dlogits[n,j]   = dloss/n · (p_j − (1 − s)·((1 − m)·[j = y] + m·[j = o]) − s/k)
//! mse_loss:
//!   loss           = 1/p · Σ (x − target)²
//!   dx             = dloss · 2/p · (x − target)
//! ```
//! The largest term of the sum is 1 exactly and stays out of it, so that a row that is almost sure of its label keeps its digits.
//! An infinite m is a NaN: e^(m − m) is no number. s is the label smoothing, k the number of classes, n the batch, p the number of elements.

use super::softmax::finite_or_nan;
use super::{BlockSum, GradNode, Operator, Real, Source, expect_float, expect_operands, expect_spec, fill, fill_float};
use crate::error::{Error, Result};
use crate::tensor::{DType, Spec, Tensor};

/// `logits [n,k]`, `labels [n]` (u32) → `loss [1]` (mean over the batch) and `row_loss [n]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxCrossEntropy {
    /// Share of the probability that is spread evenly over all classes, 0 ≤ s ≤ 1.
    pub label_smoothing: f64,
}

/// `logits [n,k]`, `labels [n]`, `dloss [1]` → `dlogits [n,k]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxCrossEntropyGrad {
    /// As in the forward operator.
    pub label_smoothing: f64,
}

/// `logits [n,k]`, `labels [n]`, `others [n]` (u32), `shares [n]` (of the others, from 0 to 1) → `loss [1]` (mean over the batch)
/// and `row_loss [n]`: the cross-entropy of images that [`super::Mixup`] has mixed. Shares have no gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixupCrossEntropy {
    /// Share of the probability that is spread evenly over all classes, 0 ≤ s ≤ 1.
    pub label_smoothing: f64,
}

/// `logits [n,k]`, `labels [n]`, `dloss [1]`, `others [n]`, `shares [n]` → `dlogits [n,k]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixupCrossEntropyGrad {
    /// As in the forward operator.
    pub label_smoothing: f64,
}

/// `x [..]`, `target [..]` → `loss [1]`, the mean of (x − target)² over all elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MseLoss;

/// `x [..]`, `target [..]`, `dloss [1]` → `dx [..]`; with x and target exchanged, the gradient of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MseLossGrad;

/// What the probabilities of a row are computed from.
#[derive(Clone, Copy)]
struct Normaliser<T> {
    /// The largest logit.
    max: T,
    /// Its place, the first of equals.
    top: usize,
    /// Σ e^(z − max) over all others.
    others: T,
}

fn normaliser<T: Real>(row: &[T]) -> Normaliser<T> {
    let larger = |best: usize, j: usize| if row[j] > row[best] || row[j].is_nan() { j } else { best };
    let top = (0..row.len()).reduce(larger).unwrap_or(0);
    let max = finite_or_nan(row[top]);
    let term = |(j, &z): (usize, &T)| if j == top { T::zero() } else { (z - max).exp() };
    let others: BlockSum<T> = row.iter().enumerate().map(term).collect();
    Normaliser { max, top, others: others.value() }
}

/// The loss of one row of logits, of which each label has a share.
fn row_loss<T: Real>(row: &[T], labels: &[(u32, T)], smoothing: T) -> T {
    let Normaliser { max, others, .. } = normaliser(row);
    let ln_sum = others.ln_1p();
    let minus_log = |z: T| ln_sum + (max - z);
    let mut of_labels = T::zero();
    // A label of no share is no part of it, though its loss may be infinite.
    for &(label, share) in labels.iter().filter(|(_, share)| *share > T::zero()) {
        debug_assert!((label as usize) < row.len(), "label {label} of {} classes", row.len());
        of_labels += share * minus_log(row[label as usize]);
    }
    let of_labels = (T::one() - smoothing) * of_labels;
    // Without smoothing the infinite loss of a class whose logit is −∞ is no part of the row's, not 0 times of it.
    if smoothing > T::zero() {
        let all: BlockSum<T> = row.iter().map(|&z| minus_log(z)).collect();
        return of_labels + smoothing / T::of(row.len() as f64) * all.value();
    }
    of_labels
}

/// The mean of the rows' losses, and the rows.
fn mean<T: Real>(rows: Vec<T>, outputs: &[Spec]) -> Vec<Tensor<T>> {
    let sum: BlockSum<T> = rows.iter().copied().collect();
    let loss = sum.value() / T::of(rows.len() as f64);
    vec![Tensor::float([1], vec![loss]), Tensor::float(outputs[1].shape.clone(), rows)]
}

/// dlogits, where `share` is that of class j among the labels of row n.
fn slopes<T: Real>(
    [logits, dloss]: [&Tensor<T>; 2],
    output: &Spec,
    smoothing: T,
    share: impl Fn(usize, usize) -> T + Sync,
) -> Vec<Tensor<T>> {
    let (rows, k, logits) = (logits.shape[0], logits.shape[1], logits.floats());
    let factor = dloss.floats()[0] / T::of(rows as f64);
    let normalisers = fill(rows, |n| normaliser(&logits[n * k..][..k]));
    let element = |i: usize| {
        let (n, j) = (i / k, i % k);
        let Normaliser { max, top, others } = normalisers[n];
        let (sum, even, share) = (T::one() + others, smoothing / T::of(k as f64), share(n, j));
        let rest = T::one() - smoothing;
        if share > T::zero() && j == top {
            // p − 1 = −others / sum, without the difference of two almost equal numbers.
            return factor * ((T::one() - share) * rest + (smoothing - even) - others / sum);
        }
        factor * ((logits[i] - max).exp() / sum - rest * share - even)
    };
    vec![fill_float(output, element)]
}

/// What the cross-entropies ask of their first two operands, and answer.
fn infer_cross_entropy(op: &str, label_smoothing: f64, inputs: &[Spec]) -> Result<Vec<Spec>> {
    let fail = |problem: String| Err(Error::shape(op, problem));
    if !(0.0..=1.0).contains(&label_smoothing) {
        return fail(format!("label smoothing must lie in 0..=1, got {label_smoothing}"));
    }
    let logits = &inputs[0];
    match logits.shape.as_slice() {
        &[n, k] if n > 0 && k > 0 && logits.dtype == DType::F32 => {
            expect_spec(op, "labels", &inputs[1], &Spec::u32([n]))?;
            Ok(vec![Spec::f32([1]), Spec::f32([n])])
        }
        shape => fail(format!("needs logits [n, classes] of floats, got {:?} of {shape:?}", logits.dtype)),
    }
}

impl Operator for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("softmax_cross_entropy", inputs, 2..=2)?;
        infer_cross_entropy("softmax_cross_entropy", self.label_smoothing, inputs)
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode {
            op: SoftmaxCrossEntropyGrad { label_smoothing: self.label_smoothing }.into(),
            operands: vec![Source::Input(0), Source::Input(1), Source::Upstream(0)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (logits, labels, k) = (inputs[0].floats(), inputs[1].u32s(), inputs[0].shape[1]);
        let smoothing = T::of(self.label_smoothing);
        let one = T::one();
        let rows = fill(labels.len(), |n| row_loss(&logits[n * k..][..k], &[(labels[n], one)], smoothing));
        mean(rows, outputs)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        5 * inputs[0].len() as u64
    }
}

impl Operator for SoftmaxCrossEntropyGrad {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let labels = inputs[1].u32s();
        let share = |n: usize, j: usize| if labels[n] as usize == j { T::one() } else { T::zero() };
        slopes([inputs[0], inputs[2]], &outputs[0], T::of(self.label_smoothing), share)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        8 * inputs[0].len() as u64
    }
}

impl Operator for MixupCrossEntropy {
    fn name(&self) -> &'static str {
        "mixup_cross_entropy"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("mixup_cross_entropy", inputs, 4..=4)?;
        let outputs = infer_cross_entropy("mixup_cross_entropy", self.label_smoothing, inputs)?;
        expect_spec("mixup_cross_entropy", "the other labels", &inputs[2], &inputs[1])?;
        expect_spec("mixup_cross_entropy", "their shares", &inputs[3], &outputs[1])?;
        Ok(outputs)
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode {
            op: MixupCrossEntropyGrad { label_smoothing: self.label_smoothing }.into(),
            operands: vec![Source::Input(0), Source::Input(1), Source::Upstream(0), Source::Input(2), Source::Input(3)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (logits, k, smoothing) = (inputs[0].floats(), inputs[0].shape[1], T::of(self.label_smoothing));
        let (labels, others, shares) = (inputs[1].u32s(), inputs[2].u32s(), inputs[3].floats());
        let row = |n: usize| {
            let labels = [(labels[n], T::one() - shares[n]), (others[n], shares[n])];
            row_loss(&logits[n * k..][..k], &labels, smoothing)
        };
        mean(fill(labels.len(), row), outputs)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        5 * inputs[0].len() as u64
    }
}

impl Operator for MixupCrossEntropyGrad {
    fn name(&self) -> &'static str {
        "mixup_cross_entropy_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (labels, others, shares) = (inputs[1].u32s(), inputs[3].u32s(), inputs[4].floats());
        let share = |n: usize, j: usize| match (labels[n] as usize == j, others[n] as usize == j) {
            (true, true) => T::one(),
            (true, false) => T::one() - shares[n],
            (false, true) => shares[n],
            (false, false) => T::zero(),
        };
        slopes([inputs[0], inputs[2]], &outputs[0], T::of(self.label_smoothing), share)
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        8 * inputs[0].len() as u64
    }
}

impl Operator for MseLoss {
    fn name(&self) -> &'static str {
        "mse_loss"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("mse_loss", inputs, 2..=2)?;
        expect_float("mse_loss", "the input", &inputs[0])?;
        expect_spec("mse_loss", "the target", &inputs[1], &inputs[0])?;
        if inputs[0].is_empty() {
            return Err(Error::shape(
                "mse_loss",
                format!("has nothing to compare in a tensor of {:?}", inputs[0].shape),
            ));
        }
        Ok(vec![Spec::f32([1])])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        let node = |of, other| GradNode {
            op: MseLossGrad.into(),
            operands: vec![Source::Input(of), Source::Input(other), Source::Upstream(0)],
            gives: vec![of],
        };
        vec![node(0, 1), node(1, 0)]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], _outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, target) = (inputs[0].floats(), inputs[1].floats());
        let sum: BlockSum<T> = x.iter().zip(target).map(|(&x, &t)| (x - t) * (x - t)).collect();
        vec![Tensor::float([1], vec![sum.value() / T::of(x.len() as f64)])]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        3 * inputs[0].len() as u64
    }
}

impl Operator for MseLossGrad {
    fn name(&self) -> &'static str {
        "mse_loss_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, target) = (inputs[0].floats(), inputs[1].floats());
        let factor = inputs[2].floats()[0] * T::of(2.0 / x.len() as f64);
        vec![fill_float(&outputs[0], |i| factor * (x[i] - target[i]))]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        2 * inputs[0].len() as u64
    }
}
