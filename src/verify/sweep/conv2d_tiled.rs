//! Tiles of convolutions for GPUs: large ones beside large ones, parts of a strided gradient that no tap reads.

use super::conv2d::{PLAIN, directions, padded};
use crate::ops::Conv2d;
use crate::verify::case::Case;

pub(super) fn cases() -> Vec<Case> {
    let large = directions("three_large_tiles_by_three", padded(1), [1, 14, 11, 32], [3, 3, 32, 132]);
    let mut cases: Vec<Case> = large.into_iter().map(|case| case.only("tiled_large")).collect();
    // Three of four parts of the gradient of its input have no tap.
    let strided = Conv2d { stride: [2, 2], ..PLAIN };
    cases.extend(directions("1x1_of_stride_2", strided, [2, 6, 7, 8], [1, 1, 8, 12]));
    cases
}
