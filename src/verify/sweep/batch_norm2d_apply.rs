//! Batch normalisation in pieces: statistics of what a convolution writes, tiles that are full or not, one and many of them; images that
//! are read normalised, forwards and backwards; what applies the table, with a residual or without.

use super::conv2d::{PLAIN, output, padded};
use super::conv2d_grad::layer;
use super::specials;
use crate::ops::{Activation, BatchNorm2dApply, Conv2d, Conv2dStatistics, MaxPool2d, MaxPool2dGrad, Pool2d};
use crate::verify::case::{Case, Depth, Operand, floats, noise, outputs_of, values};

const EPS: f64 = 1e-5;
const RELU: Option<Activation> = Some(Activation::Relu);
const LEAKY: Option<Activation> = Some(Activation::LeakyRelu { slope: 0.3 });

/// Weight and bias of a normalisation.
fn scale(c: usize, seed: u32) -> [Operand; 2] {
    [floats(seed, [c], 0.5, 1.5), noise(seed + 1, [c])]
}

/// What normalises an image of so many channels: a bias that is not 0, so that a kernel which pads what it normalised is found out.
fn table(c: usize) -> Operand {
    floats(40, [4, c], 0.25, 1.5)
}

/// A convolution with the shapes of its image and weights.
type Row = (&'static str, Conv2d, [usize; 4], [usize; 4]);

const LAYERS: [Row; 9] = [
    ("two_pixels", PLAIN, [2, 1, 1, 1], [1, 1, 1, 1]),
    ("one_tile", padded(1), [1, 8, 8, 3], [3, 3, 3, 64]),
    ("three_tiles_by_three", padded(1), [1, 13, 10, 16], [3, 3, 16, 131]),
    ("one_row_more_than_a_tile", PLAIN, [1, 5, 13, 17], [1, 1, 17, 5]),
    ("stride_2", Conv2d { stride: [2, 1], ..padded(1) }, [3, 9, 7, 6], [3, 3, 6, 33]),
    ("padding_of_four_kinds", Conv2d { padding: [0, 1, 2, 3], ..PLAIN }, [2, 5, 4, 3], [3, 3, 3, 5]),
    ("two_groups", Conv2d { groups: 2, ..padded(1) }, [2, 6, 7, 6], [3, 3, 3, 10]),
    ("more_tiles_than_lanes", PLAIN, [5, 32, 29, 2], [1, 1, 2, 3]),
    ("fours", padded(1), [3, 9, 11, 12], [3, 3, 12, 132]),
];

fn convolution((name, conv, x, w): Row, bias: bool, before: Option<BatchNorm2dApply>, image: Option<Operand>) -> Case {
    let mut operands = vec![image.unwrap_or_else(|| noise(1, x)), noise(2, w)];
    operands.extend(bias.then(|| noise(3, [w[3]])));
    operands.extend(scale(w[3], 20));
    operands.extend(before.map(|_| table(x[3])));
    Case::new(name, Conv2dStatistics { conv, bias, eps: EPS, before }, operands)
}

/// A convolution that changes nothing: what is asked is the statistics.
fn unchanged(name: &str, x: Operand) -> Case {
    let c = x.spec.shape[3];
    let ones: Vec<f32> = (0..=c).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect();
    let [weight, bias] = scale(c, 20);
    let op = Conv2dStatistics { conv: PLAIN, bias: false, eps: EPS, before: None };
    Case::new(name, op, [x, values([1, 1, c, c], &ones), weight, bias])
}

fn statistics() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, row) in LAYERS.into_iter().enumerate() {
        let depth = if i == 1 || row.0 == "fours" { Depth::Quick } else { Depth::Standard };
        cases.push(convolution(row, i % 3 > 0, None, None).at(depth));
        let read = convolution(row, i % 3 == 0, Some(BatchNorm2dApply { activation: RELU }), None);
        cases.push(Case { name: format!("{}_read_normalised", read.name), ..read }.at(depth));
    }
    for (name, activation) in [("leaky_relu", LEAKY), ("no_activation", None)] {
        let row = (name, padded(1), [2, 6, 5, 4], [3, 3, 4, 20]);
        cases.push(convolution(row, true, Some(BatchNorm2dApply { activation }), None).at(Depth::Full));
    }
    let many = ("folded", padded(1), [7, 16, 16, 3], [3, 3, 3, 11]);
    cases.push(convolution(many, true, None, None).squeezed());
    let channels = ("folded_channels", PLAIN, [1, 2, 3, 4], [1, 1, 4, 331]);
    cases.push(convolution(channels, false, None, None).squeezed());
    cases.extend([
        unchanged("mean_1000", floats(5, [4, 9, 9, 33], 999.0, 1001.0)),
        unchanged("mean_minus_1000", floats(6, [2, 33, 31, 3], -1000.5, -999.5)),
        unchanged("constant", values([2, 3, 3, 3], &[7.25])),
        // The first tile is far from the rest.
        unchanged("drifting", floats(7, [1, 3, 43, 2], 0.0, 1.0).strewn(1000, 4, 100.0)),
        unchanged("several_blocks_of_tiles", floats(8, [5, 700, 301, 1], 1.0, 3.0)).at(Depth::Full),
    ]);
    let mut large = unchanged("large_eps", noise(17, [2, 4, 5, 3]));
    large.op = Conv2dStatistics { conv: PLAIN, bias: false, eps: 0.5, before: None }.into();
    cases.push(large);
    let (x, w) = ([2, 6, 5, 4], [3, 3, 4, 20]);
    for (name, image) in specials(&x, 2) {
        cases.push(convolution((name, PLAIN, x, w), true, None, Some(image.clone())).special());
        let read = convolution((name, PLAIN, x, w), true, Some(BatchNorm2dApply { activation: RELU }), Some(image));
        cases.push(Case { name: format!("{}_read_normalised", read.name), ..read }.special());
    }
    cases
}

/// The gradients of a convolution that reads its image normalised, perhaps with a pool behind it.
fn gradients() -> Vec<Case> {
    let pool = Pool2d { kernel: [2, 2], stride: [2, 2], padding: [0; 4], ceil_mode: false };
    let case = |(name, conv, x, w): Row, activation, pool: Option<Pool2d>, image: Option<Operand>| {
        let between = output(conv, &x, &w);
        let found = pool.map(|pool| {
            let grad = MaxPool2dGrad { pool, input: [between[1], between[2]] };
            (grad, outputs_of(MaxPool2d(pool), &[noise(6, between.clone())]))
        });
        let mut op = layer(conv, x, w, (true, activation), found.as_ref().map(|(grad, _)| *grad));
        op.normalised = true;
        let dy = found.as_ref().map_or(between.clone(), |(_, found)| found[0].spec.shape.clone());
        let mut operands = vec![image.unwrap_or_else(|| noise(1, x)), noise(4, dy), noise(2, w)];
        operands.extend(found.map(|(_, found)| found[1].clone()));
        operands.push(table(x[3]));
        let name = format!("{name}_read_normalised");
        Case::new(name, op, operands)
    };
    let several = ("several_splits", padded(1), [9, 7, 11, 12], [3, 3, 12, 20]);
    let mut cases = vec![
        case(("one_tile", padded(1), [1, 8, 8, 3], [3, 3, 3, 64]), RELU, None, None).at(Depth::Quick),
        case(("fours", padded(1), [3, 9, 11, 20], [3, 3, 20, 132]), RELU, None, None).at(Depth::Quick),
        case(several, RELU, None, None),
        case(("no_activation", several.1, several.2, several.3), None, None, None).at(Depth::Full),
        case(("image_of_three_tiles", padded(2), [2, 9, 8, 131], [5, 3, 131, 5]), RELU, None, None),
        case(("leaky_relu", padded(1), [2, 6, 5, 4], [3, 3, 4, 20]), LEAKY, None, None).at(Depth::Full),
        case(("stride_2", Conv2d { stride: [2, 2], ..padded(1) }, [2, 7, 6, 4], [3, 3, 4, 5]), RELU, None, None),
        case(("windows_2x2", padded(1), [2, 8, 6, 5], [3, 3, 5, 20]), RELU, Some(pool), None).at(Depth::Full),
    ];
    for (name, image) in specials(&[2, 6, 5, 4], 2) {
        cases.push(case((name, PLAIN, [2, 6, 5, 4], [3, 3, 4, 18]), RELU, None, Some(image)).special());
    }
    cases
}

fn applied() -> Vec<Case> {
    let case = |name: &str, x: Operand, activation, residual: bool| {
        let (table, like) = (table(x.spec.shape[3]), x.spec.shape.clone());
        let residual = residual.then(|| noise(30, like));
        let operands: Vec<_> = [x, table].into_iter().chain(residual).collect();
        Case::new(name, BatchNorm2dApply { activation }, operands)
    };
    let image = |c| noise(1, [3, 5, 7, c]);
    let mut cases = vec![
        case("plain", image(5), None, false).at(Depth::Quick),
        case("relu", image(4), RELU, false).at(Depth::Quick),
        case("residual", image(5), None, true).at(Depth::Full),
        case("residual_relu", image(3), RELU, true).at(Depth::Quick),
        case("leaky_relu", image(3), LEAKY, false).at(Depth::Full),
        case("one_element", noise(2, [1, 1, 1, 1]), RELU, true),
        case("folded", noise(10, [2, 13, 11, 33]), RELU, true).squeezed(),
    ];
    for (name, x) in specials(&[3, 5, 7, 5], 2) {
        cases.push(case(name, x, RELU, true).special());
    }
    cases
}

pub(super) fn cases() -> Vec<Case> {
    [statistics(), gradients(), applied()].concat()
}
