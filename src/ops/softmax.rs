//! Softmax and its logarithm along an axis.
//!
//! ```text
//! softmax:     y_i  = e^(x_i − m) / Σ_j e^(x_j − m)               with m = max_j x_j
//!              dx_i = y_i · ((dy_i − dy_k) − Σ_j y_j·(dy_j − dy_k))   with k the place of the largest y
//! log_softmax: y_i  = (x_i − m) − ln Σ_j e^(x_j − m)
//!              dx_i = dy_i − e^(y_i) · Σ_j dy_j
//! ```
//! An infinite m is a NaN: its own term e^(m − m) is no number, so the row is none. The largest term of a sum of exponentials is
//! 1 exactly and stays out of it, so that ln(1 + Σ_(j≠k) e^(x_j − m)) keeps its digits on a row where that sum is almost 0.
//!
//! The textbook's y_i·(dy_i − Σ_j y_j·dy_j) is the same number, but on a row where y_k is almost 1 it loses every digit
//! in f32: subtracting dy_k first leaves only small terms in the sum.

use super::{BlockSum, GradNode, Operator, Real, Source, around_axis, expect_float, fill, fill_float};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `x [..]` → `y [..]`, normalised along `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
}

/// `y [..]`, `dy [..]` → `dx [..]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SoftmaxGrad {
    /// The forward axis.
    pub axis: usize,
}

/// `x [..]` → `y [..]`, along `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogSoftmax {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
}

/// `y [..]`, `dy [..]` → `dx [..]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogSoftmaxGrad {
    /// The forward axis.
    pub axis: usize,
}

/// The rows of a tensor along one axis.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    len: usize,
    inner: usize,
}

impl Rows {
    fn new(shape: &[usize], axis: usize) -> Self {
        let [outer, len, inner] = around_axis(shape, axis);
        Self { count: outer * inner, len, inner }
    }

    /// Places of the elements of a row, in order.
    fn places(self, row: usize) -> impl Iterator<Item = usize> {
        let first = row / self.inner * self.len * self.inner + row % self.inner;
        (0..self.len).map(move |i| first + i * self.inner)
    }

    /// The row that holds the element at this place.
    fn of(self, place: usize) -> usize {
        place / (self.len * self.inner) * self.inner + place % self.inner
    }

    /// The place of a row's largest element, the first of equals; a NaN wins.
    fn largest<T: Real>(self, x: &[T], row: usize) -> usize {
        self.places(row).reduce(|best, at| if x[at] > x[best] || x[at].is_nan() { at } else { best }).unwrap_or(0)
    }

    /// The sum over a row of all terms but the one at `left_out`.
    fn sum_but<T: Real>(self, row: usize, left_out: usize, term: impl Fn(usize) -> T) -> T {
        self.sum(row, |at| if at == left_out { T::zero() } else { term(at) })
    }

    fn sum<T: Real>(self, row: usize, term: impl Fn(usize) -> T) -> T {
        self.places(row).map(term).collect::<BlockSum<T>>().value()
    }
}

/// A maximum that can be subtracted: an infinite one is a NaN.
pub(super) fn finite_or_nan<T: Real>(max: T) -> T {
    if max.is_finite() { max } else { T::nan() }
}

/// For each row its maximum m, and Σ e^(x − m) without the term of the maximum, which is 1.
fn normalisers<T: Real>(x: &[T], rows: Rows) -> Vec<(T, T)> {
    fill(rows.count, |row| {
        let largest = rows.largest(x, row);
        let max = finite_or_nan(x[largest]);
        (max, rows.sum_but(row, largest, |at| (x[at] - max).exp()))
    })
}

fn infer_along(op: &str, x: &Spec, axis: usize) -> Result<Vec<Spec>> {
    expect_float(op, "the input", x)?;
    if axis >= x.shape.len() || x.is_empty() {
        return Err(Error::shape(
            op,
            format!("axis {axis} does not exist, or is empty, in a tensor of shape {:?}", x.shape),
        ));
    }
    Ok(vec![x.clone()])
}

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        infer_along("softmax", &inputs[0], self.axis)
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode {
            op: SoftmaxGrad { axis: self.axis }.into(),
            operands: vec![Source::Output(0), Source::Upstream(0)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, rows) = (inputs[0].floats(), Rows::new(&inputs[0].shape, self.axis));
        let normalisers = normalisers(x, rows);
        let element = |i: usize| {
            let (max, others) = normalisers[rows.of(i)];
            (x[i] - max).exp() / (T::one() + others)
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        5 * inputs[0].len() as u64
    }
}

impl Operator for SoftmaxGrad {
    fn name(&self) -> &'static str {
        "softmax_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[1].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (y, dy, rows) = (inputs[0].floats(), inputs[1].floats(), Rows::new(&inputs[0].shape, self.axis));
        let totals = fill(rows.count, |row| {
            let pivot = dy[rows.largest(y, row)];
            (pivot, rows.sum(row, |at| y[at] * (dy[at] - pivot)))
        });
        let element = |i: usize| {
            let (pivot, total) = totals[rows.of(i)];
            y[i] * ((dy[i] - pivot) - total)
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        6 * inputs[0].len() as u64
    }
}

impl Operator for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        infer_along("log_softmax", &inputs[0], self.axis)
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode {
            op: LogSoftmaxGrad { axis: self.axis }.into(),
            operands: vec![Source::Output(0), Source::Upstream(0)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, rows) = (inputs[0].floats(), Rows::new(&inputs[0].shape, self.axis));
        let normalisers = normalisers(x, rows);
        let element = |i: usize| {
            let (max, others) = normalisers[rows.of(i)];
            (x[i] - max) - others.ln_1p()
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        5 * inputs[0].len() as u64
    }
}

impl Operator for LogSoftmaxGrad {
    fn name(&self) -> &'static str {
        "log_softmax_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[1].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (y, dy, rows) = (inputs[0].floats(), inputs[1].floats(), Rows::new(&inputs[0].shape, self.axis));
        let sums = fill(rows.count, |row| {
            let k = rows.largest(y, row);
            (k, rows.sum_but(row, k, |at| dy[at]))
        });
        let element = |i: usize| {
            let (k, others) = sums[rows.of(i)];
            if i == k {
                // dy_k − e^(y_k)·(dy_k + others), without the difference of two almost equal numbers.
                return -dy[i] * y[i].exp_m1() - y[i].exp() * others;
            }
            dy[i] - y[i].exp() * (others + dy[k])
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        4 * inputs[0].len() as u64
    }
}
