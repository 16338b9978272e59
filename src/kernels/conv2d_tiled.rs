//! The register-blocked tile through workgroup memory, for GPUs: `shaders/conv2d_tiled.wgsl`.

use super::conv2d_gather::{Gather, Lattice, WeightGrad};
use super::reduce::{scratch, sum_both, sum_splits};
use super::{BASELINE, BLOCK, Dispatch, Edges, Limits, Lowered, Operand, Problem, Variant};
use crate::ops::{Activation, Op};
use crate::tensor::Spec;

/// The variant's name.
pub(super) const NAME: &str = "tiled";
/// Rows and columns of a tile.
pub(super) const TILE: usize = 64;
/// Terms between two barriers.
const DEPTH: usize = 16;
/// Workgroups that a split reduction aims at: a few for each multiprocessor of a large GPU.
const WORKGROUPS: usize = 512;

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits { workgroup_bytes: 2 * 16 * 17 * 16, ..Limits::DEFAULT },
    edges: |op, _| match op {
        Op::Conv2dGradWeight(_) | Op::LinearGradWeight(_) => {
            Edges { rows: vec![TILE], columns: vec![TILE], depth: vec![DEPTH, BLOCK] }
        }
        _ => Edges { rows: vec![TILE], columns: vec![TILE], depth: vec![DEPTH] },
    },
};

/// The max pool behind a convolution the gradient of whose weights is wanted; its windows tile what they are taken of.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolBehind {
    /// Height and width of a window.
    pub window: [usize; 2],
    /// Windows, down and across.
    pub count: [usize; 2],
    /// Where the maxima were.
    pub places: Operand,
    /// What the pool wrote, from which the derivative of the convolution's activation follows, if there is one.
    pub saved: Option<Operand>,
}

fn dispatch(
    entry: &'static str,
    problem: &Gather,
    pixels: usize,
    splits: (usize, usize),
    behind: Option<&PoolBehind>,
) -> Dispatch {
    let [h_dst, w_dst] = problem.windows.map_or([problem.dst[0], problem.dst[1]], |[_, count]| count);
    let ([window_h, window_w], [h_windows, w_windows]) = behind.map_or(([1; 2], [0; 2]), |b| (b.window, b.count));
    problem
        .lattice
        .set(problem.finish(Dispatch::new("conv2d_tiled.wgsl", entry)))
        .set("pixels", pixels)
        .set("h_dst", h_dst)
        .set("w_dst", w_dst)
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
        .set("tiles_n", problem.dst[2].div_ceil(TILE))
        .set("splits", splits.0)
        .set("pixels_per_split", splits.1)
        .set("w_first", problem.w_first)
        .set("w_row", problem.w_strides[0])
        .set("w_tap", problem.w_strides[1])
        .set("w_c", problem.w_strides[2])
        .set("w_o", problem.w_strides[3])
        .set("w_between", problem.dst[1])
        .set("window_h", window_h)
        .set("window_w", window_w)
        .set("h_windows", h_windows)
        .set("w_windows", w_windows)
}

/// How a layer reads its image, where that goes through a batch normalisation first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal {
    /// What it goes through after that.
    pub activation: Option<Activation>,
    /// The table of the normalisation.
    pub table: Operand,
}

/// The variants of an operator for which there is this kernel alone, where it serves the problem.
pub(super) fn variants(serves: bool, problem: &Problem) -> Vec<&'static str> {
    let mut variants = vec![BASELINE];
    if serves && VARIANT.limits.refuse(problem.caps).is_none() {
        variants.insert(usize::from(problem.caps.cpu), NAME);
    }
    variants
}

/// Lowers a gather.
pub(super) fn gather(problem: &Gather) -> Lowered {
    let main = match problem.windows {
        None => gathering(problem),
        Some([[h, w], _]) => gathering(problem)
            .constant("WINDOW_H", format!("{h}u"))
            .constant("WINDOW_W", format!("{w}u"))
            .link("pixel", "shared/window_maximum.wgsl")
            .bind("argmax", Operand::Output(1)),
    };
    Lowered { variant: NAME, workspaces: Vec::new(), dispatches: vec![main] }
}

/// A gather that also writes the moments of each tile, `[columns, 3, tiles of rows]`; its sums go through no activation.
pub(super) fn gather_with_moments(problem: &Gather, normal: Option<Normal>, moments: Operand) -> Dispatch {
    let main = match normal {
        None => gathering(problem),
        // The activation is that of what is read.
        Some(normal) => reading(gathering(&Gather { activation: normal.activation, ..*problem }), normal)
            .link("finish", "shared/finish_plain.wgsl"),
    };
    main.link("no_moments", "shared/moments.wgsl").bind("moments", moments)
}

/// Lets a kernel read its image normalised.
fn reading(dispatch: Dispatch, normal: Normal) -> Dispatch {
    dispatch.link("image_plain", "shared/image_normalised.wgsl").bind("table", normal.table)
}

fn gathering(problem: &Gather) -> Dispatch {
    let (src, w, b) = problem.operands;
    // Pixels that no window covers are not computed.
    let pixels =
        problem.windows.map_or(problem.pixels(), |[[h, w], [rows, columns]]| problem.n * rows * columns * h * w);
    let tiles_m = pixels.div_ceil(TILE);
    let steps = (problem.taps() * problem.src[2]).div_ceil(DEPTH);
    dispatch("gather", problem, pixels, (1, 1), None)
        .set("tiles_m", tiles_m)
        .bind("src", src)
        .bind("w", w)
        .bias(b, w)
        .bind("dst", Operand::Output(0))
        .workgroups(tiles_m * problem.dst[2].div_ceil(TILE))
        .trips(steps * (DEPTH + 1))
}

/// What is wanted of a gradient of weights, whose first result is that of the weights.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Where the gradient of a bias goes, if it is wanted.
    pub bias: Option<Operand>,
    /// Over so many images each the results are summed, where this is given, and the sums stay apart.
    pub images: Option<usize>,
}

/// Lowers the gradient of the weights, and of a bias: at once, or as partial sums a split, and then their ordered sums. With a pool
/// behind the convolution, `dy` is what arrives at that.
pub(super) fn weight_grad(problem: &WeightGrad, behind: Option<&PoolBehind>, wanted: Wanted) -> Lowered {
    let tiles = weight_tiles(problem);
    let splits = problem.parts(wanted.images).unwrap_or_else(|| problem.splits(tiles, WORKGROUPS));
    lowered(problem, behind, wanted, splits, |splits| {
        let main = dispatch("grad_weight", &problem.forward, problem.forward.pixels(), splits, behind);
        main.workgroups(tiles * splits.0)
    })
}

/// Lowers the same beside the gradient of the input, into `dx`, in one dispatch. The operands are image, upstream gradient and
/// weights, the derivative is that of the activation whose output the image is, which an image that is read normalised goes through
/// when it is read.
pub(super) fn grads(
    problem: &WeightGrad,
    behind: Option<&PoolBehind>,
    normal: Option<Normal>,
    wanted: Wanted,
    dx: Operand,
) -> Lowered {
    let activation = normal.and_then(|normal| normal.activation);
    let lattice = Lattice::whole([problem.forward.src[0], problem.forward.src[1]]);
    let forward = Gather { lattice, activation, ..problem.forward };
    let (tiles, pixels) = (weight_tiles(problem), forward.n * forward.src[0] * forward.src[1]);
    let depth = forward.taps() * forward.dst[2];
    // A workgroup of either kind should be busy for as long as one of the other.
    let workgroups = WORKGROUPS.min(tiles * forward.pixels().div_ceil(depth));
    let splits = problem.parts(wanted.images).unwrap_or_else(|| problem.splits(tiles, workgroups));
    lowered(problem, behind, wanted, splits, |splits| {
        let main = dispatch("grads", &forward, forward.pixels(), splits, behind);
        let main = match normal {
            None => main,
            Some(normal) => reading(main, normal).link(
                "finish",
                match normal.activation {
                    None => "shared/finish_plain.wgsl",
                    Some(_) => "shared/finish_normalised.wgsl",
                },
            ),
        };
        main.link("source_image", "shared/source_arriving.wgsl")
            .link("bias", "shared/no_bias.wgsl")
            .bind("w", Operand::Input(2))
            .bind("dst", dx)
            .workgroups(tiles * splits.0 + pixels.div_ceil(TILE) * forward.src[2].div_ceil(TILE))
            .trips(depth.div_ceil(DEPTH) * (DEPTH + 1))
    })
}

/// Tiles of a gradient of weights.
fn weight_tiles(problem: &WeightGrad) -> usize {
    problem.rows().div_ceil(TILE) * problem.forward.dst[2].div_ceil(TILE)
}

fn lowered(
    problem: &WeightGrad,
    behind: Option<&PoolBehind>,
    Wanted { bias, images }: Wanted,
    splits: (usize, usize),
    main: impl FnOnce((usize, usize)) -> Dispatch,
) -> Lowered {
    let (src, dy, _) = problem.forward.operands;
    let (len, c_out) = (problem.len(), problem.forward.dst[2]);
    let mut workspaces = Vec::new();
    let apart = splits.0 == 1 || images.is_some();
    let (part, part_b) = if apart {
        (Operand::Output(0), bias.unwrap_or_else(|| scratch(&mut workspaces, Spec::f32([splits.0, c_out]))))
    } else {
        let part = scratch(&mut workspaces, Spec::f32([splits.0, len]));
        (part, scratch(&mut workspaces, Spec::f32([splits.0, c_out])))
    };
    let main = main(splits)
        .set("tiles_m", problem.rows().div_ceil(TILE))
        .set("bias", usize::from(bias.is_some()))
        .bind("src", src)
        .bind("dy", dy)
        .bind("part", part)
        .bind("part_b", part_b);
    let trips = main.trips.max(splits.1.div_ceil(DEPTH) * (DEPTH + 1));
    let main = main.trips(trips);
    let main = match behind {
        None => main,
        Some(PoolBehind { places, saved, .. }) => {
            let main = main.link("arriving_pixels", "shared/arriving_maxima.wgsl").bind("places", *places);
            match saved {
                None => main.link("pooled_derivative", "shared/pooled_alone.wgsl"),
                Some(saved) => main.bind("maxima", *saved),
            }
        }
    };
    let mut dispatches = vec![main];
    if !apart {
        dispatches.push(match bias {
            None => sum_splits(part, Operand::Output(0), splits.0, len),
            Some(bias) => sum_both([part, part_b], [Operand::Output(0), bias], splits.0, [len, c_out]),
        });
    }
    Lowered { variant: NAME, workspaces, dispatches }
}
