//! Sums, products, copies and permutations on the GPU.

use super::activation::epilogue;
use super::{Dispatch, EACH, Lowered, Operand, Problem};
use crate::error::{Error, Result};
use crate::ops::{Activation, Concat, Copy, Flatten, FlattenGrad, Mul, Operator, Slice};
use crate::tensor::{DType, Spec};

const FILE: &str = "elementwise.wgsl";

/// Rows of the smaller tensor inside rows of the larger one.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    chunk: usize,
    stride: usize,
    start: usize,
}

/// Sets every uniform of the file.
fn sized(entry: &'static str, len: usize, window: Window, [pixels, c]: [usize; 2]) -> Dispatch {
    activated(entry, None, len, window, [pixels, c])
}

/// The same, with an activation that is applied to what is written.
fn activated(
    entry: &'static str,
    activation: Option<Activation>,
    len: usize,
    window: Window,
    [pixels, c]: [usize; 2],
) -> Dispatch {
    epilogue(Dispatch::new(FILE, entry), activation)
        .set("len", len)
        .set("chunk", window.chunk)
        .set("stride", window.stride)
        .set("start", window.start)
        .set("pixels", pixels)
        .set("c", c)
        .invocations(len)
}

fn pairwise(entry: &'static str, activation: Option<Activation>, problem: &Problem) -> Result<Lowered> {
    let dispatch = activated(entry, activation, problem.outputs[0].len(), Window::default(), [0, 0])
        .bind("a", Operand::Input(0))
        .bind("b", Operand::Input(1))
        .bind("y", Operand::Output(0))
        .invocations(problem.outputs[0].len().div_ceil(EACH));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn add(activation: Option<Activation>, problem: &Problem) -> Result<Lowered> {
    pairwise("add", activation, problem)
}

pub(super) fn mul(_op: &Mul, problem: &Problem) -> Result<Lowered> {
    pairwise("mul", None, problem)
}

/// Moves happen in words of four bytes.
fn expect_words(op: &impl Operator, spec: &Spec) -> Result<()> {
    match spec.dtype {
        DType::F32 | DType::U32 => Ok(()),
        DType::U8 => Err(Error::shape(op.name(), "moves floats and integers on a GPU, not bytes")),
    }
}

/// Reads rows of `window` out of the larger tensor.
fn cut(op: &impl Operator, problem: &Problem, window: Window) -> Result<Lowered> {
    expect_words(op, &problem.inputs[0])?;
    let dispatch = sized("cut", problem.outputs[0].len(), window, [0, 0])
        .bind("source", Operand::Input(0))
        .bind("destination", Operand::Output(0));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn copy(op: &Copy, problem: &Problem) -> Result<Lowered> {
    let len = problem.outputs[0].len();
    cut(op, problem, Window { chunk: len.max(1), stride: len, start: 0 })
}

pub(super) fn slice(op: &Slice, problem: &Problem) -> Result<Lowered> {
    let shape = &problem.inputs[0].shape;
    let inner: usize = shape[op.axis + 1..].iter().product();
    let window = Window { chunk: (op.len * inner).max(1), stride: shape[op.axis] * inner, start: op.start * inner };
    cut(op, problem, window)
}

pub(super) fn concat(op: &Concat, problem: &Problem) -> Result<Lowered> {
    let shape = &problem.outputs[0].shape;
    let inner: usize = shape[op.axis + 1..].iter().product();
    let (mut dispatches, mut start) = (Vec::new(), 0);
    for (number, input) in problem.inputs.iter().enumerate() {
        expect_words(op, input)?;
        let chunk = input.shape[op.axis] * inner;
        if input.is_empty() {
            continue;
        }
        let window = Window { chunk, stride: shape[op.axis] * inner, start };
        let dispatch = sized("place", input.len(), window, [0, 0])
            .bind("source", Operand::Input(number))
            .bind("destination", Operand::Output(0));
        dispatches.push(dispatch);
        start += chunk;
    }
    Ok(Lowered::baseline(dispatches))
}

fn permute(entry: &'static str, problem: &Problem, [h, w, c]: [usize; 3]) -> Result<Lowered> {
    let dispatch = sized(entry, problem.outputs[0].len(), Window::default(), [h * w, c])
        .bind("a", Operand::Input(0))
        .bind("y", Operand::Output(0));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn flatten(_op: &Flatten, problem: &Problem) -> Result<Lowered> {
    let shape = &problem.inputs[0].shape;
    permute("flatten", problem, [shape[1], shape[2], shape[3]])
}

pub(super) fn flatten_grad(op: &FlattenGrad, problem: &Problem) -> Result<Lowered> {
    permute("flatten_grad", problem, op.image)
}
