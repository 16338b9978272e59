//! Group and layer normalisation on the GPU: statistics in two stages each, then the image. Layer normalisation is the case
//! of one pixel and one group.

use super::reduce::{Splits, in_splits, scratch, split_sum_trips, sum_splits};
use super::{Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{GroupNorm, GroupNormGrad, LayerNorm, LayerNormGrad};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// Images of pixels of channels, the channels in groups; a row is a group of an image.
struct Sizes {
    n: usize,
    pixels: usize,
    c: usize,
    groups: usize,
    eps: f64,
}

impl Sizes {
    fn image(x: &Spec, groups: usize, eps: f64) -> Self {
        Self { n: x.shape[0], pixels: x.shape[1] * x.shape[2], c: x.shape[3], groups, eps }
    }

    fn last_axis(x: &Spec, eps: f64) -> Self {
        let c = x.shape.last().copied().unwrap_or(1).max(1);
        Self { n: x.len() / c, pixels: 1, c, groups: 1, eps }
    }

    fn rows(&self) -> usize {
        self.n * self.groups
    }

    /// How the elements of a row are cut.
    fn row_splits(&self) -> Splits {
        Splits::of(self.pixels * (self.c / self.groups))
    }

    /// Sets every uniform of the file.
    fn dispatch(&self, entry: &'static str, splits: Splits) -> Dispatch {
        Dispatch::new("group_norm.wgsl", entry)
            .set("n", self.n)
            .set("pixels", self.pixels)
            .set("c", self.c)
            .set("groups", self.groups)
            .set("splits", splits.count)
            .set("per_split", splits.rows)
            .set("eps", self.eps)
    }

    /// One invocation a row of a split.
    fn part(&self, entry: &'static str) -> Dispatch {
        let splits = self.row_splits();
        self.dispatch(entry, splits).invocations(splits.count * self.rows()).trips(splits.trips())
    }

    /// One invocation a row, which adds up the splits.
    fn finish(&self, entry: &'static str) -> Dispatch {
        let splits = self.row_splits();
        self.dispatch(entry, splits).invocations(self.rows()).trips(split_sum_trips(splits.count))
    }

    /// One invocation an element.
    fn elements(&self, entry: &'static str) -> Dispatch {
        self.dispatch(entry, self.row_splits()).invocations(self.n * self.pixels * self.c)
    }

    fn lower_forward(&self) -> Lowered {
        let mut workspaces = Vec::new();
        let part = scratch(&mut workspaces, Spec::f32([self.row_splits().count, self.rows()]));
        let dispatches = vec![
            self.part("shift_part").bind("x", Input(0)).bind("part_out", part),
            self.finish("mean_finish").bind("x", Input(0)).bind("part", part).bind("mean_out", Output(1)),
            self.part("square_part").bind("x", Input(0)).bind("mean", Output(1)).bind("part_out", part),
            self.finish("rstd_finish").bind("part", part).bind("rstd_out", Output(2)),
            self.elements("forward")
                .bind("x", Input(0))
                .bind("weight", Input(1))
                .bind("bias", Input(2))
                .bind("mean", Output(1))
                .bind("rstd", Output(2))
                .bind("y", Output(0)),
        ];
        Lowered { workspaces, ..Lowered::baseline(dispatches) }
    }

    fn lower_grad(&self) -> Lowered {
        let mut workspaces = Vec::new();
        let saved = |dispatch: Dispatch| {
            dispatch.bind("x", Input(0)).bind("mean", Input(2)).bind("rstd", Input(3)).bind("dy", Input(4))
        };
        let sums = scratch(&mut workspaces, Spec::f32([2, self.rows()]));
        let mut dispatches = in_splits(self.row_splits().count, 2 * self.rows(), sums, &mut workspaces, |part| {
            saved(self.part("row_part")).bind("weight", Input(1)).bind("part_out", part)
        });
        dispatches.push(saved(self.elements("grad")).bind("weight", Input(1)).bind("sums", sums).bind("y", Output(0)));
        let splits = Splits::of(self.n * self.pixels);
        let channels =
            saved(self.dispatch("channel_part", splits)).invocations(splits.count * self.c).trips(splits.trips());
        if splits.count == 1 {
            dispatches.push(channels.bind("part_w", Output(1)).bind("part_b", Output(2)));
        } else {
            let part_w = scratch(&mut workspaces, Spec::f32([splits.count, self.c]));
            let part_b = scratch(&mut workspaces, Spec::f32([splits.count, self.c]));
            dispatches.push(channels.bind("part_w", part_w).bind("part_b", part_b));
            dispatches.push(sum_splits(part_w, Output(1), splits.count, self.c));
            dispatches.push(sum_splits(part_b, Output(2), splits.count, self.c));
        }
        Lowered { workspaces, ..Lowered::baseline(dispatches) }
    }
}

pub(super) fn forward(op: &GroupNorm, problem: &Problem) -> Result<Lowered> {
    Ok(Sizes::image(&problem.inputs[0], op.groups, op.eps).lower_forward())
}

pub(super) fn grad(op: &GroupNormGrad, problem: &Problem) -> Result<Lowered> {
    Ok(Sizes::image(&problem.inputs[0], op.groups, 0.0).lower_grad())
}

pub(super) fn layer_forward(op: &LayerNorm, problem: &Problem) -> Result<Lowered> {
    Ok(Sizes::last_axis(&problem.inputs[0], op.eps).lower_forward())
}

pub(super) fn layer_grad(_op: &LayerNormGrad, problem: &Problem) -> Result<Lowered> {
    Ok(Sizes::last_axis(&problem.inputs[0], 0.0).lower_grad())
}
