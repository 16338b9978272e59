//! Matrix products that tiles compute (`super::conv2d_tiled`), and how long a GPU takes for them: from which follows what tile a problem
//! gets.

use super::conv2d_gather::{Gather, WeightGrad};
use super::conv2d_tiled::{FOURS, LIMITS, TILES, Tile};
use super::{BASELINE, BLOCK};
use crate::gpu::Caps;

/// A matrix product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    rows: usize,
    columns: usize,
    depth: usize,
    splits: Splits,
}

/// Among how many workgroups the terms of a product are split.
#[derive(Debug, Clone, Copy)]
enum Splits {
    One,
    /// As many as keep a GPU busy.
    Free,
    /// So many, of so many terms each.
    Set(usize, usize),
}

impl Product {
    /// Of a gather.
    pub fn gather(problem: &Gather) -> Self {
        let (rows, columns, depth) = (problem.pixels(), problem.dst[2], problem.taps() * problem.src[2]);
        Self { rows, columns, depth, splits: Splits::One }
    }

    /// Of a gradient of weights, which may be summed over so many images each.
    pub fn weights(problem: &WeightGrad, images: Option<usize>) -> Self {
        let (rows, columns, depth) = (problem.rows(), problem.forward.dst[2], problem.forward.pixels());
        let splits = problem.parts(images).map_or(Splits::Free, |(splits, each)| Splits::Set(splits, each));
        Self { rows, columns, depth, splits }
    }

    /// Of the gradient of a layer's input, of which this is the forward problem.
    pub fn transposed(forward: &Gather) -> Self {
        let [h, w, columns] = forward.src;
        Self { rows: forward.n * h * w, columns, depth: forward.taps() * forward.dst[2], splits: Splits::One }
    }

    /// Terms of each split, where they are set.
    pub fn each(&self) -> Option<usize> {
        match self.splits {
            Splits::Set(_, each) => Some(each),
            Splits::One | Splits::Free => None,
        }
    }

    /// How long a GPU takes for it in such tiles, about in cycles: in each turn every multiprocessor loads and multiplies for all
    /// workgroups that it has, and what is loaded takes its time to come.
    pub fn cost(&self, tile: &Tile) -> usize {
        const MULTIPROCESSORS: usize = 128;
        const LATENCY: usize = 1500;
        // Multiply-adds, and what else the invocations do.
        let work = tile.rows * tile.columns * tile.depth / 96 + 650;
        let tiles = self.rows.div_ceil(tile.rows) * self.columns.div_ceil(tile.columns);
        let splits = match self.splits {
            Splits::One => 1,
            Splits::Free => (4 * MULTIPROCESSORS).div_ceil(tiles.max(1)).clamp(1, self.depth.div_ceil(BLOCK).max(1)),
            Splits::Set(splits, _) => splits,
        };
        let turns = self.depth.div_ceil(splits).div_ceil(tile.depth) + 1;
        turns * (LATENCY + work).max((tiles * splits).div_ceil(MULTIPROCESSORS) * work)
    }
}

/// The tiles that serve a node which computes these products on a device, the one guessed to be fastest first: sums that are set to
/// have more terms than a tile's accumulators take are for the large ones, and that for channels in `fours` only serves those.
pub(super) fn tiles(caps: &Caps, fours: bool, products: &[Product]) -> Vec<&'static str> {
    if LIMITS.refuse(caps).is_some() {
        return Vec::new();
    }
    let fits = |product: &Product, tile: &Tile| product.each().zip(tile.most()).is_none_or(|(each, most)| each <= most);
    let serves = |tile: &&Tile| (fours || **tile != FOURS) && products.iter().all(|product| fits(product, tile));
    let mut found: Vec<&Tile> = TILES.into_iter().filter(serves).collect();
    found.sort_by_key(|tile| products.iter().map(|product| product.cost(tile)).sum::<usize>());
    found.into_iter().map(|tile| tile.name).collect()
}

/// The variants of an operator for which there are tiles alone: before the baseline on GPUs.
pub(super) fn with_baseline(mut tiles: Vec<&'static str>, caps: &Caps) -> Vec<&'static str> {
    let place = if caps.cpu { 0 } else { tiles.len() };
    tiles.insert(place, BASELINE);
    tiles
}
