//! What stands between the gradients of a step and its update: `shaders/control_settle.wgsl`.

use super::optimizer::{NormPart, norm_parts};
use super::reduce::{scratch, split_sum_trips, sum_splits, vector_trips};
use super::{BLOCK, Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::Settle;
use crate::tensor::Spec;

use Operand::{Input, Output};

/// The sizes of a problem.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    classes: usize,
    /// Into so many parts the rows are cut.
    row_parts: usize,
    steps: usize,
    places: usize,
}

impl Sizes {
    fn of(problem: &Problem) -> Self {
        let (logits, rows) = (&problem.inputs[2].shape, problem.inputs[2].shape[0]);
        let row_parts = rows.min(BLOCK).max(rows.div_ceil(BLOCK));
        let (steps, places) = (problem.inputs[5].shape[0], problem.outputs[3].len());
        Self { rows, classes: logits[1], row_parts, steps, places }
    }

    /// Sets every uniform of the file: rows are summed if `rows` says so.
    fn dispatch(&self, entry: &'static str, len: usize, splits: [usize; 2], rows_at: usize, rows: bool) -> Dispatch {
        Dispatch::new("control_settle.wgsl", entry)
            .set("len", len)
            .set("first_split", splits[0])
            .set("splits", splits[1])
            .set("rows", self.rows)
            .set("k", self.classes)
            .set("row_parts", if rows { self.row_parts } else { 0 })
            .set("rows_at", rows_at)
            .set("steps", self.steps)
            .set("places", self.places)
    }

    /// The sums over a range of the gradient, over the rows, or over both.
    fn part(&self, part: NormPart, fours: bool, rows_at: Option<usize>, out: Operand) -> Dispatch {
        let NormPart { range, first, splits } = part;
        let len = range.len() / if fours { 4 } else { 1 };
        let row_parts = rows_at.map_or(0, |_| self.row_parts);
        let of_rows = self.rows.div_ceil(self.row_parts) * self.classes;
        let of_range = if splits > 0 { vector_trips(len, splits) } else { 0 };
        let dispatch = self.dispatch("settle_part", len, [first, splits], rows_at.unwrap_or(0), rows_at.is_some());
        let dispatch = if fours { dispatch.link("elements1", "shared/elements4.wgsl") } else { dispatch };
        dispatch
            .bind("row_loss", Input(1))
            .bind("logits", Input(2))
            .bind("labels", Input(3))
            .bind_range("grad", Input(4), range)
            .bind("part_out", out)
            .invocations(splits + row_parts)
            .trips(if row_parts > 0 { of_range.max(of_rows) } else { of_range })
    }
}

pub(super) fn settle(_op: &Settle, problem: &Problem) -> Result<Lowered> {
    let sizes = Sizes::of(problem);
    let len = problem.inputs[4].len();
    let fours = len.is_multiple_of(4);
    let mut parts = norm_parts(len, problem.caps);
    let splits: usize = parts.iter().map(|part| part.splits).sum();
    let (mut workspaces, mut dispatches) = (Vec::new(), Vec::new());
    let few = splits.min(BLOCK);
    let all = scratch(&mut workspaces, Spec::f32([few + sizes.row_parts, 2]));
    if parts.len() == 1 && splits <= BLOCK {
        dispatches.push(sizes.part(parts.remove(0), fours, Some(few), all));
    } else {
        // The squares are folded to where those of a smaller gradient would be, and the rows come beside them.
        let many = scratch(&mut workspaces, Spec::f32([splits, 2]));
        let none = NormPart { splits: 0, first: 0, ..parts[0].clone() };
        dispatches.extend(parts.into_iter().map(|part| sizes.part(part, fours, None, many)));
        dispatches.push(sum_splits(many, all, splits / BLOCK, 2 * BLOCK));
        dispatches.push(sizes.part(none, fours, Some(few), all));
    }
    let last = sizes.dispatch("settle", 0, [0, few], few, true);
    dispatches.push(
        last.bind("part", all)
            .bind("rates", Input(5))
            .bind("control", Output(0))
            .bind("norm", Output(1))
            .bind("rates_now", Output(2))
            .bind("losses", Output(3))
            .bind("norms", Output(4))
            .bind("corrects", Output(5))
            .invocations(1)
            .trips(split_sum_trips(few) + split_sum_trips(sizes.row_parts)),
    );
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}
