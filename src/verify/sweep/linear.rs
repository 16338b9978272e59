//! Linear layers: sizes round the edges of each variant, long sums, hard values.

use super::{DRIFTING, conv2d_grad, edges, hard, mark, named, specials};
use crate::gpu::Caps;
use crate::kernels::BASELINE;
use crate::ops::{
    Activation, Linear, LinearActivation, LinearGradInput, LinearGradInputActivationGrad, LinearGradWeight,
    LinearGradWeightBias,
};
use crate::verify::case::{Case, Depth, floats, noise, values};

/// Rows, inputs, outputs.
const QUICK: [[usize; 3]; 3] = [[5, 32, 64], [33, 65, 10], [7, 160, 33]];
const SIZES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [1, 5, 3],
    [64, 10, 31],
    [31, 33, 1],
    [2, 3, 5],
    [65, 64, 65],
    [5, 1600, 32],
    [13, 31, 7],
    [1000, 3, 5],
    [17, 47, 41],
];
/// Images [n, h, w, c] and outputs: those that come out even for the fast variants, and those that do not.
const IMAGES: [([usize; 4], usize); 4] =
    [([35, 2, 3, 8], 20), ([3, 2, 4, 5], 33), ([5, 1, 3, 7], 8), ([70, 2, 2, 36], 5)];
const LARGE: [[usize; 3]; 3] = [[70_000, 3, 61], [3, 20_000, 70], [300_000, 3, 5]];

/// The gradient of an input that is no image.
const ROWS: LinearGradInput = LinearGradInput { image: None };
const WITH_BIAS: LinearGradWeightBias = LinearGradWeightBias { weight: LinearGradWeight };

fn directions(name: &str, [n, inputs, outputs]: [usize; 3]) -> Vec<Case> {
    let (x, w, dy) = (noise(1, [n, inputs]), noise(2, [outputs, inputs]), noise(4, [n, outputs]));
    vec![
        Case::new(name, Linear, [x.clone(), w.clone()]),
        named(&[name, "bias"], Linear, [x.clone(), w.clone(), noise(3, [outputs])]),
        Case::new(name, ROWS, [dy.clone(), w]),
        Case::new(name, LinearGradWeight, [x.clone(), dy.clone()]),
        Case::new(name, WITH_BIAS, [x, dy]),
    ]
}

/// Images that no layer flattened, in every direction.
fn images() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (x, outputs)) in IMAGES.into_iter().enumerate() {
        let [n, h, w, c] = x;
        let depth = if number == 0 { Depth::Quick } else { Depth::Standard };
        let name = format!("image_{h}x{w}x{c}_to_{outputs}");
        let (image, weights, dy) = (noise(1, x), noise(2, [outputs, h * w * c]), noise(4, [n, outputs]));
        let sum = LinearGradInput { image: Some([h, w, c]) };
        let scaled = LinearGradInputActivationGrad { sum, activation: Activation::Relu };
        let relu = LinearActivation { activation: Activation::Relu };
        let quick_or_baseline = |case: Case| if depth == Depth::Quick { case } else { case.only(BASELINE) };
        for case in [
            Case::new(&name, Linear, [image.clone(), weights.clone()]),
            Case::new(&name, relu, [image.clone(), weights.clone(), noise(3, [outputs])]),
            Case::new(&name, sum, [dy.clone(), weights.clone()]),
            // The other kernels that scale are those that sum, with another ending.
            quick_or_baseline(Case::new(&name, scaled, [dy.clone(), weights, noise(5, x)])),
            Case::new(&name, LinearGradWeight, [image.clone(), dy.clone()]),
            Case::new(&name, WITH_BIAS, [image, dy]),
        ] {
            cases.push(case.at(depth));
        }
    }
    cases
}

/// With the derivative of an activation; what becomes of one that saves its input is asked of a convolution, whose kernels end
/// alike.
fn scaled() -> Vec<Case> {
    let [n, inputs, outputs] = [9, 18, 21];
    let op = LinearGradInputActivationGrad { sum: ROWS, activation: Activation::Relu };
    let case = |name: &str, dy| Case::new(name, op, [dy, noise(2, [outputs, inputs]), noise(5, [n, inputs])]);
    let fours = [noise(4, [n, 24]), noise(2, [24, 20]), noise(5, [n, 20])];
    let from_10 = [noise(4, [n, 10]), noise(2, [10, 64]), noise(5, [n, 64])];
    let mut cases = vec![case("relu", noise(4, [n, outputs])), Case::new("relu_fours", op, fours)];
    cases = cases.into_iter().map(|case| case.at(Depth::Quick)).collect();
    // As behind the last layer of a classifier.
    cases.push(Case::new("relu_from_10", op, from_10));
    let special = specials(&[n, outputs], 4).into_iter();
    cases.extend(special.map(|(name, dy)| case(name, dy).only(BASELINE).special()));
    cases
}

pub(super) fn cases(caps: &Caps) -> Vec<Case> {
    let mut cases = images();
    cases.extend(conv2d_grad::layers());
    cases.extend(scaled());
    for (sizes, depth) in [(&QUICK[..], Depth::Quick), (&SIZES[..], Depth::Standard), (&LARGE[..], Depth::Full)] {
        for &sizes in sizes {
            let [n, inputs, outputs] = sizes;
            let all = directions(&format!("{n}_rows_{inputs}_to_{outputs}"), sizes);
            cases.extend(all.into_iter().map(|case| case.at(depth)));
        }
    }
    cases.extend(directions("folded", [9, 41, 77]).into_iter().map(Case::squeezed));
    let relu = LinearActivation { activation: Activation::Relu };
    let fours = [noise(1, [9, 20]), noise(2, [20, 20]), noise(3, [20])];
    cases.push(Case::new("relu_fours", relu, fours).at(Depth::Quick));
    let operands = [noise(1, [9, 21]), noise(2, [18, 21]), noise(3, [18])];
    cases.push(Case::new("relu_bias", relu, operands.clone()).at(Depth::Quick));
    for (name, x, special) in hard(&[9, 21], 1) {
        let operands = [x, noise(2, [18, 21]), noise(3, [18])];
        cases.push(mark(Case::new(name, LinearActivation { activation: Activation::Relu }, operands), special));
    }
    let name = |[rows, columns, depth]: [usize; 3]| format!("edge_{rows}_by_{columns}_over_{depth}");
    for (variant, sizes, depth) in edges(Linear, caps) {
        let [n, outputs, inputs] = sizes;
        let operands = [noise(1, [n, inputs]), noise(2, [outputs, inputs]), noise(3, [outputs])];
        cases.push(Case::new(name(sizes), Linear, operands).only(variant).at(depth));
        let operands = [noise(4, [n, inputs]), noise(2, [inputs, outputs])];
        cases.push(Case::new(name(sizes), ROWS, operands).only(variant).at(depth));
    }
    for (variant, sizes, depth) in edges(LinearGradWeight, caps) {
        let [inputs, outputs, n] = sizes;
        let operands = [noise(1, [n, inputs]), noise(4, [n, outputs])];
        cases.push(Case::new(name(sizes), LinearGradWeight, operands).only(variant).at(depth));
    }
    let [n, inputs, outputs] = [9, 21, 18];
    for (name, x, special) in hard(&[n, inputs], 1) {
        let w = noise(2, [outputs, inputs]);
        cases.push(mark(Case::new(name, Linear, [x.clone(), w, noise(3, [outputs])]), special));
        cases.push(mark(Case::new(name, LinearGradWeight, [x, noise(4, [n, outputs])]), special));
    }
    for (name, dy, special) in hard(&[n, outputs], 4) {
        cases.push(mark(Case::new(name, WITH_BIAS, [noise(1, [n, inputs]), dy.clone()]), special));
        cases.push(mark(Case::new(name, ROWS, [dy, noise(2, [outputs, inputs])]), special));
    }
    let one_sided = |seed: u32, width: usize| floats(seed, [20_000, width], 0.5, 2.5);
    cases.push(Case::new("sum_over_20000_rows", LinearGradWeight, [one_sided(1, 2), one_sided(2, 3)]));
    cases.push(Case::new("sum_over_20000_rows", WITH_BIAS, [one_sided(1, 2), one_sided(2, 70)]));
    let operands = [values([1 << 20, 1], &DRIFTING[..1]), values([1 << 20, 1], &[1.0])];
    cases.push(Case::new("drifting", LinearGradWeight, operands).only(BASELINE));
    cases
}
