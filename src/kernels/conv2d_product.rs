//! Matrix products that tiles compute (`super::conv2d_tiled`), and how long a GPU takes for them: from which follows what tile a problem
//! gets.

use super::BLOCK;
use super::conv2d_gather::{Gather, WeightGrad};
use super::conv2d_tiled::WORKGROUPS;

/// Rows and columns of the tiles that one kernel can take, the largest first.
pub(super) const SIZES: [usize; 3] = [64, 32, 16];

/// A matrix product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    /// Among how many workgroups the depth is split: as many as keep a GPU busy, or so many.
    splits: Option<usize>,
}

impl Product {
    /// Of a gather.
    pub fn gather(problem: &Gather) -> Self {
        let (rows, columns, depth) = (problem.pixels(), problem.dst[2], problem.taps() * problem.src[2]);
        Self { rows, columns, depth, splits: Some(1) }
    }

    /// Of a gradient of weights, which may be summed over so many images each.
    pub fn weights(problem: &WeightGrad, images: Option<usize>) -> Self {
        let (rows, columns, depth) = (problem.rows(), problem.forward.dst[2], problem.forward.pixels());
        Self { rows, columns, depth, splits: problem.parts(images).map(|(splits, _)| splits) }
    }

    /// Of the gradient of a layer's input, of which this is the forward problem.
    pub fn transposed(forward: &Gather) -> Self {
        let [h, w, columns] = forward.src;
        Self { rows: forward.n * h * w, columns, depth: forward.taps() * forward.dst[2], splits: Some(1) }
    }

    /// The size of the tile that is fastest for it.
    pub fn fit(&self) -> usize {
        SIZES.into_iter().min_by_key(|&size| self.cost(size)).unwrap_or(SIZES[0])
    }

    /// How long a GPU takes for it in tiles of this size, about in cycles: in each turn every multiprocessor loads and multiplies for all
    /// workgroups that it has, and what is loaded takes its time to come. 64 x 64 outputs and 16 terms are a turn of the largest of
    /// [`SIZES`]; smaller ones have as many operands a turn. A tile of 128 x 128 waits for its operands, 8 terms a turn.
    ///
    /// Measured on an H100 (132 multiprocessors, 128 multiply-adds a cycle each).
    pub fn cost(&self, size: usize) -> usize {
        const MULTIPROCESSORS: usize = 128;
        const LATENCY: usize = 1000;
        let (terms, work) = match size {
            128 => (8, 2000),
            _ => (1024 / size, 8 * size + 160),
        };
        let tiles = self.rows.div_ceil(size) * self.columns.div_ceil(size);
        let most = self.depth.div_ceil(BLOCK).max(1);
        let splits = self.splits.unwrap_or_else(|| WORKGROUPS.div_ceil(tiles.max(1)).clamp(1, most));
        let turns = self.depth.div_ceil(splits).div_ceil(terms);
        turns * (LATENCY + work).max((tiles * splits).div_ceil(MULTIPROCESSORS) * work)
    }
}
