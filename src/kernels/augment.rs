//! Augmentation on the GPU: what is drawn first, then the pixels; and mixtures of images.

use super::{Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{Augment, AugmentDraw, Mixup};

use Operand::{Input, Output};

/// What a dispatch draws from: the stream, the first image's place in the whole batch, and the rows of its table.
type Stream = (u32, u32, usize);

/// Sets every uniform of the file; those of an operator that it does not compute to 0, which nothing reads then.
fn sized(
    entry: &'static str,
    [n, h, w, c]: [usize; 4],
    (seed, first, rows): Stream,
    draw: Option<&AugmentDraw>,
    augment: Option<&Augment>,
) -> Dispatch {
    let amount = |get: fn(&AugmentDraw) -> f64| draw.map_or(0.0, get);
    Dispatch::new("augment.wgsl", entry)
        .set("n", n)
        .set("h", h)
        .set("w", w)
        .set("c", c)
        .set("seed", seed)
        .set("first", first)
        .set("rows", rows)
        .set("flip", u32::from(draw.is_some_and(|op| op.flip)))
        .set("crop", draw.map_or(0, |op| op.crop))
        .set("scale", amount(|op| op.scale))
        .set("contrast", amount(|op| op.contrast))
        .set("brightness", amount(|op| op.brightness))
        .set("cutout", augment.map_or(0, |op| op.cutout))
        .set("outside", augment.map_or(0.0, |op| op.fill))
}

fn image_of(problem: &Problem) -> [usize; 4] {
    let shape = &problem.inputs[0].shape;
    [shape[0], shape[1], shape[2], shape[3]]
}

pub(super) fn draw(op: &AugmentDraw, problem: &Problem) -> Result<Lowered> {
    let [h, w] = op.image;
    let stream = (op.seed, op.first, problem.inputs[1].shape[0]);
    let dispatch = sized("draw", [op.batch, h, w, 1], stream, Some(op), None)
        .bind("control", Input(0))
        .bind("turns", Input(1))
        .bind("table_out", Output(0))
        .invocations(op.batch);
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn augment(op: &Augment, problem: &Problem) -> Result<Lowered> {
    let [n, h, w, c] = image_of(problem);
    let dispatch = sized("augment", [n, h, w, c], (0, 0, 0), None, Some(op))
        .bind("x", Input(0))
        .bind("table", Input(1))
        .bind("y", Output(0))
        .invocations(n * h * w)
        .trips(c);
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn mixup(op: &Mixup, problem: &Problem) -> Result<Lowered> {
    let dispatch = sized("mixup", image_of(problem), (op.seed, op.first, problem.inputs[3].len()), None, None)
        .bind("x", Input(0))
        .bind("labels", Input(1))
        .bind("control", Input(2))
        .bind("shares_of", Input(3))
        .bind("y", Output(0))
        .bind("others", Output(1))
        .bind("shares", Output(2))
        .invocations(problem.outputs[0].len());
    Ok(Lowered::baseline(vec![dispatch]))
}
