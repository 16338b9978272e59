//! Which channels have an element that is not zero, on the GPU.

use super::reduce::{Splits, scratch};
use super::{Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::Alive;
use crate::tensor::Spec;

use Operand::{Input, Output};

pub(super) fn alive(_op: &Alive, problem: &Problem) -> Result<Lowered> {
    let c = problem.outputs[0].len();
    let rows = problem.inputs[0].len() / c.max(1);
    let splits = Splits::of(rows);
    let dispatch = |x: Operand, out: Operand, [rows, splits, rows_per_split]: [usize; 3]| {
        Dispatch::new("alive.wgsl", "alive")
            .set("rows", rows)
            .set("c", c)
            .set("splits", splits)
            .set("rows_per_split", rows_per_split)
            .bind("x", x)
            .bind("out", out)
            .invocations(splits * c)
            .trips(rows_per_split)
    };
    if splits.count == 1 {
        return Ok(Lowered::baseline(vec![dispatch(Input(0), Output(0), [rows, 1, rows])]));
    }
    let mut workspaces = Vec::new();
    let part = scratch(&mut workspaces, Spec::f32([splits.count, c]));
    let dispatches = vec![
        dispatch(Input(0), part, [rows, splits.count, splits.rows]),
        dispatch(part, Output(0), [splits.count, 1, splits.count]),
    ];
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}
