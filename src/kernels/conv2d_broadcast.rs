//! The broadcast family of convolutions, for adapters that compute on a CPU: `shaders/conv2d_broadcast.wgsl`.

use super::activation::epilogue;
use super::conv2d::{Gather, WeightGrad};
use super::reduce::sum_splits;
use super::{BLOCK, Dispatch, Edges, Limits, Lowered, Operand, Variant};
use crate::gpu::Caps;
use crate::ops::Op;
use crate::tensor::Spec;

/// The variant's name.
pub(super) const NAME: &str = "broadcast";
/// Output channels and pixels (each of a subgroup's lanes) of an invocation of `gather`.
const CHANNELS: usize = 16;
const PIXELS: usize = 4;
/// Output channels of an invocation of `grad_weight`.
const ROWS: usize = 32;

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits { subgroups: &[4, 8, 16], cpu: true, ..Limits::DEFAULT },
    edges: |op, caps| match op {
        Op::Conv2dGradWeight(_) | Op::LinearGradWeight(_) => {
            let lanes = subgroup(caps);
            Edges { rows: vec![lanes, 4 * lanes], columns: vec![ROWS], depth: vec![BLOCK] }
        }
        _ => Edges { rows: vec![PIXELS * subgroup(caps)], columns: vec![CHANNELS], depth: vec![4] },
    },
};

fn subgroup(caps: &Caps) -> usize {
    caps.subgroup.map_or(1, |size| size as usize)
}

/// Channels that one load takes.
fn chunk(channels: usize) -> usize {
    if channels.is_multiple_of(4) { 4 } else { 1 }
}

fn dispatch(entry: &'static str, problem: &Gather, splits: (usize, usize), caps: &Caps) -> Dispatch {
    let (chunk, subgroup) = (chunk(problem.src[2]), subgroup(caps));
    let columns = problem.taps() * problem.src[2] / chunk;
    let rows = if entry == "grad_weight" { ROWS } else { CHANNELS };
    let dispatch = epilogue(Dispatch::new("conv2d_broadcast.wgsl", entry), problem.activation)
        .link("chunk1", if chunk == 4 { "shared/chunk4.wgsl" } else { "shared/chunk1.wgsl" })
        .set("pixels", problem.pixels())
        .set("h_dst", problem.dst[0])
        .set("w_dst", problem.dst[1])
        .set("c_dst", problem.dst[2])
        .set("h_src", problem.src[0])
        .set("w_src", problem.src[1])
        .set("c_src", problem.src[2] / chunk)
        .set("k_h", problem.kernel[0])
        .set("k_w", problem.kernel[1])
        .set("mul_h", problem.mul[0])
        .set("mul_w", problem.mul[1])
        .set("off_h", problem.off[0])
        .set("off_w", problem.off[1])
        .set("step_h", problem.step[0])
        .set("step_w", problem.step[1])
        .set("bias", usize::from(problem.operands.2.is_some()))
        .set("tiles_c", problem.dst[2].div_ceil(rows))
        .set("tiles_q", columns.div_ceil(subgroup))
        .set("splits", splits.0)
        .set("pixels_per_split", splits.1)
        .set("w_tap", problem.w_strides[0])
        .set("w_c", problem.w_strides[1])
        .set("w_o", problem.w_strides[2]);
    match entry {
        "gather" => dispatch
            .constant("SUBGROUP", format!("{subgroup}u"))
            .constant("DIV_H", problem.div[0])
            .constant("DIV_W", problem.div[1]),
        "grad_weight" => dispatch.constant("SUBGROUP", format!("{subgroup}u")),
        _ => dispatch,
    }
}

/// Lowers a gather; the weights are packed first, unless they lie as the kernel wants them.
pub(super) fn gather(problem: &Gather, caps: &Caps) -> Lowered {
    let (src, w, b) = problem.operands;
    let [c_src, c_dst, taps] = [problem.src[2], problem.dst[2], problem.taps()];
    let as_packed = problem.w_strides == [c_src, 1, taps * c_src];
    let packed = if as_packed { w } else { Operand::Workspace(0) };
    let units = c_dst.div_ceil(CHANNELS) * problem.pixels().div_ceil(PIXELS * subgroup(caps));
    let main = dispatch("gather", problem, (1, 1), caps)
        .bind("src", src)
        .bind("packed", packed)
        // Something must be bound: without a bias the weights, which are then not read as one.
        .bind("b", b.unwrap_or(w))
        .bind("dst", Operand::Output(0))
        .workgroups(units)
        .trips(taps * (c_src / chunk(c_src) + 1) + problem.kernel[0]);
    let weights = taps * c_src * c_dst;
    let pack = dispatch("pack", problem, (1, 1), caps)
        .bind("w", w)
        .bind("packed_out", Operand::Workspace(0))
        .invocations(weights);
    if as_packed {
        return Lowered { variant: NAME, workspaces: Vec::new(), dispatches: vec![main] };
    }
    Lowered { variant: NAME, workspaces: vec![Spec::f32([weights])], dispatches: vec![pack, main] }
}

/// Lowers the gradient of the weights: partial sums a split, then their ordered sum in the weights' own layout.
pub(super) fn weight_grad(problem: &WeightGrad, caps: &Caps) -> Lowered {
    let forward = &problem.forward;
    let (src, dy, _) = forward.operands;
    let [c_src, c_dst, taps] = [forward.src[2], forward.dst[2], forward.taps()];
    let tiles = c_dst.div_ceil(ROWS) * (taps * c_src / chunk(c_src)).div_ceil(subgroup(caps));
    // Enough workgroups for a few cores to share evenly; more would only write more partial sums.
    let splits = problem.splits(tiles, 64);
    let main = dispatch("grad_weight", forward, splits, caps)
        .bind("src", src)
        .bind("dy", dy)
        .bind("part", Operand::Workspace(0))
        .workgroups(tiles * splits.0)
        .trips(splits.1 + splits.1 / 256 + 1);
    let sum = if forward.w_strides == [c_src, 1, taps * c_src] {
        sum_splits(Operand::Workspace(0), Operand::Output(0), splits.0, problem.len())
    } else {
        dispatch("sum_weight", forward, splits, caps)
            .bind("part_in", Operand::Workspace(0))
            .bind("dw", Operand::Output(0))
            .invocations(problem.len())
            .trips(splits.0 + splits.0 / 256 + 1)
    };
    Lowered { variant: NAME, workspaces: vec![Spec::f32([splits.0, problem.len()])], dispatches: vec![main, sum] }
}
