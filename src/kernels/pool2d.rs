//! Pooling on the GPU: one invocation a row and channel of the output; the global mean in two stages.

use super::reduce::{Splits, in_splits};
use super::{BASELINE, Dispatch, Lowered, Operand, Problem, pool2d_windows};
use crate::error::Result;
use crate::ops::{AvgPool2d, AvgPool2dGrad, GlobalAvgPool2d, GlobalAvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Pool2d};
use crate::tensor::Spec;

/// A pooling problem as the shader sees it.
struct Geometry {
    n: usize,
    input: [usize; 2],
    output: [usize; 2],
    c: usize,
    pool: Pool2d,
    /// Height and width of the image with its border, where the border counts.
    border: [usize; 2],
    splits: Splits,
}

impl Geometry {
    fn new(pool: Pool2d, input: [usize; 2], outer: &Spec) -> Self {
        let (n, output, c) = (outer.shape[0], [outer.shape[1], outer.shape[2]], outer.shape[3]);
        Self { n, input, output, c, pool, border: [0; 2], splits: Splits { count: 1, rows: 0 } }
    }

    /// The whole image as one window.
    fn global(n: usize, input: [usize; 2], c: usize) -> Self {
        let pool = Pool2d { kernel: input, stride: [1; 2], padding: [0; 4], ceil_mode: false };
        let splits = Splits::of(input[0] * input[1]);
        Self { n, input, output: [1; 2], c, pool, border: [0; 2], splits }
    }

    fn with_border(mut self, counts: bool) -> Self {
        if counts {
            let padding = self.pool.padding;
            self.border = [0, 1].map(|axis| padding[axis] + self.input[axis] + padding[axis + 2]);
        }
        self
    }

    /// Sets every uniform of the file.
    fn dispatch(&self, entry: &'static str) -> Dispatch {
        Dispatch::new("pool2d.wgsl", entry)
            .set("n", self.n)
            .set("h_in", self.input[0])
            .set("w_in", self.input[1])
            .set("c", self.c)
            .set("h_out", self.output[0])
            .set("w_out", self.output[1])
            .set("k_h", self.pool.kernel[0])
            .set("k_w", self.pool.kernel[1])
            .set("stride_h", self.pool.stride[0])
            .set("stride_w", self.pool.stride[1])
            .set("pad_h", self.pool.padding[0])
            .set("pad_w", self.pool.padding[1])
            .set("border_h", self.border[0])
            .set("border_w", self.border[1])
            .set("splits", self.splits.count)
            .set("pixels_per_split", self.splits.rows)
    }

    /// One invocation a row and channel of the forward output, which walks over its windows.
    fn forward(&self, entry: &'static str) -> Dispatch {
        let [k_h, k_w] = self.pool.kernel;
        let lines = self.n * self.output[0] * self.c;
        self.dispatch(entry).invocations(lines).trips(self.output[1] * (k_h * (k_w + 1) + 1))
    }

    /// One invocation a row and channel of the forward input, which walks over the windows that hold its elements.
    fn backward(&self, entry: &'static str) -> Dispatch {
        let windows = |axis: usize| self.pool.kernel[axis].div_ceil(self.pool.stride[axis]);
        let lines = self.n * self.input[0] * self.c;
        let each = windows(0) * (windows(1) + 1) + 1;
        self.dispatch(entry).invocations(lines).trips(self.input[1] * each + 2 * self.output[1])
    }
}

fn image_size(spec: &Spec) -> [usize; 2] {
    [spec.shape[1], spec.shape[2]]
}

/// The variants of a maximum and its gradient.
pub(super) fn variants(pool: &Pool2d, problem: &Problem) -> Vec<&'static str> {
    let channels = problem.inputs[0].shape[3];
    if pool2d_windows::serves(pool, channels) { vec![pool2d_windows::NAME, BASELINE] } else { vec![BASELINE] }
}

pub(super) fn max_forward(op: &MaxPool2d, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    if variant == pool2d_windows::NAME {
        return Ok(pool2d_windows::forward(&op.0, problem));
    }
    let dispatch = Geometry::new(op.0, image_size(&problem.inputs[0]), &problem.outputs[0])
        .forward("max_forward")
        .bind("x", Operand::Input(0))
        .bind("y", Operand::Output(0))
        .bind("argmax", Operand::Output(1));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn max_grad(op: &MaxPool2dGrad, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    if variant == pool2d_windows::NAME {
        return Ok(pool2d_windows::grad(&op.pool, op.input, problem));
    }
    let dispatch = Geometry::new(op.pool, op.input, &problem.inputs[0])
        .backward("max_grad")
        .bind("dy", Operand::Input(0))
        .bind("places", Operand::Input(1))
        .bind("dx", Operand::Output(0));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn avg_forward(op: &AvgPool2d, problem: &Problem) -> Result<Lowered> {
    let dispatch = Geometry::new(op.pool, image_size(&problem.inputs[0]), &problem.outputs[0])
        .with_border(op.count_include_pad)
        .forward("avg_forward")
        .bind("x", Operand::Input(0))
        .bind("y", Operand::Output(0));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn avg_grad(op: &AvgPool2dGrad, problem: &Problem) -> Result<Lowered> {
    let dispatch = Geometry::new(op.forward.pool, op.input, &problem.inputs[0])
        .with_border(op.forward.count_include_pad)
        .backward("avg_grad")
        .bind("dy", Operand::Input(0))
        .bind("dx", Operand::Output(0));
    Ok(Lowered::baseline(vec![dispatch]))
}

pub(super) fn global_avg_forward(_op: &GlobalAvgPool2d, problem: &Problem) -> Result<Lowered> {
    let x = &problem.inputs[0];
    let geometry = Geometry::global(x.shape[0], image_size(x), x.shape[3]);
    let (splits, means) = (geometry.splits, problem.outputs[0].len());
    let mut workspaces = Vec::new();
    let dispatches = in_splits(splits.count, means, Operand::Output(0), &mut workspaces, |part| {
        let dispatch = geometry.dispatch("global_forward").bind("x", Operand::Input(0)).bind("part", part);
        dispatch.invocations(splits.count * means).trips(splits.trips())
    });
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

pub(super) fn global_avg_grad(op: &GlobalAvgPool2dGrad, problem: &Problem) -> Result<Lowered> {
    let dy = &problem.inputs[0];
    let dispatch = Geometry::global(dy.shape[0], op.input, dy.shape[1])
        .dispatch("global_grad")
        .bind("dy", Operand::Input(0))
        .bind("dx", Operand::Output(0))
        .invocations(problem.outputs[0].len());
    Ok(Lowered::baseline(vec![dispatch]))
}
