//! The batch of a step on the GPU, a dispatch a shard.

use super::{Dispatch, Lowered, Operand, Problem, WORKGROUP};
use crate::error::{Error, Result};
use crate::ops::GatherBatch;

use Operand::{Input, Output};

const SCALES: [&str; 4] = ["scale0", "scale1", "scale2", "scale3"];
const OFFSETS: [&str; 4] = ["offset0", "offset1", "offset2", "offset3"];

/// Sets every uniform of the file; `first` and `rows` are the shard's.
fn sized(entry: &'static str, op: &GatherBatch, image: &[usize], [first, rows]: [usize; 2]) -> Dispatch {
    let mut dispatch = Dispatch::new("batch.wgsl", entry)
        .set("batch", op.batch)
        .set("taken", op.rows.len())
        .set("first_row", op.rows.start)
        .set("len", op.len)
        .set("shuffle", u32::from(op.shuffle.is_some()))
        .set("seed", op.shuffle.unwrap_or(0))
        .set("size", image.iter().product::<usize>())
        .set("c", image.last().copied().unwrap_or(1))
        .set("first", first)
        .set("rows", rows);
    for channel in 0..SCALES.len() {
        dispatch = dispatch
            .set(SCALES[channel], op.scale.get(channel).copied().unwrap_or(0.0))
            .set(OFFSETS[channel], op.offset.get(channel).copied().unwrap_or(0.0));
    }
    dispatch
}

pub(super) fn gather(op: &GatherBatch, problem: &Problem) -> Result<Lowered> {
    // Cycle walking ends after a few rounds of the network; six iterations each.
    const WALK: usize = 6 * 1000;
    // Elements or words of an invocation: enough of them to be worth looking for the image.
    const EACH: usize = 8;
    if op.scale.len() > SCALES.len() {
        let problem = format!("takes images of at most 4 channels on a GPU, got {}", op.scale.len());
        return Err(Error::shape("gather_batch", problem));
    }
    let image = &problem.outputs[0].shape[1..];
    // Four bytes a word: whole words, where an image begins with one.
    let size: usize = image.iter().product();
    let (entry, x, units) = match size.is_multiple_of(4) {
        true => ("gather_words", "fours", size / 4),
        false => ("gather", "x", size),
    };
    let parts = units.div_ceil(EACH * WORKGROUP).max(1);
    let mut dispatches = Vec::new();
    let mut first = 0;
    for (number, shard) in problem.inputs.iter().enumerate().skip(2) {
        let dispatch = sized(entry, op, image, [first, shard.shape[0]])
            .set("parts", parts)
            .bind("control", Input(0))
            .bind("labels", Input(1))
            .bind("shard", Input(number))
            .bind("y", Output(1))
            .bind(x, Output(0))
            .workgroups(op.rows.len() * parts)
            .trips(WALK + units.div_ceil(WORKGROUP * parts));
        dispatches.push(dispatch);
        first += shard.shape[0];
    }
    Ok(Lowered::baseline(dispatches))
}
