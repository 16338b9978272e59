//! Convolutions of few input channels, for adapters that compute on a CPU: `shaders/conv2d_few_channels.wgsl`, alone or with a
//! max pool whose windows tile what it reads.

use super::activation::epilogue;
use super::conv2d_broadcast::{LIMITS, subgroup};
use super::conv2d_gather::Gather;
use super::reduce::sum_splits;
use super::{BLOCK, Dispatch, Edges, Lowered, Operand, Variant};
use crate::gpu::Caps;
use crate::ops::Pool2d;
use crate::tensor::Spec;

/// The variant's name.
pub(super) const NAME: &str = "few_channels";
/// The most input channels: with four, operands go through textures.
const MOST_CHANNELS: usize = 3;
/// The most weights of an output channel, which stay in registers, and elements of a patch.
const MOST_TAPS: usize = 32;
const MOST_ELEMENTS: usize = 96;
/// The pixels of a cell where no pool says them.
const CELL: [usize; 2] = [1, 4];
/// Enough workgroups for a few cores to share evenly; more would only load their weights again.
const WORKGROUPS: usize = 32;
/// Cells of a workgroup: old software drivers loop no longer.
const MOST_CELLS: usize = 32_768;

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: LIMITS,
    spreads: false,
    // Its problems are too special for a general sweep: the sweep of `conv2d_max_pool2d` names them.
    edges: |_, _| Edges::default(),
};

/// A problem that this family serves: a forward convolution, its weights and what stands behind it.
pub(super) struct FewChannels<'a> {
    /// The convolution; `dst` is its own output, before a pool.
    pub conv: &'a Gather,
    /// The pool behind it, and height and width of what that writes.
    pub pool: Option<(&'a Pool2d, [usize; 2])>,
}

impl FewChannels<'_> {
    /// Height and width of a cell.
    fn cell(&self) -> [usize; 2] {
        self.pool.map_or(CELL, |(pool, _)| pool.kernel)
    }

    /// Cells of an image, vertical and horizontal.
    fn cells(&self) -> [usize; 2] {
        let cell = self.cell();
        self.pool.map_or([0, 1].map(|axis| self.conv.dst[axis].div_ceil(cell[axis])), |(_, windows)| windows)
    }

    /// Elements of x that a cell needs.
    fn elements(&self) -> usize {
        let (conv, cell) = (self.conv, self.cell());
        let side = |axis: usize| {
            (cell[axis] - 1) * conv.mul[axis] as usize + (conv.kernel[axis] - 1) * conv.step[axis] as usize + 1
        };
        side(0) * side(1) * conv.src[2]
    }

    /// Whether there is such a kernel.
    pub fn serves(&self) -> bool {
        let [c_in, c_out] = [self.conv.src[2], self.conv.dst[2]];
        // Each window of the pool is a cell, and all of it lies inside.
        let [h, w, _] = self.conv.dst;
        let tiles = self.pool.is_none_or(|(pool, windows)| pool.tiles(windows, [h, w]));
        let small = self.conv.taps() * c_in <= MOST_TAPS && self.elements() <= MOST_ELEMENTS;
        tiles && small && c_in <= MOST_CHANNELS && c_out.is_multiple_of(4)
    }

    /// Whether at least half of the lanes of a workgroup have channels.
    pub fn fills_half(&self, caps: &Caps) -> bool {
        2 * (self.conv.dst[2] / 4) >= subgroup(caps)
    }

    fn dispatch(&self, entry: &'static str, caps: &Caps) -> (Dispatch, Runs) {
        let (conv, subgroup) = (self.conv, subgroup(caps));
        let ([cells_h, cells_w], [cell_h, cell_w]) = (self.cells(), self.cell());
        let cells = conv.n * cells_h * cells_w;
        let tiles = (conv.dst[2] / 4).div_ceil(subgroup);
        let runs = WORKGROUPS.div_ceil(tiles).clamp(cells.div_ceil(MOST_CELLS), cells);
        let each = cells.div_ceil(runs);
        let runs = Runs { count: cells.div_ceil(each), each };
        let cell_file = if self.pool.is_some() { "shared/cell_maximum.wgsl" } else { "shared/cell_pixels.wgsl" };
        let dispatch = Dispatch::new("conv2d_few_channels.wgsl", entry)
            .link("cell_pixels", cell_file)
            .constant("SUBGROUP", format!("{subgroup}u"))
            .constant("C_IN", format!("{}u", conv.src[2]))
            .constant("K_H", format!("{}u", conv.kernel[0]))
            .constant("K_W", format!("{}u", conv.kernel[1]))
            .constant("STRIDE_H", format!("{}u", conv.mul[0]))
            .constant("STRIDE_W", format!("{}u", conv.mul[1]))
            .constant("DILATION_H", format!("{}u", conv.step[0]))
            .constant("DILATION_W", format!("{}u", conv.step[1]))
            .constant("CELL_H", format!("{cell_h}u"))
            .constant("CELL_W", format!("{cell_w}u"))
            .set("h_in", conv.src[0])
            .set("w_in", conv.src[1])
            .set("h_out", conv.dst[0])
            .set("w_out", conv.dst[1])
            .set("c_out", conv.dst[2] / 4)
            .set("pad_h", -conv.off[0] as u32)
            .set("pad_w", -conv.off[1] as u32)
            .set("cells", cells)
            .set("cells_h", cells_h)
            .set("cells_w", cells_w)
            .set("tiles", tiles)
            .set("cells_per_run", runs.each)
            .set("splits", runs.count)
            .workgroups(tiles * runs.count);
        (dispatch, runs)
    }

    /// Lowers the forward operator: input, weights and perhaps a bias; y and, with a pool, argmax.
    pub fn forward(&self, caps: &Caps) -> Lowered {
        let (x, w, b) = self.conv.operands;
        let (dispatch, runs) = self.dispatch("forward", caps);
        let dispatch = epilogue(dispatch, self.conv.activation)
            .bind("x", x)
            .bind("w", w)
            .bias(b, w)
            .bind("y", Operand::Output(0))
            .trips(runs.each + 1);
        let dispatch = if self.pool.is_some() { dispatch.bind("argmax", Operand::Output(1)) } else { dispatch };
        Lowered { variant: NAME, workspaces: Vec::new(), dispatches: vec![dispatch] }
    }

    /// Lowers the gradient of the weights and, where it is wanted, of the bias: x, dy and, with a pool, the forward argmax and y
    /// (of which that is read if there is an activation).
    pub fn grad_weight(&self, bias: bool, caps: &Caps) -> Lowered {
        let (x, dy, _) = self.conv.operands;
        let (dispatch, runs) = self.dispatch("grad_weight", caps);
        let [c_out, weights] = [self.conv.dst[2], self.conv.taps() * self.conv.src[2] * self.conv.dst[2]];
        let [of_weights, of_bias] = [runs.count * weights, if bias { runs.count * c_out } else { 0 }];
        // A part of a buffer is bound from a multiple of 64 elements on.
        let from = of_weights.next_multiple_of(64);
        let part = Operand::Workspace(0);
        let dispatch = epilogue(dispatch, self.conv.activation)
            .constant("BIAS", format!("{}u", usize::from(bias)))
            .set("bias", from / 4)
            .bind("x", x)
            .bind("dy", dy)
            .bind("part", part)
            .trips(runs.each + runs.each / (BLOCK / (self.cell()[0] * self.cell()[1])) + 1);
        let dispatch = match self.pool {
            None => dispatch,
            Some(_) => {
                let saved = if self.conv.activation.is_some() { Operand::Input(3) } else { dy };
                dispatch.bind("places", Operand::Input(2)).bind("saved", saved)
            }
        };
        let sum = |output, range: std::ops::Range<usize>, len| {
            let mut sum = sum_splits(part, Operand::Output(output), runs.count, len);
            sum.bindings.iter_mut().filter(|bound| bound.operand == part).for_each(|b| b.range = Some(range.clone()));
            sum
        };
        let mut dispatches = vec![dispatch, sum(0, 0..of_weights, weights)];
        if bias {
            dispatches.push(sum(1, from..from + of_bias, c_out));
        }
        Lowered { variant: NAME, workspaces: vec![Spec::f32([from + of_bias])], dispatches }
    }
}

/// The runs of cells, and the cells of one.
struct Runs {
    count: usize,
    each: usize,
}
