//! The gradient of the weights along rows, with operands in textures, for adapters that compute on a CPU:
//! `shaders/conv2d_rows.wgsl`.

use super::conv2d_broadcast::{Layout, TEXTURES_NAME, WORKGROUPS, subgroup, write_parts};
use super::conv2d_gather::WeightGrad;
use super::{BLOCK, Dispatch, Lowered};
use crate::gpu::Caps;

/// The most pixels of a run: more would only take longer to compile.
const LONGEST_RUN: usize = 13;
/// The most taps of a row of the kernel that an invocation sums.
const MOST_TAPS: usize = 3;

/// How a problem is cut.
struct Tiling {
    /// The problem, pixels of a 1×1 convolution all in one row.
    problem: WeightGrad,
    run: usize,
    taps: usize,
    /// Output channels of an invocation: as many sums as registers serve well.
    rows: usize,
}

impl Tiling {
    fn of(grad: &WeightGrad) -> Self {
        let mut problem = *grad;
        let shape = &mut problem.forward;
        if shape.kernel == [1, 1] && shape.mul == [1, 1] && shape.off == [0, 0] && shape.dst[..2] == shape.src[..2] {
            let pixels = shape.pixels();
            (shape.n, shape.dst, shape.src) = (1, [1, pixels, shape.dst[2]], [1, pixels, shape.src[2]]);
        }
        let run = (1..=LONGEST_RUN).rev().find(|run| shape.dst[1].is_multiple_of(*run)).unwrap_or(1);
        let taps = shape.kernel[1].min(MOST_TAPS);
        Self { problem, run, taps, rows: if taps == 1 { 16 } else { 8 } }
    }
}

/// Whether there is such a kernel: channels in fours, and neighbouring taps that read neighbouring pixels.
pub(super) fn applies(grad: &WeightGrad) -> bool {
    let shape = &grad.forward;
    let neighbours = shape.mul[1] <= 2 && (shape.step[1] == 1 || shape.kernel[1] == 1);
    neighbours && shape.src[2].is_multiple_of(4) && shape.dst[2].is_multiple_of(4)
}

/// Lowers the gradient of the weights: partial sums a split, then their ordered sum.
pub(super) fn weight_grad(grad: &WeightGrad, caps: &Caps) -> Lowered {
    let Tiling { problem, run, taps, rows } = Tiling::of(grad);
    let (shape, subgroup) = (&problem.forward, subgroup(caps));
    let [c_in, c_out] = [shape.src[2] / 4, shape.dst[2] / 4];
    let [tiles_o, tiles_q] = [shape.dst[2].div_ceil(rows), shape.kernel[1].div_ceil(taps)];
    let tiles_c = (shape.kernel[0] * c_in).div_ceil(subgroup);
    let tiles = tiles_o * tiles_q * tiles_c;
    let (splits, each) = splits(shape.pixels() / run, run, tiles);
    let (x, dy, _) = shape.operands;
    let main = Dispatch::new("conv2d_rows.wgsl", "grad_weight")
        .constant("SUBGROUP", format!("{subgroup}u"))
        .constant("ROWS", format!("{rows}u"))
        .constant("TAPS", format!("{taps}u"))
        .constant("RUN", format!("{run}u"))
        .constant("STRIDE", format!("{}u", shape.mul[1]))
        .set("h_in", shape.src[0])
        .set("w_in", shape.src[1])
        .set("c_in", c_in)
        .set("h_out", shape.dst[0])
        .set("w_out", shape.dst[1])
        .set("c_out", c_out)
        .set("k_h", shape.kernel[0])
        .set("k_w", shape.kernel[1])
        .set("stride_h", shape.mul[0] as u32)
        .set("dilation_h", shape.step[0] as u32)
        .set("pad_h", -shape.off[0] as u32)
        .set("pad_w", -shape.off[1] as u32)
        .set("tiles_o", tiles_o)
        .set("tiles_q", tiles_q)
        .set("tiles_c", tiles_c)
        .set("runs", shape.pixels() / run)
        .set("splits", splits)
        .set("runs_per_split", each)
        .bind_texture("x", x)
        .bind_texture("dy", dy)
        .workgroups(tiles * splits)
        .trips(each + each.div_ceil(BLOCK / run) + 1);
    let layout = Layout::of(&grad.forward);
    let main = layout.link_partials(layout.set(main));
    write_parts(TEXTURES_NAME, main, splits, grad.len())
}

/// Splits the runs into `(splits, runs a split)`: enough workgroups for a few cores to share evenly, no split shorter than a
/// block of 256 pixels, none longer than old software drivers loop.
fn splits(runs: usize, run: usize, tiles: usize) -> (usize, usize) {
    const MOST_RUNS: usize = 16_384;
    let splits = WORKGROUPS.div_ceil(tiles).min(runs.div_ceil(BLOCK / run)).max(runs.div_ceil(MOST_RUNS));
    let each = runs.div_ceil(splits);
    (runs.div_ceil(each), each)
}
