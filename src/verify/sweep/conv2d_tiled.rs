//! Tiles of convolutions for GPUs: that for channels in fours, round the ends of tiles and of what is loaded at a time and tiles beside
//! tiles; parts of a strided gradient that no tap reads.

use super::conv2d::{PLAIN, directions, padded};
use super::image_of;
use crate::kernels::BLOCK;
use crate::ops::{Conv2d, Conv2dGradInput, Conv2dGradWeight};
use crate::verify::case::{Case, noise};

/// Round the ends of a tile, in fours, and round that of what is in workgroup memory at a time.
const CHANNELS: [usize; 3] = [60, 64, 68];
const ROWS: [usize; 3] = [124, 128, 132];
const DEPTHS: [usize; 5] = [4, 12, 16, 20, 32];
const PIXELS: [usize; 3] = [127, 128, 129];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = directions("three_large_tiles_by_three", padded(1), [1, 20, 14, 32], [3, 3, 32, 132]);
    for (i, pixels) in PIXELS.into_iter().enumerate() {
        let [n, h, w] = image_of(pixels);
        for (j, columns) in CHANNELS.into_iter().enumerate() {
            let depth = DEPTHS[(2 * i + j) % DEPTHS.len()];
            let name = format!("edge_{pixels}_by_{columns}_over_{depth}");
            cases.push(Case::new(&name, PLAIN, [noise(1, [n, h, w, depth]), noise(2, [1, 1, depth, columns])]));
            let input = Conv2dGradInput { conv: PLAIN, input: [h, w] };
            cases.push(Case::new(&name, input, [noise(4, [n, h, w, depth]), noise(2, [1, 1, columns, depth])]));
        }
    }
    for (i, rows) in ROWS.into_iter().enumerate() {
        for (j, pixels) in [7, 8, 9, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1].into_iter().enumerate() {
            let ([n, h, w], columns) = (image_of(pixels), CHANNELS[(i + j) % CHANNELS.len()]);
            let name = format!("edge_{rows}_by_{columns}_over_{pixels}");
            let op = Conv2dGradWeight { conv: PLAIN, kernel: [1, 1] };
            cases.push(Case::new(name, op, [noise(1, [n, h, w, rows]), noise(4, [n, h, w, columns])]));
        }
    }
    let mut cases: Vec<Case> = cases.into_iter().map(|case| case.only("tiled_fours")).collect();
    // Three of four parts of the gradient of its input have no tap.
    let strided = Conv2d { stride: [2, 2], ..PLAIN };
    cases.extend(directions("1x1_of_stride_2", strided, [2, 6, 7, 8], [1, 1, 8, 12]));
    cases
}
