//! Dropout on the GPU.

use super::{Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::Dropout;

pub(super) fn forward(op: &Dropout, problem: &Problem) -> Result<Lowered> {
    let len = problem.outputs[0].len();
    let dispatch = Dispatch::new("dropout.wgsl", "forward")
        .set("len", len)
        .set("seed", op.seed)
        .set("first", op.first)
        .set("threshold", op.threshold())
        .set("scale", op.scale() as f32)
        .bind("x", Operand::Input(0))
        .bind("control", Operand::Input(1))
        .bind("y", Operand::Output(0))
        .invocations(len);
    Ok(Lowered::baseline(vec![dispatch]))
}
