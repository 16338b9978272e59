//! What stands between the gradients of a step and its update: `shaders/control_settle.wgsl`.

use std::ops::Range;

use super::optimizer::ranges;
use super::reduce::{folding, scratch, split_sum_trips, vector_trips};
use super::{Dispatch, Lowered, Operand, Problem, WORKGROUP};
use crate::error::Result;
use crate::gpu::Caps;
use crate::ops::Settle;
use crate::tensor::Spec;

use Operand::{Input, Output};

/// The sizes of a problem.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    classes: usize,
    steps: usize,
    places: usize,
    /// Workgroups that the gradient takes, all ranges together.
    groups: usize,
}

/// A range of the gradient, its first workgroup among all and how many it takes.
#[derive(Debug, Clone)]
struct Part {
    range: Range<usize>,
    first: usize,
    groups: usize,
}

/// How a gradient of so many elements is cut, which come so many at a time: a few of them an invocation, where that are not too many
/// sums to add up.
fn parts(len: usize, each: usize, caps: &Caps) -> Vec<Part> {
    const MOST: usize = 1024;
    // Workgroups cost more on processors, and are never many at a time.
    let few = if caps.cpu { 64 } else { 1 };
    let mut first = 0;
    let part = |range: Range<usize>| {
        let groups = (range.len() / each).div_ceil(few * WORKGROUP).clamp(1, MOST);
        first += groups;
        Part { range, first: first - groups, groups }
    };
    ranges(len, caps).into_iter().map(part).collect()
}

impl Sizes {
    fn row_groups(&self) -> usize {
        self.rows.div_ceil(WORKGROUP)
    }

    /// Sets every uniform of the file but the first element of a range: rows are summed if `rows` says so.
    fn dispatch(&self, entry: &'static str, len: usize, [first, groups]: [usize; 2], rows: bool) -> Dispatch {
        Dispatch::new("control_settle.wgsl", entry)
            .set("len", len)
            .set("first_group", first)
            .set("splits", groups * WORKGROUP)
            .set("rows", self.rows)
            .set("k", self.classes)
            .set("row_groups", if rows { self.row_groups() } else { 0 })
            .set("rows_at", self.groups)
            .set("steps", self.steps)
            .set("places", self.places)
    }

    /// The sums over a range of the gradient, and over the rows behind the first one.
    fn part(&self, op: &Settle, part: Part, each: usize, out: Operand, caps: &Caps) -> Dispatch {
        let Part { range, first, groups } = part;
        let (len, rows) = (range.len() / each, first == 0);
        let dispatch = self.dispatch("settle_part", len, [first, groups], rows);
        let dispatch = if each == 4 { dispatch.link("elements1", "shared/elements4.wgsl") } else { dispatch };
        let dispatch = dispatch.set("first", range.start);
        let dispatch = match op.parts {
            None => dispatch.bind_range("grad", Input(4), range),
            Some(_) => dispatch
                .link("gradient_whole", "shared/gradient_parts.wgsl")
                .bind_range("grad", Output(6), range)
                .bind("sums", Input(9))
                .bind("places", Input(10)),
        };
        let terms = vector_trips(len, groups * WORKGROUP) * (1 + op.parts.map_or(0, split_sum_trips));
        let dispatch = dispatch
            .bind("row_loss", Input(1))
            .bind("logits", Input(2))
            .bind("labels", Input(3))
            .bind("part_out", out)
            .workgroups(groups + if rows { self.row_groups() } else { 0 })
            .trips(terms.max(self.classes));
        folding(dispatch, 1, caps)
    }
}

pub(super) fn settle(op: &Settle, problem: &Problem) -> Result<Lowered> {
    let (logits, len) = (&problem.inputs[2].shape, problem.inputs[4].len());
    // Ranges begin at multiples of four, so if one has a length of fours, all of them have. Partial sums lie anywhere.
    let each = if op.parts.is_none() && len.is_multiple_of(4) { 4 } else { 1 };
    let parts = parts(len, each, problem.caps);
    let groups = parts.iter().map(|part| part.groups).sum();
    let (steps, places) = (problem.inputs[5].shape[0], problem.outputs[3].len());
    let sizes = Sizes { rows: logits[0], classes: logits[1], steps, places, groups };
    let (mut workspaces, all) = (Vec::new(), groups + sizes.row_groups());
    let out = scratch(&mut workspaces, Spec::f32([all, 2]));
    let mut dispatches: Vec<_> = parts.into_iter().map(|part| sizes.part(op, part, each, out, problem.caps)).collect();
    let last = sizes.dispatch("settle", 0, [0, 0], true);
    let last = last
        .set("first", 0u32)
        .bind("part", out)
        .bind("rates", Input(5))
        .bind("control", Output(0))
        .bind("norm", Output(1))
        .bind("rates_now", Output(2))
        .bind("losses", Output(3))
        .bind("norms", Output(4))
        .bind("corrects", Output(5))
        .workgroups(1)
        .trips(all.div_ceil(WORKGROUP) + 2);
    dispatches.push(folding(last, 2, problem.caps));
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}
