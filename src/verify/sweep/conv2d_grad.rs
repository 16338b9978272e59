//! All gradients of a layer as one node: one split and several, tiles that are full or not, with and without the derivative of an
//! activation and a max pool. What the kernel has in common with those of one gradient alone is asked with these.

use super::conv2d::{PLAIN, QUICK, output, padded};
use super::{hard, mark, named, specials};
use crate::kernels::BASELINE;
use crate::ops::{
    Activation, Conv2d, Conv2dGradInput, Conv2dGradWeight, LayerGrad, LinearGradInput, LinearGradWeight, MaxPool2d,
    MaxPool2dGrad, Op, Pool2d,
};
use crate::verify::case::{Case, Depth, Operand, noise, outputs_of};

const RELU: Option<Activation> = Some(Activation::Relu);
const GELU: Option<Activation> = Some(Activation::Gelu);

/// A layer with the shapes of its image and weights.
type Row = (&'static str, Conv2d, [usize; 4], [usize; 4]);

const LAYERS: [Row; 8] = [
    ("one_pixel", PLAIN, [1, 1, 1, 1], [1, 1, 1, 1]),
    ("kernel_1x1", PLAIN, [3, 5, 5, 64], [1, 1, 64, 33]),
    ("several_splits", padded(1), [9, 7, 11, 12], [3, 3, 12, 20]),
    ("three_tiles_by_three", padded(1), [1, 13, 10, 16], [3, 3, 16, 131]),
    ("image_of_three_tiles", padded(2), [2, 9, 8, 131], [5, 3, 131, 5]),
    ("padding_of_four_kinds", Conv2d { padding: [0, 1, 2, 3], ..PLAIN }, [2, 5, 4, 3], [3, 3, 3, 5]),
    ("dilated_2x3", Conv2d { dilation: [2, 3], ..padded(2) }, [2, 11, 13, 6], [3, 3, 6, 9]),
    ("two_groups", Conv2d { groups: 2, ..padded(1) }, [2, 6, 7, 6], [3, 3, 3, 10]),
];

const fn tiles(kernel: [usize; 2]) -> Pool2d {
    Pool2d { kernel, stride: kernel, padding: [0; 4], ceil_mode: false }
}

/// A layer, and what stands behind it; whether that crops what it reads.
type Pooled = (&'static str, Conv2d, [usize; 4], [usize; 4], Pool2d, bool);

const POOLED: [Pooled; 5] = [
    ("windows_2x2", padded(1), [2, 8, 6, 5], [3, 3, 5, 20], tiles([2, 2]), false),
    ("windows_left_over", PLAIN, [2, 9, 11, 5], [3, 2, 5, 7], tiles([2, 3]), false),
    ("windows_crop", PLAIN, [9, 11, 12, 8], [3, 3, 8, 32], tiles([2, 3]), true),
    (
        "windows_3x1_of_many_images",
        Conv2d { dilation: [1, 2], ..padded(1) },
        [23, 7, 8, 3],
        [3, 3, 3, 9],
        tiles([3, 1]),
        false,
    ),
    (
        "overlapping",
        padded(1),
        [2, 7, 9, 3],
        [3, 3, 3, 8],
        Pool2d { kernel: [3, 3], stride: [2, 2], padding: [1; 4], ceil_mode: false },
        false,
    ),
];

/// The gradients of a convolution; upstream is noise, or what is given.
fn convolution(
    (name, conv, x, w): Row,
    (bias, activation): (bool, Option<Activation>),
    upstream: Option<Operand>,
) -> Case {
    let dy = upstream.unwrap_or_else(|| noise(4, output(conv, &x, &w)));
    let saved = activation.map(|_| noise(5, x));
    let operands: Vec<_> = [noise(1, x), dy, noise(2, w)].into_iter().chain(saved).collect();
    Case::new(name, layer(conv, x, w, (bias, activation), None), operands)
}

pub(super) fn layer(
    conv: Conv2d,
    x: [usize; 4],
    w: [usize; 4],
    (bias, activation): (bool, Option<Activation>),
    pool: Option<MaxPool2dGrad>,
) -> LayerGrad<Conv2dGradWeight, Conv2dGradInput> {
    let (weight, input) =
        (Conv2dGradWeight { conv, kernel: [w[0], w[1]] }, Conv2dGradInput { conv, input: [x[1], x[2]] });
    LayerGrad { weight, input, bias, activation, pool, images: None, normalised: false, plus: false }
}

fn pooled((name, conv, x, w, pool, crop): Pooled, (bias, activation): (bool, Option<Activation>)) -> Case {
    let mut between = output(conv, &x, &w);
    if crop {
        between.iter_mut().skip(1).zip(pool.kernel).for_each(|(size, window)| *size = *size / window * window);
    }
    let grad = MaxPool2dGrad { pool, input: [between[1], between[2]] };
    let found = outputs_of(MaxPool2d(pool), &[noise(6, between)]);
    let dy = noise(4, found[0].spec.shape.clone());
    let saved = activation.map(|_| noise(5, x));
    let operands = [noise(1, x), dy, noise(2, w), found[1].clone()].into_iter().chain(saved);
    Case::new(name, layer(conv, x, w, (bias, activation), Some(grad)), operands.collect::<Vec<_>>())
}

pub(super) fn convolutions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, row) in QUICK.into_iter().enumerate() {
        cases.push(convolution(row, (i > 0, RELU), None).at(Depth::Quick));
    }
    for (i, row) in LAYERS.into_iter().enumerate() {
        cases.push(convolution(row, (i % 3 > 0, RELU), None));
    }
    let plain = ("no_activation", padded(1), [2, 7, 11, 12], [3, 3, 12, 20]);
    cases.push(convolution(plain, (true, None), None).at(Depth::Quick));
    for (i, row) in POOLED.into_iter().enumerate() {
        let depth = if i == 0 { Depth::Quick } else { Depth::Standard };
        // Without an activation it is a program of its own, which a convolution has whose image comes out of such a pool.
        let alone = if i == 0 { Depth::Quick } else { Depth::Full };
        for (suffix, bias, activation, depth) in [("relu", i % 2 == 0, RELU, depth), ("plain", i % 2 == 1, None, alone)]
        {
            let case = pooled(row, (bias, activation));
            cases.push(Case { name: format!("{}_{suffix}", case.name), ..case }.at(depth));
        }
    }
    let large = ("three_large_tiles_by_three", padded(1), [1, 20, 14, 132], [3, 3, 132, 132]);
    cases.push(convolution(large, (true, RELU), None).only("tiled_fours"));
    let leaky = Some(Activation::LeakyRelu { slope: 0.3 });
    // The derivative of the last one takes a NaN for a number.
    let beside =
        [("a_shortcut", RELU), ("a_shortcut_alone", None), ("a_shortcut_leaky", leaky), ("a_shortcut_gelu", GELU)];
    for (i, (name, activation)) in beside.into_iter().enumerate() {
        let row = (name, padded(1), [2, 7, 11, 12], [3, 3, 12, 20]);
        let depth = if i == 0 { Depth::Quick } else { Depth::Full };
        cases.push(plus(convolution(row, (true, activation), None)).at(depth));
    }
    let (x, w) = ([2, 6, 5, 4], [3, 3, 4, 20]);
    // What becomes of infinity there is a matter of taste.
    for (name, saved) in specials(&x, 5).into_iter().filter(|(name, _)| *name == "nan") {
        let mut case = convolution((name, padded(1), x, w), (true, GELU), None);
        case.operands[3] = saved;
        let case = plus(case);
        cases.push(Case { name: format!("a_shortcut_{}", case.name), ..case }.special().at(Depth::Full));
    }
    let many = ("folded_tiles", padded(1), [7, 16, 16, 3], [3, 3, 3, 5]);
    cases.push(convolution(many, (true, RELU), None).squeezed());
    // The last part has fewer images than the others.
    for (name, images) in [("sums_over_two_images", 2), ("sums_over_one_image", 1)] {
        let mut case = convolution((name, padded(1), [7, 6, 5, 12], [3, 3, 12, 20]), (true, RELU), None);
        in_parts(&mut case, images);
        cases.push(case.at(Depth::Quick));
    }
    for (i, row) in POOLED.into_iter().enumerate() {
        let mut case = pooled(row, (i % 2 == 0, RELU));
        in_parts(&mut case, if i == 2 { 4 } else { 1 });
        cases.push(Case { name: format!("{}_sums", case.name), ..case });
    }
    // The slope of an activation is no number that another one takes.
    let elu = (true, Some(Activation::Elu { alpha: 1.25 }));
    cases.push(convolution(("elu", padded(1), [2, 6, 5, 4], [3, 3, 4, 18]), elu, None).only(BASELINE));
    let (x, w) = ([2, 8, 7, 4], [3, 3, 4, 18]);
    for (name, dy, special) in hard(&output(PLAIN, &x, &w), 4) {
        // What zeros outside of an image make of infinity is a matter of taste.
        cases.push(mark(convolution((name, PLAIN, x, w), (true, RELU), Some(dy)), special));
    }
    cases
}

/// With another gradient of the image, which is added.
fn plus(mut case: Case) -> Case {
    if let Op::Conv2dGrad(op) = &mut case.op {
        op.plus = true;
    }
    let shape = case.operands[0].spec.shape.clone();
    case.operands.push(noise(7, shape));
    Case { name: format!("{}_plus", case.name), ..case }
}

/// Lets the gradients of weights and bias be sums over so many images each.
fn in_parts(case: &mut Case, images: usize) {
    match &mut case.op {
        Op::Conv2dGrad(op) => op.images = Some(images),
        Op::LinearGrad(op) => op.images = Some(images),
        _ => {}
    }
}

/// Rows, inputs, outputs.
const SIZES: [[usize; 3]; 5] = [[3, 32, 64], [33, 65, 10], [1, 1, 1], [700, 5, 3], [70, 131, 129]];

pub(super) fn layers() -> Vec<Case> {
    let op = |image, bias, activation| {
        let (weight, input) = (LinearGradWeight, LinearGradInput { image });
        LayerGrad { weight, input, bias, activation, pool: None, images: None, normalised: false, plus: false }
    };
    let case =
        |name: &str, [n, inputs, outputs]: [usize; 3], bias, activation: Option<Activation>, dy: Option<Operand>| {
            let x = [n, inputs];
            let operands = [noise(1, x), dy.unwrap_or_else(|| noise(4, [n, outputs])), noise(2, [outputs, inputs])];
            let saved = activation.map(|_| noise(5, x));
            named(&[name], op(None, bias, activation), operands.into_iter().chain(saved).collect::<Vec<_>>())
        };
    let mut cases = Vec::new();
    for (i, sizes) in SIZES.into_iter().enumerate() {
        let [n, inputs, outputs] = sizes;
        let name = format!("{n}_rows_{inputs}_to_{outputs}");
        let depth = if i < 2 { Depth::Quick } else { Depth::Standard };
        cases.push(case(&name, sizes, i % 3 > 0, RELU, None).at(depth));
    }
    for (i, ([n, h, w, c], outputs)) in [([35, 3, 2, 8], 20), ([3, 2, 4, 5], 33)].into_iter().enumerate() {
        let (x, activation) = ([n, h, w, c], RELU);
        let operands = [noise(1, x), noise(4, [n, outputs]), noise(2, [outputs, h * w * c])];
        let operands: Vec<_> = operands.into_iter().chain(activation.map(|_| noise(5, x))).collect();
        let depth = if i == 0 { Depth::Quick } else { Depth::Standard };
        cases.push(
            named(&["image", &format!("{h}x{w}x{c}_to_{outputs}")], op(Some([h, w, c]), true, activation), operands)
                .at(depth),
        );
    }
    cases.push(case("no_activation", [33, 65, 10], true, None, None).at(Depth::Quick));
    let mut sums = case("sums_over_rows", [70, 21, 18], true, RELU, None);
    in_parts(&mut sums, 32);
    cases.push(sums);
    for (name, dy, special) in hard(&[9, 18], 4) {
        cases.push(mark(case(name, [9, 21, 18], true, RELU, Some(dy)), special));
    }
    cases
}
