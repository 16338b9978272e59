//! The register-blocked tile through workgroup memory, for GPUs: `shaders/conv2d_tiled.wgsl`.

use super::conv2d_gather::{Gather, WeightGrad};
use super::reduce::sum_splits;
use super::{BLOCK, Dispatch, Edges, Limits, Lowered, Operand, Variant};
use crate::ops::Op;
use crate::tensor::Spec;

/// The variant's name.
pub(super) const NAME: &str = "tiled";
/// Rows and columns of a tile.
const TILE: usize = 64;
/// Terms between two barriers.
const DEPTH: usize = 16;
/// Workgroups that a split reduction aims at: a few for each multiprocessor of a large GPU.
const WORKGROUPS: usize = 512;

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits { workgroup_bytes: 2 * 16 * 68 * 4, ..Limits::DEFAULT },
    edges: |op, _| match op {
        Op::Conv2dGradWeight(_) | Op::LinearGradWeight(_) => {
            Edges { rows: vec![TILE], columns: vec![TILE], depth: vec![DEPTH, BLOCK] }
        }
        _ => Edges { rows: vec![TILE], columns: vec![TILE], depth: vec![DEPTH] },
    },
};

fn dispatch(entry: &'static str, problem: &Gather, tiles_m: usize, splits: (usize, usize)) -> Dispatch {
    problem
        .lattice
        .set(problem.finish(Dispatch::new("conv2d_tiled.wgsl", entry)))
        .set("pixels", problem.pixels())
        .set("h_dst", problem.dst[0])
        .set("w_dst", problem.dst[1])
        .set("c_dst", problem.dst[2])
        .set("h_src", problem.src[0])
        .set("w_src", problem.src[1])
        .set("c_src", problem.src[2])
        .set("k_h", problem.kernel[0])
        .set("k_w", problem.kernel[1])
        .set("mul_h", problem.mul[0])
        .set("mul_w", problem.mul[1])
        .set("off_h", problem.off[0])
        .set("off_w", problem.off[1])
        .set("step_h", problem.step[0])
        .set("step_w", problem.step[1])
        .set("bias", usize::from(problem.operands.2.is_some()))
        .set("tiles_n", problem.dst[2].div_ceil(TILE))
        .set("tiles_m", tiles_m)
        .set("splits", splits.0)
        .set("pixels_per_split", splits.1)
        .set("w_first", problem.w_first)
        .set("w_row", problem.w_strides[0])
        .set("w_tap", problem.w_strides[1])
        .set("w_c", problem.w_strides[2])
        .set("w_o", problem.w_strides[3])
}

/// Lowers a gather.
pub(super) fn gather(problem: &Gather) -> Lowered {
    let (src, w, b) = problem.operands;
    let tiles_m = problem.pixels().div_ceil(TILE);
    let steps = (problem.taps() * problem.src[2]).div_ceil(DEPTH);
    let main = dispatch("gather", problem, tiles_m, (1, 1))
        .bind("src", src)
        .bind("w", w)
        // Something must be bound: without a bias the weights, which are then not read as one.
        .bind("b", b.unwrap_or(w))
        .bind("dst", Operand::Output(0))
        .workgroups(tiles_m * problem.dst[2].div_ceil(TILE))
        .trips(steps * (DEPTH + 1));
    Lowered { variant: NAME, workspaces: Vec::new(), dispatches: vec![main] }
}

/// Lowers the gradient of the weights: partial sums a split, then their ordered sum.
pub(super) fn weight_grad(problem: &WeightGrad) -> Lowered {
    let forward = &problem.forward;
    let (src, dy, _) = forward.operands;
    let tiles_m = (forward.taps() * forward.src[2]).div_ceil(TILE);
    let tiles = tiles_m * forward.dst[2].div_ceil(TILE);
    let splits = problem.splits(tiles, WORKGROUPS);
    let main = dispatch("grad_weight", forward, tiles_m, splits)
        .bind("src", src)
        .bind("dy", dy)
        .bind("part", Operand::Workspace(0))
        .workgroups(tiles * splits.0)
        .trips(splits.1 + splits.1 / DEPTH + 1);
    let sum = sum_splits(Operand::Workspace(0), Operand::Output(0), splits.0, problem.len());
    Lowered { variant: NAME, workspaces: vec![Spec::f32([splits.0, problem.len()])], dispatches: vec![main, sum] }
}
