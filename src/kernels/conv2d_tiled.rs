//! Register-blocked tiles through workgroup memory, for GPUs: `shaders/conv2d_tiled.wgsl`, in three sizes, and a larger one for channels in
//! fours, `shaders/conv2d_tiled_fours.wgsl`.

use super::conv2d_gather::{Gather, Lattice, WeightGrad};
use super::reduce::{scratch, sum_both, sum_splits};
use super::{BLOCK, Dispatch, Edges, Limits, Lowered, Operand, Variant};
use crate::ops::{Activation, Op};
use crate::tensor::Spec;

/// A tile: which part of a problem a workgroup computes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// The variant's name.
    pub name: &'static str,
    shader: &'static str,
    pub rows: usize,
    pub columns: usize,
    /// Terms between two barriers.
    pub depth: usize,
    /// Slices of the terms that are summed apart.
    slices: usize,
    /// Files that stand in for what the shader imports by itself.
    normalised: (&'static str, &'static str),
    arriving: (&'static str, &'static str),
}

/// The tile of most problems of a small network.
pub(super) const TILED: Tile = square(NAME, 32);
/// The one for problems that would keep too few workgroups of that busy.
pub(super) const SMALL: Tile = square(SMALL_NAME, 16);
/// The one for problems that keep many busy: it loads less for each multiply-add.
pub(super) const LARGE: Tile = square(LARGE_NAME, 64);
/// The tile for channels in fours, with 8 × 8 outputs an invocation.
pub(super) const FOURS: Tile = Tile {
    name: FOURS_NAME,
    shader: "conv2d_tiled_fours.wgsl",
    rows: 128,
    columns: 64,
    depth: 8,
    slices: 1,
    normalised: ("fours_plain", "shared/fours_normalised.wgsl"),
    arriving: ("source_fours", "shared/source_fours_arriving.wgsl"),
};
pub(super) const TILES: [&Tile; 4] = [&TILED, &SMALL, &LARGE, &FOURS];

/// A tile that serves every problem, with 4 × 4 outputs an invocation.
const fn square(name: &'static str, size: usize) -> Tile {
    Tile {
        name,
        shader: "conv2d_tiled.wgsl",
        rows: size,
        columns: size,
        depth: 4 * INVOCATIONS / size,
        slices: 16 * INVOCATIONS / (size * size),
        normalised: ("image_plain", "shared/image_normalised.wgsl"),
        arriving: ("source_image", "shared/source_arriving.wgsl"),
    }
}

/// The variants' names.
pub(super) const NAME: &str = "tiled";
pub(super) const SMALL_NAME: &str = "tiled_small";
pub(super) const LARGE_NAME: &str = "tiled_large";
pub(super) const FOURS_NAME: &str = "tiled_fours";
/// Invocations of a workgroup, and fours of either operand that they load in a turn.
const INVOCATIONS: usize = 256;
/// Workgroups that a split reduction aims at: a few for each multiprocessor of a large GPU.
const WORKGROUPS: usize = 512;
/// Workgroup memory of both operands, `ROOM` fours each in the shader, and of moments beside them.
const WORKGROUP_BYTES: u32 = 2 * 320 * 16 + 16 * 16;

/// What all of them need.
pub(super) const LIMITS: Limits = Limits { workgroup_bytes: WORKGROUP_BYTES, ..Limits::DEFAULT };

/// See [`Variant`].
pub(super) const VARIANT: Variant =
    Variant { name: NAME, limits: LIMITS, spreads: false, edges: |op, _| TILED.edges(op) };
/// See [`Variant`].
pub(super) const SMALL_VARIANT: Variant =
    Variant { name: SMALL_NAME, limits: LIMITS, spreads: false, edges: |op, _| SMALL.edges(op) };
/// See [`Variant`].
pub(super) const LARGE_VARIANT: Variant =
    Variant { name: LARGE_NAME, limits: LIMITS, spreads: false, edges: |op, _| LARGE.edges(op) };
/// See [`Variant`].
pub(super) const FOURS_VARIANT: Variant = Variant {
    name: FOURS_NAME,
    limits: LIMITS,
    spreads: false,
    // Sizes that four does not divide are no problems of this variant: `verify::sweep` has its edges in a room of their own.
    edges: |_, _| Edges::default(),
};

impl Tile {
    /// The most terms of a split of a sum over batch and space, where its accumulators are not emptied on the way: those of large tiles
    /// are.
    pub fn most(&self) -> Option<usize> {
        (self.slices > 1).then_some(BLOCK * self.slices)
    }

    /// Rows of which moments are taken together.
    pub const fn moment_rows(&self) -> usize {
        if self.rows < 64 { self.rows } else { 64 }
    }

    fn edges(&self, op: &Op) -> Edges {
        let sums = matches!(op, Op::Conv2dGradWeight(_) | Op::LinearGradWeight(_));
        let depth = [self.depth].into_iter().chain(sums.then_some(BLOCK * self.slices)).collect();
        Edges { rows: vec![self.rows], columns: vec![self.columns], depth }
    }

    /// The most trips of an invocation over so many terms, with the sums of the slices in the end.
    fn trips(&self, terms: usize) -> usize {
        let each = self.depth / self.slices;
        (terms.div_ceil(self.depth) + 1) * (1 + each / 2 + each) + 5 * self.slices
    }

    /// Lets a kernel read its image normalised.
    fn reading(&self, dispatch: Dispatch, normal: Normal) -> Dispatch {
        dispatch.link(self.normalised.0, self.normalised.1).bind("table", normal.table)
    }

    /// The tile of a variant.
    pub fn of(variant: &str) -> Option<&'static Self> {
        TILES.into_iter().find(|tile| tile.name == variant)
    }

    /// Splits of a gradient of weights, and pixels of each.
    fn splits(&self, problem: &WeightGrad, images: Option<usize>, workgroups: usize) -> (usize, usize) {
        let least = self.most().map_or(1, |most| problem.forward.pixels().div_ceil(most));
        let splits = || problem.splits(1, workgroups.div_ceil(self.weight_tiles(problem)).max(least));
        problem.parts(images).unwrap_or_else(splits)
    }

    /// Tiles of a gradient of weights.
    fn weight_tiles(&self, problem: &WeightGrad) -> usize {
        problem.rows().div_ceil(self.rows) * problem.forward.dst[2].div_ceil(self.columns)
    }
}

/// Whether the tile for channels in fours serves a gather: four neighbours are of one tap and of one row of weights. It serves gradients
/// of weights where they are those of output channels besides, which are written together.
pub(super) fn fours_serve(problem: &Gather) -> bool {
    let fours = |sizes: &[usize]| sizes.iter().all(|size| size.is_multiple_of(4));
    let [row, tap, c, o] = problem.w_strides;
    let lie = (o == 1 && c.is_multiple_of(4)) || (c == 1 && o.is_multiple_of(4));
    lie && fours(&[problem.src[2], problem.dst[2], problem.w_first, row, tap]) && problem.windows.is_none()
}

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
    tile: &Tile,
    entry: &'static str,
    problem: &Gather,
    pixels: usize,
    splits: (usize, usize),
    behind: Option<&PoolBehind>,
) -> Dispatch {
    let [h_dst, w_dst] = problem.windows.map_or([problem.dst[0], problem.dst[1]], |[_, count]| count);
    let [h_windows, w_windows] = behind.map_or([0; 2], |b| b.count);
    let main = Dispatch::new(tile.shader, entry);
    // Taps and channel that so many columns of the matrix are apart.
    let apart = |columns: usize, channels: usize| {
        let (tap, wide) = (columns / channels, problem.kernel[1].max(1));
        [tap / wide, tap % wide, columns % channels]
    };
    let [on, back] = [problem.src[2], problem.dst[2]].map(|channels| apart(tile.depth, channels));
    // Rows of A that an invocation has in a gradient of weights; the larger kernel has neighbours, and walks over weights and by half a
    // turn of pixels.
    let (columns, pixels_on) = if *tile == FOURS { (2, tile.depth / 2) } else { (tile.rows / 4, tile.depth) };
    let between = apart(columns, problem.src[2]);
    let (lines, across) = (pixels_on / w_dst, pixels_on % w_dst);
    problem
        .lattice
        .set(problem.finish(main))
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
        .set("tiles_n", problem.dst[2].div_ceil(tile.columns))
        .set("splits", splits.0)
        .set("pixels_per_split", splits.1)
        .set("w_first", problem.w_first)
        .set("w_row", problem.w_strides[0])
        .set("w_tap", problem.w_strides[1])
        .set("w_c", problem.w_strides[2])
        .set("w_o", problem.w_strides[3])
        .set("w_between", problem.dst[1])
        .set("h_windows", h_windows)
        .set("w_windows", w_windows)
        .set("fours", tile.columns / 4)
        .set("on_p", on[0])
        .set("on_q", on[1])
        .set("on_c", on[2])
        .set("back_p", back[0])
        .set("back_q", back[1])
        .set("back_c", back[2])
        .set("fours_p", between[0])
        .set("fours_q", between[1])
        .set("fours_c", between[2])
        .set("on_n", lines / h_dst)
        .set("on_i", lines % h_dst)
        .set("on_j", across)
}

/// How a layer reads its image, where that goes through a batch normalisation first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal {
    /// What it goes through after that.
    pub activation: Option<Activation>,
    /// The table of the normalisation.
    pub table: Operand,
}

/// Lowers a gather.
pub(super) fn gather(tile: &Tile, problem: &Gather) -> Lowered {
    let main = match problem.windows {
        None => gathering(tile, problem),
        Some([[h, w], _]) => gathering(tile, problem)
            .constant("WINDOW_H", format!("{h}u"))
            .constant("WINDOW_W", format!("{w}u"))
            .link("pixel", "shared/window_maximum.wgsl")
            .bind("argmax", Operand::Output(1)),
    };
    Lowered { variant: tile.name, workspaces: Vec::new(), dispatches: vec![main] }
}

/// A gather that also writes the moments of a tile's rows, `[columns, 3, tiles]`; its sums go through no activation.
pub(super) fn gather_with_moments(tile: &Tile, problem: &Gather, normal: Option<Normal>, moments: Operand) -> Dispatch {
    let main = match normal {
        None => gathering(tile, problem),
        // The activation is that of what is read.
        Some(normal) => {
            let main = gathering(tile, &Gather { activation: normal.activation, ..*problem });
            tile.reading(main, normal).link("finish", "shared/finish_plain.wgsl")
        }
    };
    // Four rows at a time are added up.
    main.link("no_moments", "shared/moments.wgsl").bind("moments", moments).more_trips(tile.rows / 4)
}

fn gathering(tile: &Tile, problem: &Gather) -> Dispatch {
    let (src, w, b) = problem.operands;
    // Pixels that no window covers are not computed.
    let pixels =
        problem.windows.map_or(problem.pixels(), |[[h, w], [rows, columns]]| problem.n * rows * columns * h * w);
    let tiles_m = pixels.div_ceil(tile.rows);
    dispatch(tile, "gather", problem, pixels, (1, 1), None)
        .set("tiles_m", tiles_m)
        .bind("src", src)
        .bind("w", w)
        .bias(b, w)
        .bind("dst", Operand::Output(0))
        .workgroups(tiles_m * problem.dst[2].div_ceil(tile.columns))
        .trips(tile.trips(problem.taps() * problem.src[2]))
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
pub(super) fn weight_grad(tile: &Tile, problem: &WeightGrad, behind: Option<&PoolBehind>, wanted: Wanted) -> Lowered {
    let (forward, splits) = (&problem.forward, tile.splits(problem, wanted.images, WORKGROUPS));
    let main = dispatch(tile, "grad_weight", forward, forward.pixels(), splits, behind);
    let main = main.workgroups(tile.weight_tiles(problem) * splits.0);
    lowered(tile, problem, behind, wanted, splits, main)
}

/// Lowers the same beside the gradient of the input, into `dx`, in one dispatch. The operands are image, upstream gradient and
/// weights, the derivative is that of the activation whose output the image is, which an image that is read normalised goes through
/// when it is read; another gradient of the image may be added before that.
pub(super) fn grads(
    tile: &Tile,
    problem: &WeightGrad,
    behind: Option<&PoolBehind>,
    (normal, other): (Option<Normal>, Option<Operand>),
    wanted: Wanted,
    dx: Operand,
) -> Lowered {
    let activation = normal.and_then(|normal| normal.activation);
    let lattice = Lattice::whole([problem.forward.src[0], problem.forward.src[1]]);
    let forward = Gather { lattice, activation, ..problem.forward };
    let (tiles, pixels) = (tile.weight_tiles(problem), forward.n * forward.src[0] * forward.src[1]);
    let depth = forward.taps() * forward.dst[2];
    // A workgroup of either kind should be busy for as long as one of the other.
    let workgroups = WORKGROUPS.min(tiles * forward.pixels().div_ceil(depth));
    let splits = tile.splits(problem, wanted.images, workgroups);
    let main = dispatch(tile, "grads", &forward, forward.pixels(), splits, behind);
    let main = match other {
        None => main,
        Some(other) => main.link("finish", "shared/finish_gradient_plus.wgsl").bind("other", other),
    };
    let main = match normal {
        None => main,
        Some(normal) => {
            let main = tile.reading(main, normal);
            match normal.activation {
                None => main.link("finish", "shared/finish_plain.wgsl"),
                // The larger kernel reads the image in fours, so that single elements are another binding.
                Some(_) if *tile == FOURS => {
                    main.link("finish", "shared/finish_saved.wgsl").bind("saved", forward.operands.0)
                }
                Some(_) => main.link("finish", "shared/finish_normalised.wgsl"),
            }
        }
    };
    let main = main
        .link(tile.arriving.0, tile.arriving.1)
        .link("bias", "shared/no_bias.wgsl")
        .bind("w", Operand::Input(2))
        .bind("dst", dx)
        .workgroups(tiles * splits.0 + pixels.div_ceil(tile.rows) * forward.src[2].div_ceil(tile.columns))
        .trips(tile.trips(depth));
    lowered(tile, problem, behind, wanted, splits, main)
}

/// A kernel that sums gradients of weights, with its operands and results, and what adds up their splits.
fn lowered(
    tile: &Tile,
    problem: &WeightGrad,
    behind: Option<&PoolBehind>,
    Wanted { bias, images }: Wanted,
    splits: (usize, usize),
    main: Dispatch,
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
    let main = if *tile == LARGE { main.constant("LONG", "true") } else { main };
    let main = main
        .set("tiles_m", problem.rows().div_ceil(tile.rows))
        .set("bias", usize::from(bias.is_some()))
        .bind("src", src)
        .bind("dy", dy)
        .bind("part", part)
        .bind("part_b", part_b);
    let trips = main.trips.max(tile.trips(splits.1));
    let main = main.trips(trips);
    let main = match behind {
        None => main,
        Some(PoolBehind { places, saved, window: [h, w], .. }) => {
            let main = main
                .link("arriving_pixels", "shared/arriving_maxima.wgsl")
                .constant("POOL_H", format!("{h}u"))
                .constant("POOL_W", format!("{w}u"))
                .bind("places", *places);
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
    Lowered { variant: tile.name, workspaces, dispatches }
}
