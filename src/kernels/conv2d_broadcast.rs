//! The broadcast family of convolutions, for adapters that compute on a CPU: `shaders/conv2d_broadcast.wgsl`, with operands
//! in buffers or in textures, and [`super::conv2d_rows`] for gradients of weights with operands in textures.

use super::conv2d_gather::{Gather, WeightGrad};
use super::reduce::in_splits;
use super::{BLOCK, Dispatch, Edges, Limits, Lowered, Operand, Variant, conv2d_rows, texels};
use crate::gpu::Caps;
use crate::ops::Op;
use crate::tensor::Spec;

/// The variant's name.
pub(super) const NAME: &str = "broadcast";
/// The name of the variant that reads its operands from textures.
pub(super) const TEXTURES_NAME: &str = "broadcast_textures";
/// Output channels of an invocation of `gather`: more where the operands are textures, unless half of them would be left over.
const CHANNELS: usize = 16;
const MANY_CHANNELS: usize = 32;
/// Its pixels, each of a subgroup's lanes.
const PIXELS: usize = 4;
/// Places of the image, beyond the first, at which an invocation of `gather` looks for taps to leave out.
const MOST_PLACES: usize = 3;
/// Output channels of an invocation of `grad_weight`.
const ROWS: usize = 32;
/// Workgroups of a gradient of weights: enough for a few cores to share evenly; more would only write more partial sums.
pub(super) const WORKGROUPS: usize = 64;

pub(super) const LIMITS: Limits = Limits { subgroups: &[4, 8, 16], cpu: true, ..Limits::DEFAULT };

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: LIMITS,
    spreads: false,
    edges: |op, caps| match op {
        Op::Conv2dGradWeight(_) | Op::LinearGradWeight(_) => {
            let lanes = subgroup(caps);
            Edges { rows: vec![lanes, 4 * lanes], columns: vec![ROWS], depth: vec![BLOCK] }
        }
        _ => Edges { rows: vec![PIXELS * subgroup(caps)], columns: vec![CHANNELS], depth: vec![4] },
    },
};

/// See [`Variant`].
pub(super) const TEXTURES: Variant = Variant {
    name: TEXTURES_NAME,
    limits: LIMITS,
    spreads: false,
    edges: |op, caps| match op {
        // Sizes that four does not divide are no problems of this variant.
        Op::Conv2dGradWeight(_) | Op::LinearGradWeight(_) => {
            let lanes = 4 * subgroup(caps);
            Edges { rows: vec![36, lanes, lanes + 4], columns: vec![4, 8, 12, 16, 20], depth: vec![BLOCK] }
        }
        _ => {
            let (rows, columns) = (vec![PIXELS * subgroup(caps)], vec![CHANNELS, MANY_CHANNELS]);
            Edges { rows, columns, depth: vec![4, 8, 36] }
        }
    },
};

pub(super) fn subgroup(caps: &Caps) -> usize {
    caps.subgroup.map_or(1, |size| size as usize)
}

/// Channels that one load takes.
fn chunk(channels: usize) -> usize {
    if channels.is_multiple_of(4) { 4 } else { 1 }
}

/// Whether tensors of these lengths fit into this device's textures.
pub(super) fn fit(caps: &Caps, lengths: &[usize]) -> bool {
    lengths.iter().all(|&len| texels(&Spec::f32([len])).1 <= caps.max_texture_side as usize)
}

/// How weights lie, seen from kernels that take four source channels at a time, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Those of the source channels of a chunk are neighbours.
    Inputs,
    /// Those of four output channels are neighbours, for each of four source channels.
    Outputs,
    /// None are neighbours, and four source channels are loaded and stored one by one.
    Apart,
}

/// An order, and in the units in which it is loaded and stored the first weight and the distances between rows of taps, taps,
/// source channels, chunks of source channels, and output channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    order: Order,
    first: usize,
    strides: [usize; 5],
}

impl Layout {
    /// The layout of a problem's weights.
    pub fn of(problem: &Gather) -> Self {
        let (first, [row, tap, c, o]) = (problem.w_first, problem.w_strides);
        let in_fours = |distances: &[usize]| distances.iter().all(|distance| distance.is_multiple_of(4));
        if chunk(problem.src[2]) == 1 {
            Self { order: Order::Inputs, first, strides: [row, tap, c, c, o] }
        } else if c == 1 && in_fours(&[first, row, tap, o]) {
            Self { order: Order::Inputs, first: first / 4, strides: [row / 4, tap / 4, 0, 1, o / 4] }
        } else if o == 1 && in_fours(&[first, row, tap, c, problem.dst[2]]) {
            Self { order: Order::Outputs, first: first / 4, strides: [row / 4, tap / 4, c / 4, c, 0] }
        } else {
            Self { order: Order::Apart, first, strides: [row, tap, c, 4 * c, o] }
        }
    }

    /// Sets the distances.
    pub fn set(&self, dispatch: Dispatch) -> Dispatch {
        let [row, tap, c, chunk, o] = self.strides;
        dispatch.set("w_row", row).set("w_tap", tap).set("w_c", c).set("w_chunk", chunk).set("w_o", o)
    }

    /// Links how sums for a gradient of weights are stored.
    pub fn link_partials(&self, dispatch: Dispatch) -> Dispatch {
        match self.order {
            Order::Inputs => dispatch,
            Order::Outputs => dispatch.link("partials_inputs", "shared/partials_outputs.wgsl"),
            Order::Apart => dispatch.link("partials_inputs", "shared/partials_apart.wgsl"),
        }
    }
}

/// Whether a gather can have its operands in textures.
pub(super) fn textures_serve(problem: &Gather, caps: &Caps) -> bool {
    let [h, w, c_src] = problem.src;
    c_src.is_multiple_of(4)
        && Layout::of(problem).order != Order::Apart
        && fit(caps, &[problem.n * h * w * c_src, problem.taps() * c_src * problem.dst[2]])
}

/// Whether a gradient of weights can.
pub(super) fn textures_serve_weights(problem: &WeightGrad, caps: &Caps) -> bool {
    let shape = &problem.forward;
    conv2d_rows::applies(problem) && fit(caps, &[shape.src, shape.dst].map(|[h, w, c]| shape.n * h * w * c))
}

/// Whether textures pay for the copies, each of which ends a compute pass. Convolutions gain from 2 million multiply-adds on,
/// a linear layer of 2.4 million gained nothing.
pub(super) fn textures_pay(multiply_adds: usize) -> bool {
    const WORTH_IT: usize = 1 << 22;
    multiply_adds >= WORTH_IT
}

/// The channels of an invocation of `gather`.
fn channels(c_dst: usize, textures: bool) -> usize {
    let many = c_dst.next_multiple_of(MANY_CHANNELS) == c_dst.next_multiple_of(CHANNELS);
    if textures && many { MANY_CHANNELS } else { CHANNELS }
}

fn dispatch(entry: &'static str, problem: &Gather, splits: (usize, usize), caps: &Caps, tile: usize) -> Dispatch {
    let (chunk, subgroup) = (chunk(problem.src[2]), subgroup(caps));
    let [h, w] = problem.windows.map_or([problem.dst[0], problem.dst[1]], |[_, count]| count);
    let columns = problem.taps() * problem.src[2] / chunk;
    let dispatch = problem
        .finish(Dispatch::new("conv2d_broadcast.wgsl", entry))
        .link("chunk1", if chunk == 4 { "shared/chunk4.wgsl" } else { "shared/chunk1.wgsl" })
        .set("pixels", problem.n * h * w)
        .set("h_dst", h)
        .set("w_dst", w)
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
        .set("tiles_c", problem.dst[2].div_ceil(tile))
        .set("tiles_q", columns.div_ceil(subgroup))
        .set("splits", splits.0)
        .set("pixels_per_split", splits.1)
        .set("w_windows", problem.dst[1]);
    let layout = Layout::of(problem);
    let dispatch = layout.set(dispatch).set("w_first", layout.first);
    let dispatch = problem.lattice.set(dispatch);
    match entry {
        "gather" => windows(dispatch, problem.windows)
            .constant("SUBGROUP", format!("{subgroup}u"))
            .constant("CHANNELS", format!("{tile}u")),
        _ => layout.link_partials(dispatch.constant("SUBGROUP", format!("{subgroup}u"))),
    }
}

/// Lets a gather write maxima of windows.
fn windows(dispatch: Dispatch, windows: Option<[[usize; 2]; 2]>) -> Dispatch {
    let Some([[h, w], _]) = windows else { return dispatch };
    let dispatch = dispatch.constant("WINDOW_H", format!("{h}u")).constant("WINDOW_W", format!("{w}u"));
    dispatch.link("pixel", "shared/window_maximum.wgsl")
}

/// Lowers a gather.
pub(super) fn gather(problem: &Gather, caps: &Caps, textures: bool) -> Lowered {
    let (src, w, b) = problem.operands;
    let [c_src, c_dst, taps] = [problem.src[2], problem.dst[2], problem.taps()];
    let channels = channels(c_dst, textures);
    let (many, each) = match problem.windows {
        None => (problem.pixels(), PIXELS),
        Some([[h, w], [rows, columns]]) => (problem.n * rows * columns, PIXELS / (h * w)),
    };
    let units = c_dst.div_ceil(channels) * many.div_ceil(each * subgroup(caps));
    let main = dispatch("gather", problem, (1, 1), caps, channels)
        // Something must be bound: without a bias the weights, which are then not read as one.
        .bind("b", b.unwrap_or(w))
        .bind("dst", Operand::Output(0))
        .workgroups(units)
        .trips(taps * (c_src / chunk(c_src) + 1) + (MOST_PLACES + 3) * (problem.kernel[0] + problem.kernel[1]));
    let main = if problem.windows.is_some() { main.bind("argmax", Operand::Output(1)) } else { main };
    let main = if chunk(c_dst) == 4 { main.link("store1", "shared/store4.wgsl") } else { main };
    let order = Layout::of(problem).order;
    let main = if order == Order::Outputs { main.link("weights_inputs", "shared/weights_outputs.wgsl") } else { main };
    let main = if order == Order::Apart { main.link("operands_buffers", "shared/operands_apart.wgsl") } else { main };
    let main = match textures {
        false => main.bind("src", src).bind("w", w),
        true => {
            let main = main.link("operands_buffers", "shared/operands_textures.wgsl");
            main.bind_texture("src", src).bind_texture("w", w)
        }
    };
    let variant = if textures { TEXTURES_NAME } else { NAME };
    Lowered { variant, workspaces: Vec::new(), dispatches: vec![main] }
}

/// Lowers the gradient of the weights: partial sums a split, then their ordered sum.
pub(super) fn weight_grad(problem: &WeightGrad, caps: &Caps) -> Lowered {
    let forward = &problem.forward;
    let (src, dy, _) = forward.operands;
    let [c_src, c_dst, taps] = [forward.src[2], forward.dst[2], forward.taps()];
    let tiles = c_dst.div_ceil(ROWS) * (taps * c_src / chunk(c_src)).div_ceil(subgroup(caps));
    let splits = problem.splits(tiles, WORKGROUPS);
    let main = dispatch("grad_weight", forward, splits, caps, ROWS)
        .bind("src", src)
        .bind("dy", dy)
        .workgroups(tiles * splits.0)
        .trips(splits.1 + splits.1 / 256 + 1);
    write_parts(NAME, main, splits.0, problem.len())
}

/// A variant's kernel that writes `part [splits, len]`, and the ordered sum of what it writes where there is more than one split.
pub(super) fn write_parts(variant: &'static str, main: Dispatch, splits: usize, len: usize) -> Lowered {
    let mut workspaces = Vec::new();
    let dispatches = in_splits(splits, len, Operand::Output(0), &mut workspaces, |part| main.bind("part", part));
    Lowered { variant, workspaces, dispatches }
}

#[cfg(test)]
mod tests {
    use super::super::{Problem, variants};
    use super::*;
    use crate::ops::{Conv2d, Operator};

    fn found(batch: usize, channels: usize, caps: &Caps) -> Vec<&'static str> {
        let op = Op::from(Conv2d::default());
        let inputs = [Spec::f32([batch, 13, 13, channels]), Spec::f32([3, 3, channels, 64])];
        let outputs = op.infer(&inputs).unwrap();
        variants(&op, &Problem { inputs: &inputs, outputs: &outputs, caps })
    }

    #[test]
    fn textures_are_for_large_convolutions_of_cpu_adapters_that_hold_them() {
        let caps = Caps { cpu: true, subgroups: true, subgroup: Some(8), ..Caps::DEFAULT };
        assert_eq!(found(64, 32, &caps)[0], TEXTURES_NAME);
        assert_eq!(found(1, 4, &caps)[..2], [NAME, super::super::BASELINE]);
        assert!(!found(64, 33, &caps).contains(&TEXTURES_NAME));
        // 64 images take 338 rows, and one is zeros.
        assert!(found(64, 32, &Caps { max_texture_side: 339, ..caps }).contains(&TEXTURES_NAME));
        assert!(!found(64, 32, &Caps { max_texture_side: 338, ..caps }).contains(&TEXTURES_NAME));
        assert!(!found(64, 32, &Caps::DEFAULT).contains(&TEXTURES_NAME));
    }
}
