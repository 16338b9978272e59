//! What can be told of a tensor while a network trains, on the GPU.

use super::reduce::scratch;
use super::{BLOCK, Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::statistics::{BINS, COUNTS, FIGURES, LANES, QUAD, SAMPLE};
use crate::ops::{MergeStatistics, Statistics};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// A dispatch over so many rows; `part` is what the entry that looks at elements is told: how, and whether it subtracts.
fn dispatch(entry: &'static str, rows: usize, part: Option<(&Statistics, bool)>) -> Dispatch {
    let [low, high] = part.map_or(Statistics::UNBOUNDED, |(op, _)| op.bounds);
    Dispatch::new("statistics.wgsl", entry)
        .set("rows", rows)
        .set("subtract", u32::from(part.is_some_and(|(_, subtract)| subtract)))
        .set("histogram", u32::from(part.is_some_and(|(op, _)| op.histogram)))
        .set("low", low)
        .set("high", high)
}

/// Quads that an invocation looks at together.
const HELD: usize = 2;

/// The most loop iterations over the blocks of a row's quads, over the quads that are looked at together, and over an
/// invocation's samples.
fn part_trips(longest: usize, histogram: bool) -> usize {
    let quads = longest.div_ceil(QUAD);
    let (each, samples) = (quads.div_ceil(LANES), if histogram { quads.div_ceil(SAMPLE) } else { 0 });
    each.div_ceil(BLOCK / QUAD) + each.div_ceil(HELD) + samples.div_ceil(LANES)
}

/// The most loop iterations that make one record of so many: their counts, then their figures in blocks.
fn merge_trips(records: usize) -> usize {
    2 * records + records.div_ceil(BLOCK)
}

pub(super) fn statistics(op: &Statistics, problem: &Problem) -> Result<Lowered> {
    let (rows, subtract) = (problem.inputs[1].shape[0], problem.inputs.len() > 2);
    let dispatch = dispatch("part", rows, Some((op, subtract)));
    let dispatch = if op.whole { dispatch.link("quads_apart", "shared/quads_whole.wgsl") } else { dispatch };
    let dispatch = dispatch
        .bind("x", Input(0))
        // What is bound here is not read where nothing is subtracted.
        .bind("before", Input(if subtract { 2 } else { 0 }))
        .bind("table", Input(1))
        .bind("figures_out", Output(0))
        .bind("counts_out", Output(1))
        .bind("bins_out", Output(2))
        .workgroups(rows)
        .trips(part_trips(op.longest, op.histogram));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn merge(op: &MergeStatistics, problem: &Problem) -> Result<Lowered> {
    let tensors = problem.inputs[3].shape[0];
    let mut workspaces = Vec::new();
    let figures = scratch(&mut workspaces, Spec::f32([tensors, LANES, FIGURES]));
    let counts = scratch(&mut workspaces, Spec::u32([tensors, LANES, COUNTS]));
    let rows = dispatch("merge_rows", tensors, None)
        .bind("figures", Input(0))
        .bind("counts", Input(1))
        .bind("bins", Input(2))
        .bind("table", Input(3))
        .bind("figures_out", figures)
        .bind("counts_out", counts)
        .bind("bins_out", Output(2))
        .bind("seen_out", Output(3))
        .invocations(tensors * BINS)
        .trips(merge_trips(op.most) + op.most);
    let lanes = dispatch("merge_lanes", tensors, None)
        .bind("figures", figures)
        .bind("counts", counts)
        .bind("figures_out", Output(0))
        .bind("counts_out", Output(1))
        .invocations(tensors)
        .trips(merge_trips(LANES));
    Ok(Lowered { workspaces, ..Lowered::baseline(vec![rows, lanes]) })
}
