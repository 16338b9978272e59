//! Losses on the GPU: rows or blocks first, then their mean.

use super::reduce::{column_sums, fold_splits, scratch, split_sum_trips, vector_splits, vector_trips};
use super::{Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{
    MixupCrossEntropy, MixupCrossEntropyGrad, MseLoss, MseLossGrad, SoftmaxCrossEntropy, SoftmaxCrossEntropyAndGrad,
    SoftmaxCrossEntropyGrad,
};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// The other labels of rows, and their shares.
type Mixed = Option<[Operand; 2]>;

/// Sets every uniform of the file.
fn sized(entry: &'static str, [rows, k]: [usize; 2], splits: usize, smoothing: f64, mixed: bool) -> Dispatch {
    let dispatch = Dispatch::new("loss.wgsl", entry)
        .set("len", rows * k)
        .set("rows", rows)
        .set("k", k)
        .set("splits", splits)
        .set("count", rows as f32)
        .set("mixed", u32::from(mixed));
    smoothed(dispatch, smoothing, k)
}

/// Tells a dispatch how labels are smoothed over so many classes.
pub(super) fn smoothed(dispatch: Dispatch, smoothing: f64, k: usize) -> Dispatch {
    dispatch.set("smoothing", smoothing).set("rest", 1.0 - smoothing).set("even", smoothing / k as f64)
}

/// A dispatch of an invocation a row of logits.
fn labelled(entry: &'static str, smoothing: f64, mixed: Mixed, problem: &Problem) -> Dispatch {
    // Where nothing is mixed, operands of these types stand in: the label counts once, and no share is read.
    let [others, shares] = mixed.unwrap_or([Input(1), Input(0)]);
    let [rows, k] = logits_of(problem);
    sized(entry, [rows, k], 1, smoothing, mixed.is_some())
        .bind("logits", Input(0))
        .bind("labels", Input(1))
        .bind("others", others)
        .bind("shares", shares)
        .invocations(rows)
}

/// `part` summed over its splits, divided by the number of rows.
fn mean(part: Operand, loss: Operand, rows: usize, splits: usize) -> Dispatch {
    let dispatch = sized("mean", [rows, 1], splits, 0.0, false).bind("part", part).bind("loss", loss);
    dispatch.invocations(1).trips(split_sum_trips(splits))
}

/// The mean of the rows' losses.
pub(super) fn mean_of_rows(row_loss: Operand, loss: Operand, rows: usize, workspaces: &mut Vec<Spec>) -> Vec<Dispatch> {
    // So many rows one invocation adds up quickly.
    const FEW_ROWS: usize = 1024;
    if rows <= FEW_ROWS {
        return vec![mean(row_loss, loss, rows, rows)];
    }
    let sum = scratch(workspaces, Spec::f32([1]));
    let mut dispatches = column_sums(row_loss, [rows, 1], sum, workspaces);
    dispatches.push(mean(sum, loss, rows, 1));
    dispatches
}

fn logits_of(problem: &Problem) -> [usize; 2] {
    let shape = &problem.inputs[0].shape;
    [shape[0], shape[1]]
}

pub(super) fn cross_entropy(op: &SoftmaxCrossEntropy, problem: &Problem) -> Result<Lowered> {
    rows_and_mean(op.label_smoothing, None, problem)
}

pub(super) fn mixup_cross_entropy(op: &MixupCrossEntropy, problem: &Problem) -> Result<Lowered> {
    rows_and_mean(op.label_smoothing, Some([Input(2), Input(3)]), problem)
}

fn rows_and_mean(smoothing: f64, mixed: Mixed, problem: &Problem) -> Result<Lowered> {
    let [rows, k] = logits_of(problem);
    let losses = labelled("cross_entropy", smoothing, mixed, problem).bind("row_loss", Output(1));
    let mut dispatches = vec![losses.trips(3 * k + 2 * k.div_ceil(256))];
    let mut workspaces = Vec::new();
    dispatches.extend(mean_of_rows(Output(1), Output(0), rows, &mut workspaces));
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

pub(super) fn cross_entropy_and_grad(op: &SoftmaxCrossEntropyAndGrad, problem: &Problem) -> Result<Lowered> {
    let [rows, k] = logits_of(problem);
    let bound = |entry| labelled(entry, op.label_smoothing, None, problem);
    let both = bound("cross_entropy_and_grad")
        .bind("dloss", Input(2))
        .bind("row_loss", Output(0))
        .bind("dlogits", Output(1))
        .trips(4 * k + 2 * k.div_ceil(256));
    let mut dispatches = vec![both];
    if dispatches[0].trips > problem.caps.most_trips() {
        // So many classes that one invocation may not do both.
        let loss = bound("cross_entropy").bind("row_loss", Output(0)).trips(3 * k + 2 * k.div_ceil(256));
        let grad = bound("cross_entropy_grad").bind("dloss", Input(2)).bind("dlogits", Output(1));
        dispatches = vec![loss, grad.trips(3 * k + k.div_ceil(256))];
    }
    let mut workspaces = Vec::new();
    if op.mean {
        dispatches.extend(mean_of_rows(Output(0), Output(2), rows, &mut workspaces));
    }
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

pub(super) fn cross_entropy_grad(op: &SoftmaxCrossEntropyGrad, problem: &Problem) -> Result<Lowered> {
    row_gradients(op.label_smoothing, None, problem)
}

pub(super) fn mixup_cross_entropy_grad(op: &MixupCrossEntropyGrad, problem: &Problem) -> Result<Lowered> {
    row_gradients(op.label_smoothing, Some([Input(3), Input(4)]), problem)
}

fn row_gradients(smoothing: f64, mixed: Mixed, problem: &Problem) -> Result<Lowered> {
    let [_, k] = logits_of(problem);
    let dispatch = labelled("cross_entropy_grad", smoothing, mixed, problem)
        .bind("dloss", Input(2))
        .bind("dlogits", Output(0))
        .trips(3 * k + k.div_ceil(256));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn mse(_op: &MseLoss, problem: &Problem) -> Result<Lowered> {
    let len = problem.inputs[0].len();
    let splits = vector_splits(len);
    let mut workspaces = Vec::new();
    let part = scratch(&mut workspaces, Spec::f32([splits]));
    let squares = sized("square_part", [len, 1], splits, 0.0, false)
        .bind("x", Input(0))
        .bind("goal", Input(1))
        .bind("part_out", part)
        .invocations(splits)
        .trips(vector_trips(len, splits));
    let (part, few, fold) = fold_splits(part, splits, 1, &mut workspaces);
    let mut dispatches = vec![squares];
    dispatches.extend(fold);
    dispatches.push(mean(part, Output(0), len, few));
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

pub(super) fn mse_grad(_op: &MseLossGrad, problem: &Problem) -> Result<Lowered> {
    let len = problem.inputs[0].len();
    let dispatch = sized("mse_grad", [len, 1], 1, 0.0, false)
        .bind("x", Input(0))
        .bind("goal", Input(1))
        .bind("dloss", Input(2))
        .bind("dx", Output(0))
        .invocations(len);
    Ok(Lowered::baseline(vec![dispatch]))
}
