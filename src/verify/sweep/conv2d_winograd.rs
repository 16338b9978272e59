//! Winograd's patches: round the ends of a tile of patches and of one of channels, images of odd and even sizes, no more than a patch, and
//! less; padding on one side alone.

use super::conv2d::{directions, padded};
use super::{hard, image_of, mark};
use crate::ops::{Activation, Conv2d, Conv2dActivation, Conv2dGradInput};
use crate::verify::case::{Case, Depth, noise};

/// Round the end of a tile.
const PATCHES: [usize; 3] = [31, 32, 33];
const CHANNELS: [usize; 4] = [28, 32, 36, 4];
const DEPTHS: [usize; 4] = [4, 8, 12, 36];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // The gradient of the weights of these has tiles of its own.
    let mut both = |name: &str, conv: Conv2d, x: [usize; 4], columns: usize, depth: Depth| {
        let of = directions(name, conv, x, [3, 3, x[3], columns]).into_iter().take(3);
        cases.extend(of.map(|case| case.at(depth)));
    };
    both("winograd", padded(1), [2, 9, 11, 12], 36, Depth::Quick);
    for (i, patches) in PATCHES.into_iter().enumerate() {
        for (j, columns) in CHANNELS.into_iter().enumerate() {
            let ([n, h, w], depth) = (image_of(patches), DEPTHS[(2 * i + j) % DEPTHS.len()]);
            // Of whole patches, of one row less, of one column less, and of both.
            let x = [n, 2 * h - j % 2, 2 * w - j / 2, depth];
            both(&format!("patches_{patches}_by_{columns}_over_{depth}"), padded(1), x, columns, Depth::Standard);
        }
    }
    for (name, padding, x) in [
        ("one_pixel", [1; 4], [3, 1, 1, 4]),
        ("valid", [0; 4], [2, 7, 6, 8]),
        ("pad_2", [2; 4], [2, 5, 4, 8]),
        ("pad_3", [3; 4], [1, 2, 1, 4]),
        ("padded_above_and_left", [1, 0, 1, 0], [2, 6, 9, 4]),
        ("padded_below_and_right", [0, 2, 0, 1], [2, 5, 8, 4]),
    ] {
        both(&format!("winograd_{name}"), Conv2d { padding, ..Conv2d::default() }, x, 8, Depth::Standard);
    }
    let conv = padded(1);
    let (x, w) = ([2, 9, 11, 12], [3, 3, 12, 36]);
    let activation = Activation::Relu;
    let operands = [noise(1, x), noise(2, w), noise(3, [w[3]])];
    cases.push(Case::new("winograd", Conv2dActivation { conv, activation }, operands).at(Depth::Quick));
    let (x, w) = ([2, 6, 5, 4], [3, 3, 4, 20]);
    for (name, image, special) in hard(&x, 1) {
        cases.push(mark(Case::new(format!("winograd_{name}"), conv, [image, noise(2, w)]), special));
    }
    for (name, dy, special) in hard(&[x[0], x[1], x[2], w[3]], 4) {
        let op = Conv2dGradInput { conv, input: [x[1], x[2]] };
        cases.push(mark(Case::new(format!("winograd_{name}"), op, [dy, noise(2, w)]), special));
    }
    let folded = directions("winograd_folded", conv, [4, 17, 11, 12], [3, 3, 12, 44]).into_iter().take(3);
    cases.extend(folded.map(Case::squeezed));
    // What is special is asked of all the others, whose neighbours four divides too.
    cases.into_iter().map(|case| if case.special { case } else { case.only("winograd") }).collect()
}
