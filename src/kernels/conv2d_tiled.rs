//! Register-blocked tiles through workgroup memory, for GPUs: `shaders/conv2d_tiled.wgsl`, and a larger one for channels in fours,
//! `shaders/conv2d_tiled_fours.wgsl`.

use super::conv2d_gather::{Gather, Lattice, WeightGrad};
use super::conv2d_product::{Product, SIZES};
use super::reduce::{scratch, sum_both, sum_splits};
use super::{BASELINE, BLOCK, Dispatch, Edges, Limits, Lowered, Operand, Variant};
use crate::gpu::Caps;
use crate::ops::{Activation, Op};
use crate::tensor::Spec;

/// A tile: which part of a problem a workgroup computes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// The variant's name.
    pub name: &'static str,
    shader: &'static str,
    /// The most rows, and columns.
    pub size: usize,
    /// Terms between two barriers in a tile of that size.
    depth: usize,
    /// Files that stand in for what the shader imports by itself.
    normalised: (&'static str, &'static str),
    arriving: (&'static str, &'static str),
}

/// The tile that serves every problem, with 4 × 4 outputs an invocation; of any of [`SIZES`].
pub(super) const TILED: Tile = Tile {
    name: NAME,
    shader: "conv2d_tiled.wgsl",
    size: 64,
    depth: 16,
    normalised: ("image_plain", "shared/image_normalised.wgsl"),
    arriving: ("source_image", "shared/source_arriving.wgsl"),
};

/// The tile for channels in fours, with 8 × 8 outputs an invocation.
pub(super) const FOURS: Tile = Tile {
    name: FOURS_NAME,
    shader: "conv2d_tiled_fours.wgsl",
    size: 128,
    depth: 8,
    normalised: ("fours_plain", "shared/fours_normalised.wgsl"),
    arriving: ("source_fours", "shared/source_fours_arriving.wgsl"),
};

/// The variants' names.
pub(super) const NAME: &str = "tiled";
pub(super) const FOURS_NAME: &str = "tiled_fours";
/// Rows of a convolution's output whose moments are taken together.
pub(super) const MOMENT_ROWS: usize = 64;
/// Workgroup memory that they take beside that of the tile.
const MOMENT_BYTES: u32 = 16 * 16;
/// Workgroups that a split reduction aims at: a few for each multiprocessor of a large GPU.
pub(super) const WORKGROUPS: usize = 512;

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits { workgroup_bytes: TILED.workgroup_bytes(), ..Limits::DEFAULT },
    spreads: false,
    edges: |op, _| {
        let sums = matches!(op, Op::Conv2dGradWeight(_) | Op::LinearGradWeight(_));
        let depth = [TILED.depth].into_iter().chain(sums.then_some(BLOCK)).collect();
        Edges { rows: vec![TILED.size], columns: vec![TILED.size], depth }
    },
};

/// See [`Variant`].
pub(super) const FOURS_VARIANT: Variant = Variant {
    name: FOURS_NAME,
    limits: Limits { workgroup_bytes: FOURS.workgroup_bytes(), ..Limits::DEFAULT },
    spreads: false,
    // Sizes that four does not divide are no problems of this variant: `verify::sweep` has its edges in a room of their own.
    edges: |_, _| Edges::default(),
};

impl Tile {
    /// Workgroup memory that both operands take, in padded rows of fours, and moments beside them: the smallest size has the most
    /// rows, and so the most padding.
    const fn workgroup_bytes(&self) -> u32 {
        let smallest = if self.size == SIZES[0] { SIZES[SIZES.len() - 1] } else { self.size };
        (2 * (self.depth * self.size / smallest) * (smallest / 4 + 1) * 16) as u32 + MOMENT_BYTES
    }

    /// The size that it takes for a product.
    fn fit(&self, product: Product) -> usize {
        if self.size == SIZES[0] { product.fit() } else { self.size }
    }

    /// Lets a kernel read its image normalised.
    fn reading(&self, dispatch: Dispatch, normal: Normal) -> Dispatch {
        dispatch.link(self.normalised.0, self.normalised.1).bind("table", normal.table)
    }

    /// The most trips of a loop over so many terms, whatever the size.
    fn trips(&self, terms: usize) -> usize {
        // The larger one loads in one turn what it multiplies in the next; small ones add up their slices.
        let slices = if self.size == SIZES[0] { 2 * (SIZES[0] / SIZES[SIZES.len() - 1]).pow(2) } else { 0 };
        (terms.div_ceil(self.depth) + self.size / TILED.size - 1) * (self.depth + 1) + slices
    }

    /// The tile of a variant.
    pub fn of(variant: &str) -> Option<&'static Self> {
        [&TILED, &FOURS].into_iter().find(|tile| tile.name == variant)
    }
}

/// Whether the tile for channels in fours serves a gather: four neighbours are of one tap and of one row of weights.
pub(super) fn fours_serve(problem: &Gather) -> bool {
    let fours = |sizes: &[usize]| sizes.iter().all(|size| size.is_multiple_of(4));
    let [row, tap, c, o] = problem.w_strides;
    let lie = (o == 1 && c.is_multiple_of(4)) || (c == 1 && o.is_multiple_of(4));
    lie && fours(&[problem.src[2], problem.dst[2], problem.w_first, row, tap]) && problem.windows.is_none()
}

/// Whether it serves the gradients of the weights of a layer: four neighbours are written together.
pub(super) fn fours_serve_weights(problem: &WeightGrad) -> bool {
    problem.forward.w_strides[3] == 1 && fours_serve(&problem.forward)
}

/// The tiles that serve a node which computes these products on a device, the one guessed to be faster first.
pub(super) fn tiles(caps: &Caps, fours: bool, products: &[Product]) -> Vec<&'static str> {
    let serves = |tile: &Variant, serves: bool| (serves && tile.limits.refuse(caps).is_none()).then_some(tile.name);
    let mut found: Vec<_> = [serves(&VARIANT, true), serves(&FOURS_VARIANT, fours)].into_iter().flatten().collect();
    let cost = |size: fn(&Product) -> usize| products.iter().map(|product| product.cost(size(product))).sum::<usize>();
    if cost(|_| FOURS.size) < cost(|product| product.fit()) {
        found.reverse();
    }
    found
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

/// What all entry points are told; of a tile of this size, and one of the gradient of the input of that size.
fn dispatch(
    tile: &Tile,
    entry: &'static str,
    problem: &Gather,
    pixels: usize,
    [size, size_back]: [usize; 2],
    splits: (usize, usize),
    behind: Option<&PoolBehind>,
) -> Dispatch {
    let [h_dst, w_dst] = problem.windows.map_or([problem.dst[0], problem.dst[1]], |[_, count]| count);
    let [h_windows, w_windows] = behind.map_or([0; 2], |b| b.count);
    problem
        .lattice
        .set(problem.finish(Dispatch::new(tile.shader, entry)))
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
        .set("tiles_n", problem.dst[2].div_ceil(size))
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
        .set("fours", size / 4)
        .set("fours_back", size_back / 4)
}

/// How a layer reads its image, where that goes through a batch normalisation first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal {
    /// What it goes through after that.
    pub activation: Option<Activation>,
    /// The table of the normalisation.
    pub table: Operand,
}

/// The variants of an operator for which there are tiles alone: before the baseline on GPUs.
pub(super) fn with_baseline(mut tiles: Vec<&'static str>, caps: &Caps) -> Vec<&'static str> {
    let place = if caps.cpu { 0 } else { tiles.len() };
    tiles.insert(place, BASELINE);
    tiles
}

/// Lowers a gather.
pub(super) fn gather(tile: &Tile, problem: &Gather) -> Lowered {
    let size = tile.fit(Product::gather(problem));
    let main = match problem.windows {
        None => gathering(tile, size, problem),
        Some([[h, w], _]) => gathering(tile, size, problem)
            .constant("WINDOW_H", format!("{h}u"))
            .constant("WINDOW_W", format!("{w}u"))
            .link("pixel", "shared/window_maximum.wgsl")
            .bind("argmax", Operand::Output(1)),
    };
    Lowered { variant: tile.name, workspaces: Vec::new(), dispatches: vec![main] }
}

/// A gather that also writes the moments of [`MOMENT_ROWS`] rows at a time, `[columns, 3, so many of those]`; its sums go through no
/// activation.
pub(super) fn gather_with_moments(tile: &Tile, problem: &Gather, normal: Option<Normal>, moments: Operand) -> Dispatch {
    let main = match normal {
        None => gathering(tile, tile.size, problem),
        // The activation is that of what is read.
        Some(normal) => {
            let main = gathering(tile, tile.size, &Gather { activation: normal.activation, ..*problem });
            tile.reading(main, normal).link("finish", "shared/finish_plain.wgsl")
        }
    };
    // Four rows at a time are added up for each block of outputs.
    let trips = (tile.size / TILED.size).pow(2) * MOMENT_ROWS / 4;
    main.link("no_moments", "shared/moments.wgsl").bind("moments", moments).more_trips(trips)
}

fn gathering(tile: &Tile, size: usize, problem: &Gather) -> Dispatch {
    let (src, w, b) = problem.operands;
    // Pixels that no window covers are not computed.
    let pixels =
        problem.windows.map_or(problem.pixels(), |[[h, w], [rows, columns]]| problem.n * rows * columns * h * w);
    let tiles_m = pixels.div_ceil(size);
    dispatch(tile, "gather", problem, pixels, [size; 2], (1, 1), None)
        .set("tiles_m", tiles_m)
        .bind("src", src)
        .bind("w", w)
        .bias(b, w)
        .bind("dst", Operand::Output(0))
        .workgroups(tiles_m * problem.dst[2].div_ceil(size))
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
    let size = tile.fit(Product::weights(problem, wanted.images));
    let tiles = weight_tiles(size, problem);
    let splits = problem.parts(wanted.images).unwrap_or_else(|| problem.splits(tiles, WORKGROUPS));
    lowered(tile, size, problem, behind, wanted, splits, |splits| {
        let forward = &problem.forward;
        let main = dispatch(tile, "grad_weight", forward, forward.pixels(), [size; 2], splits, behind);
        main.workgroups(tiles * splits.0)
    })
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
    let size = tile.fit(Product::weights(problem, wanted.images));
    let size_back = tile.fit(Product::transposed(&forward));
    let (tiles, pixels) = (weight_tiles(size, problem), forward.n * forward.src[0] * forward.src[1]);
    let depth = forward.taps() * forward.dst[2];
    // A workgroup of either kind should be busy for as long as one of the other.
    let workgroups = WORKGROUPS.min(tiles * forward.pixels().div_ceil(depth));
    let splits = problem.parts(wanted.images).unwrap_or_else(|| problem.splits(tiles, workgroups));
    lowered(tile, size, problem, behind, wanted, splits, |splits| {
        let main = dispatch(tile, "grads", &forward, forward.pixels(), [size, size_back], splits, behind);
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
                    // The larger tile reads the image in fours, so that single elements are another binding.
                    Some(_) if *tile == FOURS => {
                        main.link("finish", "shared/finish_saved.wgsl").bind("saved", forward.operands.0)
                    }
                    Some(_) => main.link("finish", "shared/finish_normalised.wgsl"),
                }
            }
        };
        main.link(tile.arriving.0, tile.arriving.1)
            .link("bias", "shared/no_bias.wgsl")
            .bind("w", Operand::Input(2))
            .bind("dst", dx)
            .workgroups(tiles * splits.0 + pixels.div_ceil(size_back) * forward.src[2].div_ceil(size_back))
            .trips(tile.trips(depth))
    })
}

/// Tiles of a gradient of weights.
fn weight_tiles(size: usize, problem: &WeightGrad) -> usize {
    problem.rows().div_ceil(size) * problem.forward.dst[2].div_ceil(size)
}

fn lowered(
    tile: &Tile,
    size: usize,
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
        .set("tiles_m", problem.rows().div_ceil(size))
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
