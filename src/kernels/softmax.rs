//! Softmax and its logarithm on the GPU: one invocation a row.

use super::{Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{LogSoftmax, LogSoftmaxGrad, Softmax, SoftmaxGrad};

/// `passes` is how often an invocation walks along its row.
fn dispatch(entry: &'static str, problem: &Problem, axis: usize, passes: usize) -> Dispatch {
    let shape = &problem.outputs[0].shape;
    let (len, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let rows = problem.outputs[0].len() / len.max(1);
    Dispatch::new("softmax.wgsl", entry)
        .set("rows", rows)
        .set("len", len)
        .set("inner", inner)
        .bind("x", Operand::Input(0))
        .bind("y", Operand::Output(0))
        .invocations(rows)
        .trips(passes * len + len.div_ceil(256))
}

fn forward(entry: &'static str, problem: &Problem, axis: usize) -> Result<Lowered> {
    Ok(Lowered::baseline(vec![dispatch(entry, problem, axis, 3)]))
}

fn backward(entry: &'static str, problem: &Problem, axis: usize) -> Result<Lowered> {
    Ok(Lowered::baseline(vec![dispatch(entry, problem, axis, 3).bind("dy", Operand::Input(1))]))
}

pub(super) fn softmax(op: &Softmax, problem: &Problem) -> Result<Lowered> {
    forward("softmax", problem, op.axis)
}

pub(super) fn softmax_grad(op: &SoftmaxGrad, problem: &Problem) -> Result<Lowered> {
    backward("softmax_grad", problem, op.axis)
}

pub(super) fn log_softmax(op: &LogSoftmax, problem: &Problem) -> Result<Lowered> {
    forward("log_softmax", problem, op.axis)
}

pub(super) fn log_softmax_grad(op: &LogSoftmaxGrad, problem: &Problem) -> Result<Lowered> {
    backward("log_softmax_grad", problem, op.axis)
}
