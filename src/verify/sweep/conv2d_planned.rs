//! What plans of networks run on processors and edges do not ask: specialised programs for sizes that layers often have.

use super::conv2d::{Row, directions, output, padded, strided};
use super::conv2d_bias;
use crate::ops::{Activation, Conv2dActivation, Conv2dGradInput, Conv2dGradInputActivationGrad, Conv2dGradWeight};
use crate::verify::case::{Case, noise};

/// Lengths of rows whose gradients of weights are programs of their own: of images of 5 to 32 pixels, whole or in parts.
const ROWS: [usize; 6] = [3, 4, 5, 7, 8, 10];

/// Where an image becomes half as large: by a convolution, and by the shortcut beside it.
const HALVING: [Row; 4] = [
    ("halves_16_by_3x3", strided(2, 2, [1; 4]), [9, 8, 16, 8], [3, 3, 8, 12]),
    ("halves_8_by_3x3", strided(2, 2, [1; 4]), [17, 8, 8, 8], [3, 3, 8, 12]),
    ("halves_16_by_1x1", strided(2, 2, [0; 4]), [9, 8, 16, 8], [1, 1, 8, 12]),
    ("halves_8_by_1x1", strided(2, 2, [0; 4]), [17, 8, 8, 8], [1, 1, 8, 12]),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in ROWS {
        // More pixels than are summed in one part.
        let [x, w] = [[280 / row, 1, row, 8], [3, 3, 8, 12]];
        let weight = Conv2dGradWeight { conv: padded(1), kernel: [3, 3] };
        let name = format!("many_rows_of_{row}");
        cases.push(conv2d_bias::case(&name, padded(1), x, w, None));
        cases.push(Case::new(&name, weight, [noise(1, x), noise(4, output(padded(1), &x, &w))]));
    }
    for (name, conv, x, w) in HALVING {
        let weight = Conv2dGradWeight { conv, kernel: [w[0], w[1]] };
        cases.push(Case::new(name, weight, [noise(1, x), noise(4, output(conv, &x, &w))]));
    }
    // So few channels that a tile is narrow.
    let (x, w) = ([2, 5, 6, 16], [3, 3, 16, 16]);
    cases.extend(directions("channels_16_to_16", padded(1), x, w));
    let sum = Conv2dGradInput { conv: padded(1), input: [x[1], x[2]] };
    let scaled = Conv2dGradInputActivationGrad { sum, activation: Activation::Relu };
    cases.push(Case::new("channels_16_to_16", scaled, [noise(4, x), noise(2, w), noise(5, x)]));
    let mut cases: Vec<Case> = cases.into_iter().map(|case| case.only("broadcast_textures")).collect();
    // Pictures in colours.
    let (x, w) = ([2, 7, 8, 3], [3, 3, 3, 16]);
    let mut colours = directions("colours_to_16", padded(1), x, w);
    let relu = Conv2dActivation { conv: padded(1), activation: Activation::Relu };
    colours.push(Case::new("colours_to_16", relu, [noise(1, x), noise(2, w), noise(3, [16])]));
    colours.push(conv2d_bias::case("colours_to_16", padded(1), x, w, None));
    cases.extend(colours.into_iter().map(|case| case.only("few_channels")));
    cases
}
