//! Convolutions of few input channels, and those with a max pool behind them.

use super::{DRIFTING, hard, mark};
use crate::ops::random::random;
use crate::ops::{
    Activation, Conv2d, Conv2dActivation, Conv2dGradWeight, Conv2dMaxPool2d, Conv2dMaxPool2dGradWeight, Op, Operator,
    Pool2d,
};
use crate::tensor::Spec;
use crate::verify::case::{Case, Depth, Operand, noise, outputs_of, values};

const PLAIN: Conv2d = Conv2d { stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 };
const PADDED: Conv2d = Conv2d { padding: [1; 4], ..PLAIN };
const STEPS: Conv2d = Conv2d { stride: [2, 3], dilation: [2, 1], padding: [2, 0, 1, 3], groups: 1 };

const fn tiles(kernel: [usize; 2]) -> Pool2d {
    Pool2d { kernel, stride: kernel, padding: [0; 4], ceil_mode: false }
}

const RELU: Option<Activation> = Some(Activation::Relu);

/// A convolution with the shapes of its image [n, h, w, c_in] and weights [k_h, k_w, c_in / groups, c_out].
type Row = (&'static str, Conv2d, [usize; 4], [usize; 4]);

/// Widths that cells of four pixels divide or not, output channels that fill a workgroup, half of one, or two and some
/// lanes.
const FEW: [Row; 3] = [
    ("image_of_28", PLAIN, [3, 28, 28, 1], [3, 3, 1, 32]),
    ("half_of_the_lanes_padded", PADDED, [2, 7, 9, 1], [3, 3, 1, 16]),
    ("steps", STEPS, [2, 15, 19, 2], [2, 5, 2, 68]),
];

/// A convolution, what its output goes through, and the pool behind that.
type Pooled = (&'static str, Conv2d, Option<Activation>, Pool2d, [usize; 4], [usize; 4]);

const QUICK: [Pooled; 3] = [
    ("first_layer", PLAIN, RELU, tiles([2, 2]), [2, 12, 14, 1], [3, 3, 1, 32]),
    ("second_layer", PADDED, RELU, tiles([2, 2]), [2, 7, 6, 8], [3, 3, 8, 32]),
    ("odd_channels", PLAIN, RELU, tiles([2, 2]), [2, 9, 8, 5], [3, 3, 5, 7]),
];

/// For a kernel that computes some pixels at a time, windows of half as many.
const HALVES: Pooled = ("windows_1x2_of_many_images", PLAIN, RELU, tiles([1, 2]), [37, 4, 6, 5], [2, 3, 5, 20]);

/// Of these only what windows cover is computed.
const CROPPED: [Pooled; 2] = [
    ("cropped", PLAIN, RELU, tiles([2, 2]), [2, 11, 9, 8], [3, 3, 8, 32]),
    ("first_layer_cropped", PLAIN, RELU, tiles([2, 2]), [2, 9, 11, 1], [3, 3, 1, 36]),
];

const POOLED: [Pooled; 6] = [
    ("windows_cut", PLAIN, RELU, tiles([2, 2]), [2, 9, 11, 1], [3, 3, 1, 12]),
    (
        "windows_3x1_strided",
        Conv2d { stride: [1, 2], dilation: [2, 1], ..PADDED },
        Some(Activation::Tanh),
        tiles([3, 1]),
        [2, 11, 9, 3],
        [3, 3, 3, 68],
    ),
    ("windows_hang_over", PLAIN, RELU, Pool2d { ceil_mode: true, ..tiles([2, 3]) }, [2, 9, 8, 1], [2, 2, 1, 4]),
    ("overlapping", PADDED, RELU, OVERLAPPING, [2, 7, 9, 3], [3, 3, 3, 8]),
    ("two_groups", Conv2d { groups: 2, ..PADDED }, RELU, tiles([2, 2]), [2, 6, 7, 6], [3, 3, 3, 8]),
    ("fours", PADDED, RELU, tiles([2, 2]), [3, 13, 6, 12], [3, 3, 12, 20]),
];

const OVERLAPPING: Pool2d = Pool2d { kernel: [3, 3], stride: [2, 2], padding: [1; 4], ceil_mode: false };

/// Multiples of `step` up to 16 of them, of either sign. Their products and sums are exact, so that the place of a maximum is
/// nobody's rounding.
fn steps(seed: u32, shape: [usize; 4], step: f32) -> Operand {
    let all: Vec<f32> = (0..499).map(|i| (random(seed, 0, i) % 33) as f32 * step - 16.0 * step).collect();
    values(shape, &all)
}

/// Both directions, the gradient with a bias and, if this is wanted, without.
fn directions((name, conv, activation, pool, x, w): Pooled, crop: bool, without_bias: bool) -> Vec<Case> {
    // Where an activation bends, sums are small, lest float32 makes two of them one.
    let fine = !matches!(activation, None | RELU);
    let (x, w) = (steps(1, x, 0.125), steps(2, w, if fine { 1.0 / 64.0 } else { 0.125 }));
    let bias = Operand { spec: Spec::f32([w.spec.shape[3]]), values: steps(3, [1; 4], 0.125).values };
    let forward = Conv2dMaxPool2d { conv, activation, pool, crop };
    let operands = [x, w, bias];
    let mut cases = vec![
        Case::new(name, forward, &operands[..2]),
        Case::new(format!("{name}_bias"), forward, &operands[..]),
        gradient(&format!("{name}_bias"), forward, &operands, None),
    ];
    if without_bias {
        cases.push(gradient(name, forward, &operands[..2], None));
    }
    // The other variants are kernels of their own, which are asked with every activation.
    if fine { cases.into_iter().map(|case| case.only("few_channels")).collect() } else { cases }
}

/// The gradient of weights and, if there is one among the operands, bias; upstream is noise, or what is given.
fn gradient(name: &str, forward: Conv2dMaxPool2d, operands: &[Operand], upstream: Option<Operand>) -> Case {
    let outputs = outputs_of(forward, operands);
    let upstream = upstream.unwrap_or_else(|| noise(4, outputs[0].spec.shape.clone()));
    let saved = forward.activation.map(|_| outputs[0].clone());
    let inputs: Vec<_> = [operands[0].clone(), upstream, outputs[1].clone()].into_iter().chain(saved).collect();
    let w = &operands[1].spec.shape;
    let op = Conv2dMaxPool2dGradWeight { forward, kernel: [w[0], w[1]], bias: operands.len() > 2, images: None };
    Case::new(name, op, inputs)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = few_channels();
    for (i, row) in QUICK.into_iter().enumerate() {
        // Few channels have a program of their own without a bias, which is asked without a pool.
        cases.extend(directions(row, false, i > 0).into_iter().map(|case| case.at(Depth::Quick)));
    }
    let plain = ("no_activation", PLAIN, None, tiles([2, 2]), [2, 9, 8, 5], [3, 3, 5, 7]);
    cases.extend(directions(plain, false, true).into_iter().map(|case| case.at(Depth::Full)));
    for row in CROPPED {
        cases.extend(directions(row, true, false).into_iter().map(|case| case.at(Depth::Quick)));
    }
    cases.extend(
        directions(HALVES, false, false).into_iter().take(2).map(|case| case.only("broadcast").at(Depth::Full)),
    );
    for row in POOLED {
        // Three numbers that are part of a program, which others have too.
        let depth = if row.0 == "windows_3x1_strided" { Depth::Full } else { Depth::Standard };
        cases.extend(directions(row, false, false).into_iter().map(|case| case.at(depth)));
    }
    let folded = ("folded", PLAIN, RELU, tiles([2, 2]), [7, 15, 15, 1], [3, 3, 1, 68]);
    cases.extend(directions(folded, false, false).into_iter().map(Case::squeezed));
    cases.extend(hard_values());
    cases
}

fn few_channels() -> Vec<Case> {
    let mut cases = Vec::new();
    let both = |name: &str, (conv, x, w): (Conv2d, [usize; 4], [usize; 4])| {
        let (name, kernel) = (format!("few_channels_{name}"), [w[0], w[1]]);
        let y = conv.infer(&[Spec::f32(x), Spec::f32(w)]).unwrap_or_else(|error| panic!("{error}")).remove(0);
        let operands = [noise(1, x), noise(2, w), noise(3, [w[3]])];
        vec![
            Case::new(&name, conv, &operands[..2]),
            Case::new(format!("{name}_bias"), conv, &operands[..]),
            Case::new(&name, Conv2dGradWeight { conv, kernel }, [noise(1, x), noise(4, y.shape)]),
        ]
    };
    for (i, (name, conv, x, w)) in FEW.into_iter().enumerate() {
        let few = both(name, (conv, x, w)).into_iter();
        // The other variants have geometries of their own.
        cases.extend(few.map(|case| if i < 2 { case.at(Depth::Quick) } else { case.only("few_channels") }));
    }
    for (name, conv, x, w) in FEW.into_iter().take(1) {
        let operands = [noise(1, x), noise(2, w), noise(3, [w[3]])];
        let op = Conv2dActivation { conv, activation: Activation::Relu };
        cases.push(Case::new(format!("few_channels_{name}"), op, operands).at(Depth::Quick));
    }
    for (name, conv, activation, pool, x, w) in [QUICK[0], CROPPED[1], QUICK[2], POOLED[3]] {
        let forward = Conv2dMaxPool2d { conv, activation, pool, crop: name.ends_with("cropped") };
        let operands = [steps(1, x, 0.125), steps(2, w, 0.125), values([w[3]], &[0.5])];
        let bias = name != "odd_channels";
        let mut case = gradient(&format!("{name}_sums"), forward, &operands[..if bias { 3 } else { 2 }], None);
        if let Op::Conv2dMaxPool2dGradWeight(op) = &mut case.op {
            op.images = Some(1);
        }
        cases.push(case);
    }
    let folded = both("folded", (STEPS, [23, 15, 14, 2], [2, 5, 2, 68])).into_iter();
    cases.extend(folded.map(|case| case.only("few_channels").squeezed()));
    // So many cells that a run has more of them than there are runs.
    let operands = [noise(1, [5, 60, 61, 1]), noise(2, [3, 3, 1, 32])];
    cases.push(Case::new("few_channels_many_cells", PLAIN, operands).only("few_channels"));
    // So many pixels that each split has several blocks, all of one sign.
    let image = || values([1, 514, 514, 1], &DRIFTING[1..]);
    let operands = [image(), values([1, 512, 512, 4], &[1.0])];
    let drifting = Conv2dGradWeight { conv: PLAIN, kernel: [3, 3] };
    cases.push(Case::new("few_channels_drifting", drifting, operands).only("few_channels"));
    let windows = Conv2dMaxPool2d { conv: PLAIN, activation: RELU, pool: tiles([2, 2]), crop: false };
    let operands = [image(), values([3, 3, 1, 4], &[1.0]), values([4], &[0.0])];
    let upstream = values([1, 256, 256, 4], &DRIFTING[1..]);
    cases.push(gradient("drifting", windows, &operands, Some(upstream)).only("few_channels"));
    cases
}

/// Values at which sums and maxima break.
fn hard_values() -> Vec<Case> {
    let forward = Conv2dMaxPool2d { conv: PLAIN, activation: RELU, pool: tiles([2, 2]), crop: false };
    let (x, w) = ([2, 8, 9, 1], steps(2, [3, 3, 1, 32], 0.125));
    let mut cases = Vec::new();
    for (name, x, special) in hard(&x, 1) {
        cases.push(mark(Case::new(name, forward, [x, w.clone()]), special));
    }
    let operands = [steps(1, x, 0.125), w, values([32], &[0.5])];
    for (name, dy, special) in hard(&outputs_of(forward, &operands)[0].spec.shape.clone(), 4) {
        cases.push(mark(gradient(&format!("upstream_{name}"), forward, &operands, Some(dy)), special));
    }
    cases
}
