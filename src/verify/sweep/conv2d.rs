//! Convolutions: geometries, channel counts, long sums, and the edges of each variant.

use super::{
    DRIFTING, conv2d_bias, conv2d_grad, conv2d_max_pool2d, conv2d_planned, conv2d_tiled, conv2d_winograd, edges, hard,
    image_of, mark, named, specials,
};
use crate::gpu::Caps;
use crate::kernels::BASELINE;
use crate::ops::{Activation, Conv2d, Conv2dActivation, Conv2dGradInput, Conv2dGradInputActivationGrad};
use crate::ops::{Conv2dGradWeight, Operator};
use crate::tensor::Spec;
use crate::verify::case::{Case, Depth, Operand, floats, noise, values};

/// A convolution with the shapes of its image [n, h, w, c_in] and weights [k_h, k_w, c_in / groups, c_out].
pub(super) type Row = (&'static str, Conv2d, [usize; 4], [usize; 4]);

pub(super) const PLAIN: Conv2d = Conv2d { stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 };

pub(super) const fn padded(p: usize) -> Conv2d {
    Conv2d { padding: [p; 4], ..PLAIN }
}

pub(super) const fn strided(h: usize, w: usize, padding: [usize; 4]) -> Conv2d {
    Conv2d { stride: [h, w], padding, ..PLAIN }
}

/// Cases for a variant before it is used.
pub(super) const QUICK: [Row; 4] = [
    ("plain_3x3", PLAIN, [2, 7, 9, 3], [3, 3, 3, 5]),
    ("channels_32_to_64", padded(1), [1, 7, 6, 32], [3, 3, 32, 64]),
    ("channels_33_to_65", padded(1), [1, 5, 7, 33], [3, 3, 33, 65]),
    ("stride2_pad1", strided(2, 2, [1; 4]), [2, 11, 10, 5], [3, 3, 5, 32]),
];

/// Geometries of the standard sweep, smallest first.
const GEOMETRIES: [Row; 24] = [
    ("one_element", PLAIN, [1, 1, 1, 1], [1, 1, 1, 1]),
    ("kernel_as_large_as_the_image", PLAIN, [2, 3, 4, 2], [3, 4, 2, 3]),
    ("even_2x2", PLAIN, [1, 5, 4, 3], [2, 2, 3, 5]),
    ("even_4x2_pad", padded(1), [1, 6, 5, 2], [4, 2, 2, 3]),
    ("kernel_1x1", PLAIN, [3, 5, 5, 64], [1, 1, 64, 33]),
    ("kernel_1x3", PLAIN, [1, 3, 7, 5], [1, 3, 5, 1]),
    ("kernel_3x1", PLAIN, [1, 7, 3, 1], [3, 1, 1, 5]),
    ("centred_5x5", padded(2), [1, 9, 8, 1], [5, 5, 1, 2]),
    ("padding_wider_than_the_image", padded(3), [1, 2, 1, 2], [3, 3, 2, 3]),
    ("padding_of_four_kinds", Conv2d { padding: [0, 1, 2, 3], ..PLAIN }, [2, 5, 4, 3], [3, 3, 3, 5]),
    ("stride2_unpadded", strided(2, 2, [0; 4]), [1, 8, 9, 3], [3, 3, 3, 5]),
    ("stride2x1_one_sided", strided(2, 1, [0, 1, 2, 0]), [1, 9, 7, 4], [2, 3, 4, 7]),
    ("stride1x3", strided(1, 3, [1; 4]), [2, 5, 10, 3], [3, 2, 3, 5]),
    ("stride_larger_than_the_kernel", strided(3, 3, [0; 4]), [1, 11, 11, 3], [2, 2, 3, 9]),
    ("dilated_2x3", Conv2d { dilation: [2, 3], ..padded(2) }, [2, 11, 13, 6], [3, 3, 6, 9]),
    ("dilated_stride2", Conv2d { dilation: [2, 2], ..strided(2, 2, [2, 1, 1, 2]) }, [1, 9, 10, 4], [3, 3, 4, 5]),
    ("two_groups", Conv2d { groups: 2, ..padded(1) }, [2, 6, 7, 6], [3, 3, 3, 10]),
    ("three_groups_stride2", Conv2d { groups: 3, ..strided(2, 1, [1; 4]) }, [1, 6, 5, 9], [2, 3, 3, 6]),
    ("depthwise_3", Conv2d { groups: 3, ..padded(1) }, [2, 5, 6, 3], [3, 3, 1, 3]),
    ("depthwise_33", Conv2d { groups: 33, ..padded(1) }, [1, 9, 9, 33], [3, 3, 1, 33]),
    ("depthwise_two_each", Conv2d { groups: 5, ..padded(1) }, [1, 5, 6, 5], [3, 3, 1, 10]),
    ("width_41", padded(1), [1, 5, 41, 3], [3, 3, 3, 5]),
    ("width_47", padded(1), [1, 3, 47, 5], [3, 3, 5, 3]),
    ("many_pixels", padded(1), [4, 65, 67, 2], [3, 3, 2, 3]),
];

/// Channels in fours: operands in textures serve no others. Rows of lengths that have few divisors or many, more columns than a
/// workgroup has lanes or just not so many, more taps than are summed at once.
const FOURS: [Row; 14] = [
    ("one_pixel", padded(1), [1, 1, 1, 4], [3, 3, 4, 4]),
    ("rows_of_1", PLAIN, [3, 5, 3, 8], [3, 3, 8, 12]),
    ("rows_of_6", padded(1), [2, 3, 6, 12], [3, 3, 12, 4]),
    ("rows_of_11_pixels", PLAIN, [3, 6, 13, 32], [3, 3, 32, 64]),
    ("rows_of_17_pixels", padded(1), [2, 3, 17, 4], [3, 3, 4, 20]),
    ("rows_of_22_pixels", padded(1), [1, 12, 22, 8], [3, 3, 8, 8]),
    ("pixels_in_one_row", PLAIN, [2, 4, 2, 36], [1, 1, 36, 28]),
    ("taps_2x3", PLAIN, [11, 5, 8, 8], [2, 3, 8, 8]),
    ("taps_5x5", padded(2), [2, 7, 6, 8], [5, 5, 8, 12]),
    ("taps_7x4_padded_unevenly", Conv2d { padding: [3, 1, 0, 2], ..PLAIN }, [1, 8, 6, 12], [7, 4, 12, 8]),
    ("stride_of_2", strided(2, 2, [1; 4]), [2, 11, 13, 8], [3, 3, 8, 16]),
    ("stride_of_3x2", strided(3, 2, [0, 1, 2, 0]), [2, 10, 16, 4], [2, 5, 4, 8]),
    ("dilated_rows", Conv2d { dilation: [2, 1], ..padded(2) }, [1, 9, 4, 8], [3, 3, 8, 8]),
    ("dilated_columns", Conv2d { dilation: [1, 2], ..padded(1) }, [1, 6, 9, 8], [3, 3, 8, 8]),
];

/// So many images that neighbouring lanes are at few places of them, and taps outside of the image are left out for all: in one
/// place, at the border of two, in the middle of three.
const MANY_IMAGES: [Row; 5] = [
    (
        "of_one_place",
        Conv2d { stride: [1, 3], padding: [2, 1, 0, 3], dilation: [1, 2], groups: 1 },
        [64, 4, 5, 3],
        [3, 2, 3, 5],
    ),
    (
        "of_steep_steps",
        Conv2d { stride: [2, 1], padding: [1, 2, 3, 0], dilation: [2, 1], groups: 1 },
        [64, 9, 4, 2],
        [2, 3, 2, 3],
    ),
    ("of_places_that_end_with_a_lane", padded(1), [31, 2, 3, 3], [3, 3, 3, 5]),
    ("of_three_places", padded(1), [11, 3, 2, 3], [3, 3, 3, 5]),
    ("of_wide_kernels", padded(3), [32, 3, 4, 1], [5, 7, 1, 3]),
];

/// A filter for each channel, channels in fours: rows that end within a run of pixels, strides that leave remainders without a tap,
/// more taps than are read at a time.
pub(super) const DEPTHWISE: [Row; 4] = [
    ("of_3x3", Conv2d { groups: 8, ..padded(1) }, [2, 5, 6, 8], [3, 3, 1, 8]),
    ("of_3x3_stride_2", Conv2d { groups: 12, ..strided(2, 2, [1; 4]) }, [2, 10, 11, 12], [3, 3, 1, 12]),
    ("of_3x3_dilated", Conv2d { groups: 36, dilation: [3, 1], ..strided(2, 1, [2; 4]) }, [1, 9, 5, 36], [3, 3, 1, 36]),
    ("of_2x8", Conv2d { groups: 4, ..strided(3, 5, [1, 3, 0, 2]) }, [1, 8, 22, 4], [2, 8, 1, 4]),
];

/// Channel counts that people use, and those beside powers of two.
const CHANNELS: [usize; 8] = [1, 3, 5, 31, 32, 33, 64, 65];

/// Long sums and large images.
const LARGE: [Row; 3] = [
    ("past_65535_workgroups", padded(1), [2, 1030, 1024, 1], [3, 3, 1, 2]),
    ("long_sum", PLAIN, [1, 9, 9, 515], [3, 3, 515, 2]),
    ("a_layer_of_a_real_network", padded(1), [4, 28, 28, 128], [3, 3, 128, 128]),
];

/// The output of a convolution.
pub(super) fn output(conv: Conv2d, x: &[usize], w: &[usize]) -> Vec<usize> {
    let outputs = conv.infer(&[Spec::f32(x), Spec::f32(w)]).unwrap_or_else(|error| panic!("{x:?} {w:?}: {error}"));
    outputs.into_iter().next().map(|spec| spec.shape).unwrap_or_default()
}

/// A convolution in its three directions, forward with and without a bias.
pub(super) fn directions(name: &str, conv: Conv2d, x: [usize; 4], w: [usize; 4]) -> Vec<Case> {
    let dy = || noise(4, output(conv, &x, &w));
    let (input, kernel) = ([x[1], x[2]], [w[0], w[1]]);
    vec![
        Case::new(name, conv, [noise(1, x), noise(2, w)]),
        named(&[name, "bias"], conv, [noise(1, x), noise(2, w), noise(3, [w[3]])]),
        Case::new(name, Conv2dGradInput { conv, input }, [dy(), noise(2, w)]),
        Case::new(name, Conv2dGradWeight { conv, kernel }, [noise(1, x), dy()]),
    ]
}

pub(super) fn cases(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, conv, x, w) in QUICK {
        cases.extend(directions(name, conv, x, w).into_iter().map(|case| case.at(Depth::Quick)));
    }
    for (name, conv, x, w) in GEOMETRIES {
        cases.extend(directions(name, conv, x, w));
    }
    for (name, conv, x, w) in FOURS {
        // A run of one pixel is asked of linear layers too.
        let depth = if name == "rows_of_17_pixels" { Depth::Full } else { Depth::Standard };
        cases.extend(directions(&format!("fours_{name}"), conv, x, w).into_iter().map(|case| case.at(depth)));
    }
    for (i, (name, conv, x, w)) in DEPTHWISE.into_iter().enumerate() {
        let depth = [Depth::Quick, Depth::Standard, Depth::Standard, Depth::Full][i];
        let found = directions(&format!("depthwise_{name}"), conv, x, w);
        // With other strides and taps its own programs are many, and operands from textures are only linked to them.
        let found = found.into_iter().map(|case| if i % 2 == 1 { case.only("depthwise") } else { case });
        cases.extend(found.map(|case| case.at(depth)));
    }
    for (name, conv, x, w) in MANY_IMAGES {
        cases.extend(directions(&format!("many_images_{name}"), conv, x, w));
    }
    for (i, c_in) in CHANNELS.into_iter().enumerate() {
        let c_out = CHANNELS[(i + 3) % CHANNELS.len()];
        let name = format!("channels_{c_in}_to_{c_out}_odd");
        // Where there are few of them their number is part of a program.
        let depth = if c_in == 3 { Depth::Full } else { Depth::Standard };
        let found = directions(&name, padded(1), [1, 5, 3, c_in], [3, 3, c_in, c_out]);
        cases.extend(found.into_iter().map(|case| case.at(depth)));
    }
    for (name, conv, x, w) in LARGE {
        cases.extend(directions(name, conv, x, w).into_iter().map(|case| case.at(Depth::Full)));
    }
    let (conv, x, w) = (strided(2, 1, [1, 0, 0, 1]), [2, 9, 14, 3], [3, 2, 3, 37]);
    cases.extend(directions("folded", conv, x, w).into_iter().map(Case::squeezed));
    let (_, conv, x, w) = DEPTHWISE[1];
    let folded = directions("folded_depthwise", conv, x, w).into_iter();
    cases.extend(folded.map(|case| case.only("depthwise").squeezed()));
    // So many tiles and splits that those are folded too, and do not fill the last row.
    let many = directions("folded_tiles", padded(1), [7, 16, 16, 3], [3, 3, 3, 5]);
    cases.extend(many.into_iter().map(Case::squeezed));
    // Their gradient of the weights has splits that begin and end within a row, several in an image and several images in one,
    // the last of them shorter than the others.
    for (name, [n, h, w]) in [("several_images_a_split", [9, 7, 11]), ("several_splits_an_image", [2, 19, 22])] {
        cases.extend(directions(&format!("fours_{name}"), padded(1), [n, h, w, 12], [3, 3, 12, 20]));
    }
    let folded = directions("fours_folded", padded(1), [4, 17, 11, 12], [3, 3, 12, 20]);
    cases.extend(folded.into_iter().map(Case::squeezed));
    // A third tile is not covered by the first two if it begins where it must not.
    cases.extend(directions("three_tiles_by_three", padded(1), [1, 13, 10, 16], [3, 3, 16, 131]));
    cases.extend(conv2d_planned::cases());
    cases.extend(conv2d_tiled::cases());
    cases.extend(conv2d_winograd::cases());
    cases.extend(cropped());
    cases.extend(at_edges(caps));
    cases.extend(activated(caps));
    cases.extend(scaled());
    cases.extend(conv2d_bias::cases());
    cases.extend(conv2d_grad::convolutions());
    cases.extend(hard_values());
    cases.extend(long_sums());
    cases.extend(conv2d_max_pool2d::cases());
    cases
}

/// Gradients where the last row and column of the output do not exist, as behind a max pool that does not look at them.
fn cropped() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, conv, [n, h, w, c], kernel) in [
        ("cropped", PLAIN, [2, 8, 9, 12], [3, 3, 12, 20]),
        ("cropped_stride_2", strided(2, 2, [1; 4]), [2, 11, 15, 8], [3, 3, 8, 16]),
    ] {
        let mut shape = output(conv, &[n, h, w, c], &kernel);
        shape[1..3].iter_mut().for_each(|side| *side -= 1);
        let dy = || noise(4, shape.clone());
        let op = Conv2dGradWeight { conv, kernel: [kernel[0], kernel[1]] };
        cases.push(Case::new(name, op, [noise(1, [n, h, w, c]), dy()]));
        cases.push(Case::new(name, Conv2dGradInput { conv, input: [h, w] }, [dy(), noise(2, kernel)]));
    }
    cases
}

/// With activations, whose own room asks for their values: a short one, and one that takes an attribute.
fn activated(caps: &Caps) -> Vec<Case> {
    let [x, w] = [[2, 6, 7, 8], [3, 3, 8, 18]];
    let relu = |conv| Conv2dActivation { conv, activation: Activation::Relu };
    let mut cases = Vec::new();
    for activation in [Activation::Relu, Activation::Elu { alpha: 1.25 }] {
        let op = Conv2dActivation { conv: padded(1), activation };
        let depth = if activation == Activation::Relu { Depth::Quick } else { Depth::Full };
        let operands = [noise(1, x), noise(2, w), noise(3, [w[3]])];
        cases.push(named(&[activation.name(), "bias"], op, operands.clone()).at(depth));
        // Without a bias one activation is as good as another.
        if depth == Depth::Quick {
            cases.push(Case::new(activation.name(), op, &operands[..2]).at(depth));
        }
    }
    let fours = [noise(1, x), noise(2, [3, 3, 8, 20]), noise(3, [20])];
    cases.push(Case::new("relu_fours", relu(padded(1)), fours).at(Depth::Quick));
    let grouped =
        Conv2dActivation { conv: Conv2d { groups: 2, ..padded(1) }, activation: Activation::Elu { alpha: 1.25 } };
    let operands = [noise(1, x), noise(2, [3, 3, 4, 18]), noise(3, [18])];
    cases.push(Case::new("elu_two_groups", grouped, operands).at(Depth::Full));
    let (_, conv, image, kernel) = DEPTHWISE[0];
    let operands = [noise(1, image), noise(2, kernel), noise(3, [kernel[3]])];
    cases.push(Case::new("relu_depthwise", relu(conv), operands).at(Depth::Quick));
    for (name, conv, x, w) in QUICK.into_iter().chain(GEOMETRIES) {
        cases.push(Case::new(name, relu(conv), [noise(1, x), noise(2, w), noise(3, [w[3]])]));
    }
    for (variant, sizes, depth) in edges(relu(PLAIN), caps) {
        let (conv, x, w) = at_edge(sizes);
        let operands = [noise(1, x), noise(2, w), noise(3, [w[3]])];
        // The program for few channels is asked without an activation.
        let depth = if variant == "broadcast_textures" && sizes[1] == 16 { Depth::Full } else { depth };
        cases.push(Case::new(edge_name(sizes), relu(conv), operands).only(variant).at(depth));
    }
    let op = relu(padded(1));
    for (name, x, special) in hard(&x, 1) {
        cases.push(mark(Case::new(name, op, [x, noise(2, w), noise(3, [w[3]])]), special));
    }
    cases
}

/// Gradients of inputs with the derivative of an activation: one that saves its output, in channels that come out even and others,
/// and one that saves its input, where a NaN stays one.
fn scaled() -> Vec<Case> {
    let case = |name: &str, conv: Conv2d, x: [usize; 4], w: [usize; 4], activation, saved: Option<Operand>| {
        let sum = Conv2dGradInput { conv, input: [x[1], x[2]] };
        let dy = noise(4, output(conv, &x, &w));
        let saved = saved.unwrap_or_else(|| noise(5, x));
        Case::new(name, Conv2dGradInputActivationGrad { sum, activation }, [dy, noise(2, w), saved])
    };
    let (x, relu, silu) = ([2, 6, 7, 20], Activation::Relu, Activation::Silu);
    let mut cases = vec![
        case("relu", padded(1), x, [3, 3, 20, 8], relu, None).at(Depth::Quick),
        case("relu_18_channels", strided(2, 1, [1; 4]), [1, 7, 6, 18], [3, 2, 18, 5], relu, None),
        case("relu_many_images", PLAIN, [40, 5, 5, 64], [3, 3, 64, 36], relu, None),
        case("relu_two_groups", Conv2d { groups: 2, ..padded(1) }, [1, 4, 5, 6], [3, 3, 3, 4], relu, None),
        case("relu_depthwise", DEPTHWISE[0].1, DEPTHWISE[0].2, DEPTHWISE[0].3, relu, None).at(Depth::Quick),
        case("silu", padded(1), x, [3, 3, 20, 8], silu, None).only(BASELINE),
    ];
    for (name, saved) in specials(&x, 5) {
        cases.push(case(name, padded(1), x, [3, 3, 20, 8], silu, Some(saved)).only(BASELINE).special());
    }
    cases
}

fn edge_name([rows, columns, depth]: [usize; 3]) -> String {
    format!("edge_{rows}_by_{columns}_over_{depth}")
}

/// So many terms as taps times input channels, where that can be.
fn taps(depth: usize) -> (usize, usize) {
    if depth.is_multiple_of(9) { (3, depth / 9) } else { (1, depth) }
}

/// A convolution of so many pixels, output channels, and terms.
fn at_edge(sizes: [usize; 3]) -> (Conv2d, [usize; 4], [usize; 4]) {
    let ((k, c_in), [n, h, w]) = (taps(sizes[2]), image_of(sizes[0]));
    (padded(k / 2), [n, h, w, c_in], [k, k, c_in, sizes[1]])
}

/// One below, at and above each edge of each variant.
fn at_edges(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    let name = edge_name;
    for (variant, sizes, depth) in edges(PLAIN, caps) {
        let (conv, x, weight) = at_edge(sizes);
        let operands = [noise(1, x), noise(2, weight), noise(3, [sizes[1]])];
        cases.push(Case::new(name(sizes), conv, operands).only(variant).at(depth));
    }
    for (variant, sizes, depth) in edges(Conv2dGradInput { conv: PLAIN, input: [1, 1] }, caps) {
        let ((k, c_out), [n, h, w]) = (taps(sizes[2]), image_of(sizes[0]));
        let (conv, weight) = (padded(k / 2), [k, k, sizes[1], c_out]);
        let operands = [noise(4, [n, h, w, c_out]), noise(2, weight)];
        cases.push(Case::new(name(sizes), Conv2dGradInput { conv, input: [h, w] }, operands).only(variant).at(depth));
    }
    for (variant, sizes, depth) in edges(Conv2dGradWeight { conv: PLAIN, kernel: [1, 1] }, caps) {
        let ((k, c_in), [n, h, w]) = (taps(sizes[0]), image_of(sizes[2]));
        let operands = [noise(1, [n, h, w, c_in]), noise(4, [n, h, w, sizes[1]])];
        let op = Conv2dGradWeight { conv: padded(k / 2), kernel: [k, k] };
        cases.push(Case::new(name(sizes), op, operands).only(variant).at(depth));
    }
    cases
}

/// Values at which sums break. NaN and infinities stand where no border of zeros meets them: what zero times infinity is there
/// is a matter of taste.
fn hard_values() -> Vec<Case> {
    let (conv, x, w) = (padded(1), [2, 6, 5, 4], [3, 3, 4, 18]);
    let (input, kernel) = ([x[1], x[2]], [w[0], w[1]]);
    let dy = output(conv, &x, &w);
    let mut cases = Vec::new();
    for (name, x, special) in hard(&x, 1) {
        cases.push(mark(Case::new(name, conv, [x.clone(), noise(2, w), noise(3, [w[3]])]), special));
        cases.push(mark(Case::new(name, Conv2dGradWeight { conv, kernel }, [x, noise(4, dy.clone())]), special));
    }
    for (name, dy, special) in hard(&dy, 4) {
        cases.push(mark(Case::new(name, Conv2dGradInput { conv, input }, [dy.clone(), noise(2, w)]), special));
        let name = format!("upstream_{name}");
        let x = noise(1, [x[0], x[1] + 2, x[2] + 2, x[3]]);
        cases.push(mark(Case::new(name, Conv2dGradWeight { conv: PLAIN, kernel }, [x, dy]), special));
    }
    let (_, conv, x, w) = DEPTHWISE[0];
    let dy = noise(4, output(conv, &x, &w));
    for (name, x, special) in hard(&x, 1) {
        let name = format!("depthwise_{name}");
        cases.push(mark(Case::new(name.clone(), conv, [x.clone(), noise(2, w)]), special));
        cases.push(mark(Case::new(name, Conv2dGradWeight { conv, kernel }, [x, dy.clone()]), special));
    }
    cases
}

/// The gradient of the weights sums over batch and space: more terms than one accumulator may take, all of one sign.
fn long_sums() -> Vec<Case> {
    let one_sided = |seed: u32, shape: [usize; 4]| -> Operand { floats(seed, shape, 0.5, 2.5) };
    let op = |kernel: [usize; 2]| Conv2dGradWeight { conv: PLAIN, kernel };
    // So many pixels that each split of this variant has several blocks.
    let drifting = |variant: &'static str, [h, w, c_in]: [usize; 3], term: &f32| {
        let operands = [values([1, h, w, c_in], std::slice::from_ref(term)), values([1, h, w, 1], &[1.0])];
        Case::new("drifting", op([1, 1]), operands).only(variant)
    };
    let drifting_fours = |variant: &'static str, [h, w]: [usize; 2], term: &f32| {
        let operands = [values([1, h, w, 4], std::slice::from_ref(term)), values([1, h, w, 4], &[1.0])];
        Case::new("drifting", op([1, 1]), operands).only(variant)
    };
    let drifting_depthwise = |variant: &'static str| {
        let op = Conv2dGradWeight { conv: Conv2d { groups: 4, ..PLAIN }, kernel: [3, 3] };
        let operands = [values([1, 258, 514, 4], &DRIFTING[1..]), values([1, 256, 512, 4], &[1.0])];
        Case::new("drifting_depthwise", op, operands).only(variant)
    };
    vec![
        drifting("baseline", [1024, 1024, 1], &DRIFTING[0]),
        drifting("broadcast", [256, 512, 1], &DRIFTING[1]),
        // The same channels and pixels several times over: four is the fewest that go into a texel.
        drifting_fours("broadcast_textures", [256, 512], &DRIFTING[1]),
        drifting_depthwise("depthwise"),
        drifting_depthwise("depthwise_textures"),
        drifting_fours("tiled_fours", [512, 1024], &DRIFTING[1]).at(Depth::Full),
        // Of so many rows that several invocations have some.
        drifting("tiled_large", [1024, 1024, 8], &DRIFTING[1]).at(Depth::Full),
        Case::new("sum_over_12099_pixels", op([2, 2]), [one_sided(1, [3, 38, 110, 1]), one_sided(2, [3, 37, 109, 2])]),
        Case::new(
            "sum_over_67050_pixels",
            op([2, 2]),
            [one_sided(1, [3, 150, 151, 1]), one_sided(2, [3, 149, 150, 2])],
        ),
        Case::new(
            "sum_over_300000_pixels",
            op([1, 1]),
            [one_sided(1, [2, 300, 500, 3]), one_sided(2, [2, 300, 500, 5])],
        )
        .at(Depth::Full),
    ]
}
