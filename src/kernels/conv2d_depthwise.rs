//! Depthwise convolutions, a filter for each channel: `shaders/conv2d_depthwise.wgsl`, with operands in buffers on any device, and
//! in textures on adapters that compute on a CPU.

use super::conv2d_broadcast::fit;
use super::conv2d_gather::{Gather, WeightGrad};
use super::reduce::in_splits;
use super::{BLOCK, Dispatch, Edges, Limits, Lowered, Operand, Variant, WORKGROUP};
use crate::gpu::Caps;

/// The variant's name.
pub(super) const NAME: &str = "depthwise";
/// The name of the variant that reads its operands from textures.
pub(super) const TEXTURES_NAME: &str = "depthwise_textures";
/// Pixels of a row that an invocation computes, `RUN` in the shader.
const RUN: usize = 4;
/// The most taps of a row of the kernel at a time.
const MOST_TAPS: usize = 7;
/// Invocations of a gradient of weights: enough to fill a GPU without more partial sums than there are terms to save.
const INVOCATIONS: usize = 16_384;
/// The most pixels of a split: old software drivers loop no longer.
const MOST_PIXELS: usize = 32_768;

/// See [`Variant`].
pub(super) const VARIANT: Variant =
    Variant { name: NAME, limits: Limits::DEFAULT, spreads: false, edges: |_, _| EDGES };
/// See [`Variant`].
pub(super) const TEXTURES: Variant = Variant {
    name: TEXTURES_NAME,
    limits: Limits { cpu: true, ..Limits::DEFAULT },
    spreads: false,
    edges: |_, _| EDGES,
};

/// A depthwise convolution has no columns and no depth of its own; its sweep has cases of its own.
const EDGES: Edges = Edges { rows: Vec::new(), columns: Vec::new(), depth: Vec::new() };

/// How taps of a row are read.
struct Taps {
    /// Taps at a time, which divide the kernel's width.
    each: usize,
    /// Where the first one reads.
    off: i32,
    /// The first weight and the distances in the weights between rows of taps and taps, in fours, the last of them negative where
    /// taps are turned round.
    first: usize,
    row: usize,
    tap: i32,
}

impl Taps {
    /// None where neighbouring taps do not read neighbouring pixels, or where weights are not in fours.
    fn of(problem: &Gather) -> Option<Self> {
        let ([row, tap, ..], k_w) = (problem.w_strides, problem.kernel[1].max(1));
        let fours = [problem.w_first, row, tap, problem.src[2]].iter().all(|distance| distance.is_multiple_of(4));
        let each = (1..=MOST_TAPS).rev().find(|each| k_w.is_multiple_of(*each))?;
        let (first, row, tap, off) = (problem.w_first / 4, row / 4, tap / 4, problem.off[1]);
        match problem.step[1] {
            _ if !fours => None,
            1 => Some(Self { each, off, first, row, tap: tap as i32 }),
            _ if k_w < 2 => Some(Self { each, off, first, row, tap: tap as i32 }),
            -1 => {
                let last = k_w - 1;
                Some(Self { each, off: off - last as i32, first: first + last * tap, row, tap: -(tap as i32) })
            }
            _ => None,
        }
    }
}

/// Whether a convolution of so many groups, whose destination and source are these, is one of these kernels' problems.
pub(super) fn serves(problem: &Gather, groups: usize) -> bool {
    groups == problem.src[2] && groups == problem.dst[2] && Taps::of(problem).is_some()
}

/// Whether a gradient of weights is one.
pub(super) fn serves_weights(problem: &WeightGrad, groups: usize) -> bool {
    // An invocation goes along whole rows.
    problem.forward.dst[1] <= MOST_PIXELS && serves(&problem.forward, groups)
}

/// Whether a gather's operands fit into textures of this device.
pub(super) fn textures_serve(problem: &Gather, caps: &Caps) -> bool {
    let [h, w, c] = problem.src;
    TEXTURES.limits.refuse(caps).is_none() && fit(caps, &[problem.n * h * w * c, problem.taps() * c])
}

/// Whether those of a gradient of weights do.
pub(super) fn textures_serve_weights(problem: &WeightGrad, caps: &Caps) -> bool {
    let shape = &problem.forward;
    let lengths = [shape.src, shape.dst].map(|[h, w, c]| shape.n * h * w * c);
    TEXTURES.limits.refuse(caps).is_none() && fit(caps, &lengths)
}

fn dispatch(entry: &'static str, problem: &Gather, taps: &Taps, splits: (usize, usize), textures: bool) -> Dispatch {
    let stride = problem.mul[1].max(1) as usize;
    let dispatch = problem
        .finish(Dispatch::new("conv2d_depthwise.wgsl", entry))
        .constant("TAPS", format!("{}u", taps.each))
        .constant("STRIDE", format!("{stride}u"))
        .constant("KEPT", format!("{}u", taps.each.saturating_sub(stride)))
        .set("n", problem.n)
        .set("h_dst", problem.dst[0])
        .set("w_dst", problem.dst[1])
        .set("h_src", problem.src[0])
        .set("w_src", problem.src[1])
        .set("c", problem.src[2] / 4)
        .set("k_h", problem.kernel[0])
        .set("k_w", problem.kernel[1])
        .set("mul_h", problem.mul[0])
        .set("off_h", problem.off[0])
        .set("off_w", taps.off)
        .set("step_h", problem.step[0])
        .set("bias", usize::from(problem.operands.2.is_some()))
        .set("splits", splits.0)
        .set("rows_per_split", splits.1)
        .set("w_first", taps.first)
        .set("w_row", taps.row)
        .set("w_tap", taps.tap as u32);
    let dispatch = problem.lattice.set(dispatch);
    if textures { dispatch.link("fours_buffers", "shared/fours_textures.wgsl") } else { dispatch }
}

fn bind(dispatch: Dispatch, textures: bool, name: &'static str, operand: Operand) -> Dispatch {
    if textures { dispatch.bind_texture(name, operand) } else { dispatch.bind(name, operand) }
}

fn name(textures: bool) -> &'static str {
    if textures { TEXTURES_NAME } else { NAME }
}

/// Lowers a gather, if it [is one](serves).
pub(super) fn gather(problem: &Gather, textures: bool) -> Option<Lowered> {
    let taps = Taps::of(problem)?;
    let (src, w, b) = problem.operands;
    let [h, width, c] = problem.dst;
    let main = dispatch("gather", problem, &taps, (1, 1), textures);
    let main = bind(bind(main, textures, "src", src), textures, "w", w)
        // Something must be bound: without a bias the weights, which are then not read as one.
        .bind("b", b.unwrap_or(w))
        .bind("dst", Operand::Output(0))
        .invocations(problem.n * h * width.div_ceil(RUN) * c / 4)
        .trips(problem.kernel[0] * (problem.kernel[1] / taps.each + 1));
    Some(Lowered { variant: name(textures), workspaces: Vec::new(), dispatches: vec![main] })
}

/// Lowers the gradient of the weights, partial sums a split and then their ordered sum, if it [is one](serves).
pub(super) fn weight_grad(problem: &WeightGrad, textures: bool) -> Option<Lowered> {
    let forward = &problem.forward;
    let taps = Taps::of(forward)?;
    let ([k_h, k_w], [h, width, c]) = (forward.kernel, forward.dst);
    let (lanes, rows) = (c / 4 * k_h * (k_w / taps.each), forward.n * h);
    let (splits, each) = splits(rows, width, lanes);
    let len = k_h * k_w * c;
    let (src, dy, _) = forward.operands;
    let main = dispatch("grad_weight", forward, &taps, (splits, each), textures);
    let main = bind(bind(main, textures, "src", src), textures, "dy", dy)
        .invocations(lanes * splits)
        .trips(each * (width + 1));
    let mut workspaces = Vec::new();
    let dispatches = in_splits(splits, len, Operand::Output(0), &mut workspaces, |part| main.bind("part", part));
    Some(Lowered { variant: name(textures), workspaces, dispatches })
}

/// Splits the rows into `(splits, rows a split)`: about [`INVOCATIONS`] in all, no split shorter than a block of pixels where
/// there is a choice, none longer than old software drivers loop.
fn splits(rows: usize, width: usize, lanes: usize) -> (usize, usize) {
    let block = BLOCK.div_ceil(width);
    let longest = (MOST_PIXELS / width).max(1);
    let splits = INVOCATIONS.div_ceil(lanes.max(WORKGROUP)).min(rows.div_ceil(block)).max(rows.div_ceil(longest));
    let each = rows.div_ceil(splits);
    (rows.div_ceil(each), each)
}

#[cfg(test)]
mod tests {
    use super::super::{BASELINE, Problem, variants};
    use super::*;
    use crate::ops::{Conv2d, Conv2dGradInput, Op, Operator};
    use crate::tensor::Spec;

    fn found(op: impl Into<Op>, inputs: [Spec; 2], caps: &Caps) -> Vec<&'static str> {
        let op = op.into();
        let outputs = op.infer(&inputs).unwrap();
        variants(&op, &Problem { inputs: &inputs, outputs: &outputs, caps })
    }

    #[test]
    fn a_filter_for_each_of_some_fours_of_channels_has_kernels_of_its_own() {
        let cpu = Caps { cpu: true, subgroups: true, subgroup: Some(8), ..Caps::DEFAULT };
        let conv = Conv2d { groups: 8, stride: [2, 2], padding: [1; 4], ..Conv2d::default() };
        let (x, y) = (Spec::f32([2, 9, 9, 8]), Spec::f32([2, 5, 5, 8]));
        let w = Spec::f32([3, 3, 1, 8]);
        assert_eq!(found(conv, [x.clone(), w.clone()], &Caps::DEFAULT), [NAME, BASELINE]);
        assert_eq!(found(conv, [x.clone(), w.clone()], &cpu), [TEXTURES_NAME, NAME, BASELINE]);
        let back = Conv2dGradInput { conv, input: [9, 9] };
        assert_eq!(found(back, [y, w.clone()], &Caps::DEFAULT), [NAME, BASELINE]);
        // Taps that read no neighbours, two channels of output each, and channels that are no fours.
        let dilated = Conv2d { dilation: [1, 2], ..conv };
        assert_eq!(found(dilated, [x.clone(), w], &cpu), [BASELINE]);
        assert_eq!(found(conv, [x, Spec::f32([3, 3, 1, 16])], &cpu), [BASELINE]);
        let odd = Conv2d { groups: 6, ..conv };
        assert_eq!(found(odd, [Spec::f32([2, 9, 9, 6]), Spec::f32([3, 3, 1, 6])], &cpu), [BASELINE]);
    }

    #[test]
    fn rows_are_cut_into_splits_that_cover_them_and_stay_short() {
        for (rows, width, lanes) in [(1, 1, 1), (64 * 56, 56, 9 * 36), (7, 30_000, 3), (1_000_000, 4, 64)] {
            let (splits, each) = splits(rows, width, lanes);
            assert!(splits * each >= rows && (splits - 1) * each < rows, "{rows}: {splits} of {each}");
            assert!(each * (width + 1) < 60_000, "{rows} of {width}: {each}");
        }
    }
}
