//! Sums over rows on the GPU, and the two-stage summation that the other rooms share: partial sums of blocks of rows go
//! to scratch memory, then the blocks are added in order.

use super::{BLOCK, Dispatch, Lowered, Operand, Problem, WORKGROUP};
use crate::error::Result;
use crate::gpu::Caps;
use crate::ops::SumRows;
use crate::tensor::Spec;

const FILE: &str = "reduce.wgsl";

/// How rows are cut for a sum in two stages: `count` splits of `rows` rows each, the last one perhaps shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Splits {
    /// Number of splits.
    pub count: usize,
    /// Rows of a split.
    pub rows: usize,
}

impl Splits {
    /// A split a block, until there are so many that adding them up would take longer than they do.
    pub fn of(rows: usize) -> Self {
        const MANY: usize = 1024;
        const MOST_BLOCKS: usize = 128;
        let blocks = rows.div_ceil(BLOCK).max(1);
        let each = blocks.div_ceil(MANY).min(MOST_BLOCKS);
        Self { count: blocks.div_ceil(each), rows: each * BLOCK }
    }

    /// The most loop iterations of an invocation that sums one split, block by block.
    pub fn trips(self) -> usize {
        self.rows + self.rows.div_ceil(BLOCK)
    }
}

/// The most loop iterations of `split_sum` (shaders/shared/split_sum.wgsl) over so many splits.
pub(super) fn split_sum_trips(splits: usize) -> usize {
    splits + splits.div_ceil(BLOCK)
}

/// A dispatch in which a workgroup adds up what its invocations have so many times (`shaders/shared/fold.wgsl`): with subgroups where
/// there are any.
pub(super) fn folding(dispatch: Dispatch, times: usize, caps: &Caps) -> Dispatch {
    let halvings = WORKGROUP.ilog2() as usize;
    match caps.subgroups {
        false => dispatch.more_trips(times * halvings),
        true => dispatch.link("fold", "shared/fold_subgroups.wgsl").more_trips(times * WORKGROUP),
    }
}

/// out[i] = Σ_s part[s·len + i], in order, in blocks of 256 splits.
pub(super) fn sum_splits(part: Operand, out: Operand, splits: usize, len: usize) -> Dispatch {
    let dispatch = Dispatch::new(FILE, "sum_splits").bind("part", part).bind("out", out);
    sized(dispatch, 0, len, Splits { count: splits, rows: 0 }, 1).trips(split_sum_trips(splits))
}

/// The same of two partial sums, of `len` columns each, in one dispatch.
pub(super) fn sum_both(part: [Operand; 2], out: [Operand; 2], splits: usize, len: [usize; 2]) -> Dispatch {
    Dispatch::new(FILE, "sum_both")
        .bind("part", part[0])
        .bind("part2", part[1])
        .bind("out", out[0])
        .bind("out2", out[1])
        .set("rows", 0u32)
        .set("len", len[0])
        .set("len2", len[1])
        .set("splits", splits)
        .set("rows_per_split", 0u32)
        .invocations(len[0] + len[1])
        .trips(split_sum_trips(splits))
}

/// Sets every uniform of the file, and runs an invocation for each of `len` columns of `out_rows` rows: four of them at a time where
/// they come out even.
fn sized(dispatch: Dispatch, rows: usize, len: usize, splits: Splits, out_rows: usize) -> Dispatch {
    let fours = len.is_multiple_of(4);
    let terms = if fours { len / 4 } else { len };
    let dispatch = if fours { dispatch.constant("Term", "vec4<f32>") } else { dispatch };
    dispatch
        .set("rows", rows)
        .set("len", terms)
        .set("len2", 0u32)
        .set("splits", splits.count)
        .set("rows_per_split", splits.rows)
        .invocations(out_rows * terms)
}

/// A kernel whose splits `make` writes to the operand it is given, followed by their sum, `len` elements, into `out`. A
/// single split is written there at once.
pub(super) fn in_splits(
    splits: usize,
    len: usize,
    out: Operand,
    workspaces: &mut Vec<Spec>,
    make: impl FnOnce(Operand) -> Dispatch,
) -> Vec<Dispatch> {
    if splits == 1 {
        return vec![make(out)];
    }
    let part = scratch(workspaces, Spec::f32([splits, len]));
    vec![make(part), sum_splits(part, out, splits, len)]
}

/// Declares scratch memory.
pub(super) fn scratch(workspaces: &mut Vec<Spec>, spec: Spec) -> Operand {
    workspaces.push(spec);
    Operand::Workspace(workspaces.len() - 1)
}

/// Into how many interleaved splits a vector is cut whose sum is wanted: split s takes the elements s, s + splits, ...
/// Up to 256, or else a multiple of 256 (see [`fold_splits`]).
pub(super) fn vector_splits(len: usize) -> usize {
    const MANY: usize = 1 << 16;
    let blocks = len.div_ceil(BLOCK).max(1);
    if blocks <= BLOCK { blocks } else { blocks.next_multiple_of(BLOCK).min(MANY) }
}

/// The most loop iterations of an invocation that sums one of `splits` interleaved splits.
pub(super) fn vector_trips(len: usize, splits: usize) -> usize {
    let terms = len.div_ceil(splits);
    terms + terms.div_ceil(BLOCK)
}

/// Makes few splits of many: adds `part [splits, width]` up to `[256, width]` in scratch memory when there are more. Answers
/// where they are now, how many, and the dispatch that does it.
pub(super) fn fold_splits(
    part: Operand,
    splits: usize,
    width: usize,
    workspaces: &mut Vec<Spec>,
) -> (Operand, usize, Option<Dispatch>) {
    if splits <= BLOCK {
        return (part, splits, None);
    }
    let folded = scratch(workspaces, Spec::f32([BLOCK, width]));
    (folded, BLOCK, Some(sum_splits(part, folded, splits / BLOCK, BLOCK * width)))
}

/// The sums of the columns of `x [rows, len]`.
pub(super) fn column_sums(
    x: Operand,
    [rows, len]: [usize; 2],
    out: Operand,
    workspaces: &mut Vec<Spec>,
) -> Vec<Dispatch> {
    let splits = Splits::of(rows);
    in_splits(splits.count, len, out, workspaces, |part| row_sums(x, [rows, len], splits, part))
}

/// The sums of the columns of `x [rows, len]` over the rows of each split.
pub(super) fn row_sums(x: Operand, [rows, len]: [usize; 2], splits: Splits, out: Operand) -> Dispatch {
    let dispatch = Dispatch::new(FILE, "sum_rows").bind("x", x).bind("out", out);
    sized(dispatch, rows, len, splits, splits.count).trips(splits.trips())
}

pub(super) fn sum_rows(_op: &SumRows, problem: &Problem) -> Result<Lowered> {
    let len = problem.outputs[0].len();
    let rows = problem.inputs[0].len() / len.max(1);
    let mut workspaces = Vec::new();
    let dispatches = column_sums(Operand::Input(0), [rows, len], Operand::Output(0), &mut workspaces);
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_cover_all_rows_and_stay_short() {
        for rows in [1, 255, 256, 257, 65_536, 65_537, 262_145, 50_000_000, 500_000_000] {
            let splits = Splits::of(rows);
            assert!(
                splits.count * splits.rows >= rows && (splits.count - 1) * splits.rows < rows,
                "{rows}: {splits:?}"
            );
            assert!(splits.trips() < 60_000 && split_sum_trips(splits.count) < 60_000, "{rows}: {splits:?}");
        }
    }

    #[test]
    fn vectors_are_cut_into_splits_that_fold() {
        for len in [1, 256, 257, 65_536, 65_537, 1 << 24, (1 << 31) - 1] {
            let splits = vector_splits(len);
            assert!(splits <= 256 || splits.is_multiple_of(256), "{len}: {splits}");
            assert!(vector_trips(len, splits) < 60_000, "{len}: {splits}");
        }
    }
}
