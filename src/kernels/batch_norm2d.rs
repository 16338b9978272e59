//! Batch normalisation on the GPU: statistics in two stages each (mean, then centred squares), then the image.

use super::activation::epilogue;
use super::reduce::{Splits, scratch, split_sum_trips, sum_both};
use super::{Dispatch, EACH, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{Activation, BatchNorm2d, BatchNorm2dEval, BatchNorm2dEvalGrad, BatchNorm2dGrad, RunningStats};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// Rows (pixels of all images) of channels.
struct Sizes {
    rows: usize,
    c: usize,
    splits: Splits,
    eps: f64,
    momentum: f64,
}

impl Sizes {
    fn of(x: &Spec, eps: f64) -> Self {
        let c = x.shape.last().copied().unwrap_or(1).max(1);
        let rows = x.len() / c;
        Self { rows, c, splits: Splits::of(rows), eps, momentum: 0.0 }
    }

    /// Sets every uniform of the file.
    fn dispatch(&self, entry: &'static str) -> Dispatch {
        self.activated(entry, None)
    }

    /// The same, with an activation that is applied to what is written.
    fn activated(&self, entry: &'static str, activation: Option<Activation>) -> Dispatch {
        epilogue(Dispatch::new("batch_norm2d.wgsl", entry), activation)
            .set("rows", self.rows)
            .set("c", self.c)
            .set("splits", self.splits.count)
            .set("rows_per_split", self.splits.rows)
            .set("eps", self.eps)
            .set("momentum", self.momentum)
            .set("rest", 1.0 - self.momentum)
    }

    /// One invocation a channel of a split.
    fn part(&self, entry: &'static str) -> Dispatch {
        self.dispatch(entry).invocations(self.splits.count * self.c).trips(self.splits.trips())
    }

    /// One invocation a channel, which adds up the splits.
    fn finish(&self, entry: &'static str) -> Dispatch {
        self.dispatch(entry).invocations(self.c).trips(split_sum_trips(self.splits.count))
    }

    /// One invocation for [`EACH`] elements of the image.
    fn image(&self, entry: &'static str, activation: Option<Activation>) -> Dispatch {
        self.activated(entry, activation).invocations((self.rows * self.c).div_ceil(EACH))
    }

    /// The gradients of weight and bias, outputs 1 and 2, from the splits that `part` computes.
    fn weight_gradients(&self, part: Dispatch, workspaces: &mut Vec<Spec>) -> Vec<Dispatch> {
        let count = self.splits.count;
        if count == 1 {
            return vec![part.bind("part_w", Output(1)).bind("part_b", Output(2))];
        }
        let part_w = scratch(workspaces, Spec::f32([count, self.c]));
        let part_b = scratch(workspaces, Spec::f32([count, self.c]));
        vec![
            part.bind("part_w", part_w).bind("part_b", part_b),
            sum_both([part_w, part_b], [Output(1), Output(2)], count, [self.c; 2]),
        ]
    }
}

pub(super) fn forward(op: &BatchNorm2d, activation: Option<Activation>, problem: &Problem) -> Result<Lowered> {
    let mut lowered = statistics(&problem.inputs[0], op.eps);
    let image = Sizes::of(&problem.inputs[0], op.eps)
        .image("forward", activation)
        .bind("x", Input(0))
        .bind("weight", Input(1))
        .bind("bias", Input(2))
        .bind("mean", Output(1))
        .bind("rstd", Output(2))
        .bind("y", Output(0));
    lowered.dispatches.push(image);
    Ok(lowered)
}

/// What normalises each channel of the image `x`, input 0: outputs 1 to 3.
pub(super) fn statistics(x: &Spec, eps: f64) -> Lowered {
    let sizes = Sizes::of(x, eps);
    let mut workspaces = Vec::new();
    let part = scratch(&mut workspaces, Spec::f32([sizes.splits.count, sizes.c]));
    let dispatches = vec![
        sizes.part("shift_part").bind("x", Input(0)).bind("part_out", part),
        sizes.finish("mean_finish").bind("x", Input(0)).bind("part", part).bind("mean_out", Output(1)),
        sizes.part("square_part").bind("x", Input(0)).bind("mean", Output(1)).bind("part_out", part),
        sizes.finish("rstd_finish").bind("part", part).bind("rstd_out", Output(2)).bind("var_unbiased", Output(3)),
    ];
    Lowered { workspaces, ..Lowered::baseline(dispatches) }
}

pub(super) fn grad(_op: &BatchNorm2dGrad, problem: &Problem) -> Result<Lowered> {
    let sizes = Sizes::of(&problem.inputs[0], 0.0);
    let mut workspaces = Vec::new();
    let part =
        sizes.part("grad_part").bind("x", Input(0)).bind("mean", Input(2)).bind("rstd", Input(3)).bind("dy", Input(4));
    let mut dispatches = sizes.weight_gradients(part, &mut workspaces);
    let image = sizes
        .image("grad", None)
        .bind("x", Input(0))
        .bind("weight", Input(1))
        .bind("mean", Input(2))
        .bind("rstd", Input(3))
        .bind("dy", Input(4))
        .bind("dweight", Output(1))
        .bind("dbias", Output(2))
        .bind("y", Output(0));
    dispatches.push(image);
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

pub(super) fn eval(op: &BatchNorm2dEval, problem: &Problem) -> Result<Lowered> {
    let dispatch = Sizes::of(&problem.inputs[0], op.eps)
        .image("eval", None)
        .bind("x", Input(0))
        .bind("weight", Input(1))
        .bind("bias", Input(2))
        .bind("running_mean", Input(3))
        .bind("running_var", Input(4))
        .bind("y", Output(0));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn eval_grad(op: &BatchNorm2dEvalGrad, problem: &Problem) -> Result<Lowered> {
    let sizes = Sizes::of(&problem.inputs[0], op.eps);
    let mut workspaces = Vec::new();
    let part = sizes
        .part("eval_grad_part")
        .bind("x", Input(0))
        .bind("running_mean", Input(2))
        .bind("running_var", Input(3))
        .bind("dy", Input(4));
    let mut dispatches = sizes.weight_gradients(part, &mut workspaces);
    let image = sizes
        .image("eval_grad", None)
        .bind("weight", Input(1))
        .bind("running_var", Input(3))
        .bind("dy", Input(4))
        .bind("y", Output(0));
    dispatches.push(image);
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

pub(super) fn running_stats(op: &RunningStats, problem: &Problem) -> Result<Lowered> {
    let mut sizes = Sizes::of(&problem.inputs[0], 0.0);
    sizes.momentum = op.momentum;
    let dispatch = sizes
        .dispatch("running")
        .bind("running_mean_out", Output(0))
        .bind("running_var_out", Output(1))
        .bind("mean", Input(2))
        .bind("batch_var", Input(3))
        .bind("control", Input(4))
        .invocations(sizes.c);
    Ok(Lowered::baseline(vec![dispatch]))
}
