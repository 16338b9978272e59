//! Gradients of convolutions' weights with that of a bias: tiles that are full or not, one split and several, long sums.

use super::conv2d::{DEPTHWISE, PLAIN, QUICK, Row, output, padded};
use super::{DRIFTING, hard, mark};
use crate::ops::{Conv2d, Conv2dGradWeight, Conv2dGradWeightBias};
use crate::verify::case::{Case, Depth, Operand, noise, values};

/// Geometries beside the quick ones; where they have a kernel of their own, that of the weights alone is asked about them too.
const GEOMETRIES: [Row; 3] = [
    ("several_images_a_split", padded(1), [9, 7, 11, 12], [3, 3, 12, 20]),
    ("three_tiles_by_three", padded(1), [1, 13, 10, 16], [3, 3, 16, 131]),
    ("two_groups", Conv2d { groups: 2, ..padded(1) }, [2, 6, 7, 6], [3, 3, 3, 10]),
];

const FEW_CHANNELS: Row = ("image_of_28", PLAIN, [3, 28, 28, 1], [3, 3, 1, 32]);

pub(super) fn case(name: &str, conv: Conv2d, x: [usize; 4], w: [usize; 4], dy: Option<Operand>) -> Case {
    let op = Conv2dGradWeightBias { weight: Conv2dGradWeight { conv, kernel: [w[0], w[1]] } };
    let dy = dy.unwrap_or_else(|| noise(4, output(conv, &x, &w)));
    Case::new(name, op, [noise(1, x), dy])
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, conv, x, w) in QUICK.into_iter().chain([FEW_CHANNELS, DEPTHWISE[0]]) {
        cases.push(case(name, conv, x, w, None).at(Depth::Quick));
    }
    for (name, conv, x, w) in GEOMETRIES {
        cases.push(case(name, conv, x, w, None));
    }
    cases.push(case("folded_tiles", padded(1), [7, 16, 16, 3], [3, 3, 3, 5], None).squeezed());
    let drifting = values([1, 512, 512, 1], &DRIFTING[..1]);
    cases.push(case("drifting", PLAIN, [1, 512, 512, 1], [1, 1, 1, 1], Some(drifting)).only("tiled_large"));
    let drifting = values([1, 512, 512, 4], &DRIFTING[..1]);
    let fours = case("fours_drifting", PLAIN, [1, 512, 512, 4], [1, 1, 4, 4], Some(drifting));
    cases.push(fours.only("tiled_fours").at(Depth::Full));
    let large = case("three_large_tiles_by_three", padded(1), [1, 20, 14, 32], [3, 3, 32, 132], None);
    cases.push(large.only("tiled_fours"));
    let (x, w) = ([2, 8, 7, 4], [3, 3, 4, 18]);
    for (name, dy, special) in hard(&output(PLAIN, &x, &w), 4) {
        cases.push(mark(case(name, PLAIN, x, w, Some(dy)), special));
    }
    cases
}
