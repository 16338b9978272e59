//! The step counter, the flag and the records of a run on the GPU.

use super::reduce::scratch;
use super::{Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{Advance, Guard, RecordEvaluation, RecordStep};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// Sets every uniform of the file: the shape of the logits, the places of the records, and whether they are added to.
fn sized(entry: &'static str, logits: &[usize], len: usize, adds: bool) -> Dispatch {
    let size = |axis: usize| logits.get(axis).copied().unwrap_or(0);
    let dispatch = Dispatch::new("control.wgsl", entry).set("rows", size(0)).set("k", size(1)).set("len", len);
    dispatch.set("adds", u32::from(adds)).invocations(1)
}

pub(super) fn guard(_op: &Guard, _problem: &Problem) -> Result<Lowered> {
    let dispatch =
        sized("guard", &[], 0, false).bind("control_out", Output(0)).bind("loss", Input(1)).bind("norm", Input(2));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn record_step(op: &RecordStep, problem: &Problem) -> Result<Lowered> {
    let (logits, len) = (&problem.inputs[3].shape, problem.outputs[0].len());
    let mut workspaces = Vec::new();
    let hits = scratch(&mut workspaces, Spec::u32([logits[0]]));
    let dispatches = vec![
        sized("count_hits", logits, len, false)
            .bind("logits", Input(3))
            .bind("labels", Input(4))
            .bind("hits_out", hits)
            .invocations(logits[0])
            .trips(logits[1]),
        sized("record_step", logits, len, op.adds)
            .bind("control", Input(0))
            .bind("loss", Input(1))
            .bind("norm", Input(2))
            .bind("hits", hits)
            .bind("losses", Output(0))
            .bind("norms", Output(1))
            .bind("corrects", Output(2))
            .trips(logits[0]),
    ];
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

pub(super) fn record_evaluation(_op: &RecordEvaluation, problem: &Problem) -> Result<Lowered> {
    let (logits, len) = (&problem.inputs[1].shape, problem.outputs[0].len());
    let dispatch = sized("record_evaluation", logits, len, false)
        .bind("control", Input(0))
        .bind("logits", Input(1))
        .bind("row_loss", Input(2))
        .bind("losses", Output(0))
        .bind("classes", Output(1))
        .invocations(logits[0])
        .trips(logits[1]);
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn advance(_op: &Advance, _problem: &Problem) -> Result<Lowered> {
    let dispatch = sized("advance", &[], 0, false).bind("control_out", Output(0));
    Ok(Lowered::baseline(vec![dispatch]))
}
