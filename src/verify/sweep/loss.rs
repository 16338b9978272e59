//! Losses: sure and unsure rows, smoothing, more classes than a block, one stage and two.

use super::specials;
use crate::gpu::Caps;
use crate::ops::{
    Activation, LinearActivation, LinearCrossEntropyAndGrad, LinearCrossEntropyGrad, LinearGrad, LinearGradInput,
    LinearGradWeight, MixupCrossEntropy, MixupCrossEntropyGrad, MlpCrossEntropyGrad, MseLoss, MseLossGrad, Op,
    SoftmaxCrossEntropy, SoftmaxCrossEntropyAndGrad, SoftmaxCrossEntropyGrad,
};
use crate::verify::case::{Case, Depth, Operand, floats, integers, noise, spread, values, words};

fn logits() -> Vec<(&'static str, Operand, Option<Operand>, Depth)> {
    let (quick, standard) = (Depth::Quick, Depth::Standard);
    let rising: Vec<u32> = (0..6).collect();
    vec![
        ("ten_classes", noise(1, [64, 10]), None, quick),
        ("one_row", noise(2, [1, 5]), None, standard),
        ("one_class", noise(3, [3, 1]), None, standard),
        ("odd", floats(4, [33, 31], -5.0, 5.0), None, standard),
        ("large_logits", floats(5, [5, 65], -1e4, 1e4), None, standard),
        ("ninety", values([4, 3], &[90.0, -90.0, 0.0, 89.5, 90.0, -1e4, -90.0]), None, standard),
        ("ties", values([3, 4], &[2.0, 2.0, 1.0]), None, standard),
        ("a_block_of_classes", noise(9, [2, 256]), None, standard),
        ("more_classes_than_a_block", noise(6, [3, 1000]), None, standard),
        // Sure of the first class, and all others equal: the rounding errors of their sum do not cancel.
        ("many_equal", values([1, 15_000], &[-10.3]).strewn(15_000, 0, 0.0), Some(words([1], &[0])), standard),
        ("a_block_of_rows", noise(10, [256, 3]), None, standard),
        ("rows_1024", noise(11, [1024, 2]), None, standard),
        ("rows_1025", noise(12, [1025, 2]), None, standard),
        ("two_stages", noise(7, [1500, 3]), None, standard),
        // Every row is sure of its label: the losses are almost 0, and so are the gradients.
        ("sure", noise(9, [6, 10]).strewn(11, 0, 14.0), Some(words([6], &rising)), standard),
        // Every row is sure of something else.
        ("surely_wrong", noise(9, [6, 10]).strewn(11, 1, 14.0), Some(words([6], &rising)), standard),
        ("past_65535_workgroups", noise(13, [65_536 * 64 + 5, 2]), None, Depth::Full),
    ]
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut classes = |name: &str, logits: &Operand, labels: Option<Operand>, depth: Depth, how: fn(Case) -> Case| {
        let [n, k] = [logits.spec.shape[0], logits.spec.shape[1]];
        let labels = labels.unwrap_or_else(|| integers(8, [n], k as u32));
        for (label_smoothing, ending) in [(0.0, ""), (0.1, "_smoothed"), (1.0, "_even")] {
            let name = format!("{name}{ending}");
            let inputs = [logits.clone(), labels.clone()];
            cases.push(how(Case::new(&name, SoftmaxCrossEntropy { label_smoothing }, inputs).at(depth)));
            let inputs = [logits.clone(), labels.clone(), values([1], &[0.37])];
            cases.push(how(Case::new(&name, SoftmaxCrossEntropyGrad { label_smoothing }, inputs.clone()).at(depth)));
            let both = SoftmaxCrossEntropyAndGrad { label_smoothing, mean: label_smoothing == 0.0 };
            cases.push(how(Case::new(&name, both, inputs).at(depth)));
        }
        // Rows of one label and rows of two, and some whose two labels are one.
        let (others, shares) = (integers(16, [n], k as u32), values([n], &[0.3, 0.0, 0.5, 1.0, 0.0625, 0.3, 0.45]));
        for (label_smoothing, ending) in [(0.0, ""), (0.1, "_smoothed")] {
            let name = format!("{name}{ending}");
            let mixed = [others.clone(), shares.clone()];
            let inputs = [&[logits.clone(), labels.clone()][..], &mixed].concat();
            cases.push(how(Case::new(&name, MixupCrossEntropy { label_smoothing }, inputs).at(depth)));
            let inputs = [&[logits.clone(), labels.clone(), values([1], &[0.37])][..], &mixed].concat();
            cases.push(how(Case::new(&name, MixupCrossEntropyGrad { label_smoothing }, inputs).at(depth)));
        }
    };
    for (name, logits, labels, depth) in logits() {
        classes(name, &logits, labels, depth, |case| case);
    }
    classes("folded", &noise(14, [399, 3]), None, Depth::Standard, Case::squeezed);
    // Infinities at labels and beside them.
    let labels = || Some(words([8], &[1, 0, 3, 2, 0, 3, 4, 0]));
    for (name, logits) in specials(&[8, 5], 15) {
        classes(name, &logits, labels(), Depth::Standard, Case::special);
    }
    classes("no_class_is_left", &values([2, 5], &[f32::NEG_INFINITY]), None, Depth::Standard, Case::special);
    let shapes: [(&[usize], Depth); 11] = [
        (&[5, 3], Depth::Quick),
        (&[1], Depth::Standard),
        (&[256], Depth::Standard),
        (&[257], Depth::Standard),
        (&[3, 7, 5, 65], Depth::Standard),
        // 157 splits: the last workgroup is not full.
        (&[40_000], Depth::Standard),
        (&[65_536], Depth::Standard),
        (&[65_537], Depth::Standard),
        (&[70_001], Depth::Standard),
        (&[300, 1001], Depth::Standard),
        (&[4_200, 4_001], Depth::Full),
    ];
    for (shape, depth) in shapes {
        let name = format!("elements_{}", shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x"));
        // One-sided, so that a term too few or too many is found out.
        let (x, target) = (floats(1, shape, 1.0, 2.0), floats(2, shape, -1.0, 0.5));
        cases.push(Case::new(&name, MseLoss, [x.clone(), target.clone()]).at(depth));
        cases.push(Case::new(&name, MseLossGrad, [x, target, values([1], &[-1.7])]).at(depth));
    }
    for (name, x) in [("spread", spread(3, [50], 1e-5, 1e5)), ("equal", noise(2, [50]))] {
        cases.push(Case::new(name, MseLoss, [x.clone(), noise(2, [50])]));
        cases.push(Case::new(name, MseLossGrad, [x, noise(2, [50]), values([1], &[3.0])]));
    }
    for (name, x) in specials(&[50], 4) {
        let (target, dloss) = (noise(2, [50]), values([1], &[3.0]));
        cases.push(Case::new(name, MseLoss, [x.clone(), target.clone()]).special());
        cases.push(Case::new(name, MseLossGrad, [x, target, dloss]).special());
    }
    let inputs = [noise(1, [90_000]), noise(2, [90_000]), values([1], &[0.5])];
    cases.push(Case::new("folded", MseLoss, inputs[..2].to_vec()).squeezed());
    cases.push(Case::new("folded", MseLossGrad, inputs).squeezed());
    cases.extend(heads());
    cases.extend(head_gradients());
    cases.extend(mlps());
    cases
}

/// Last layers with their losses: `x` and so many classes.
fn heads() -> Vec<Case> {
    let case = |name: &str, x: Operand, k: usize, label_smoothing: f64, bias: bool| {
        let (n, features) = (x.spec.shape[0], x.spec.shape[1..].iter().product::<usize>());
        let loss = SoftmaxCrossEntropyAndGrad { label_smoothing, mean: label_smoothing == 0.0 };
        let mut inputs = vec![x, noise(2, [k, features]), integers(3, [n], k as u32), values([1], &[0.37])];
        inputs.extend(bias.then(|| noise(4, [k])));
        Case::new(name, LinearCrossEntropyAndGrad { loss }, inputs)
    };
    let mut cases = vec![
        case("ten_classes", noise(1, [64, 64]), 10, 0.0, true).at(Depth::Quick),
        case("one_row_without_a_bias", noise(1, [1, 5]), 3, 0.0, false),
        case("one_class", noise(1, [3, 7]), 1, 0.1, true),
        case("two_classes", noise(1, [5, 33]), 2, 0.0, true),
        case("one_feature", noise(1, [5, 1]), 4, 0.0, true),
        case("an_image", noise(1, [7, 3, 2, 5]), 12, 0.0, true),
        case("an_image_smoothed", noise(1, [7, 2, 3, 4]), 8, 0.1, false),
        case("all_lanes_at_once", noise(1, [4, 19]), 64, 0.0, true),
        case("one_class_more_than_lanes", noise(1, [4, 19]), 65, 0.1, true).at(Depth::Quick),
        case("as_many_classes_as_it_holds", noise(1, [3, 9]), 256, 0.1, true),
        case("more_classes_than_it_holds", noise(1, [3, 9]), 257, 0.1, true),
        case("as_many_weights_as_it_takes", noise(1, [2, 4096]), 16, 0.0, true),
        case("rows_1025", noise(1, [1025, 6]), 5, 0.0, true),
        case("folded", noise(1, [401, 6]), 5, 0.0, true).squeezed(),
        case("of_images_without_a_bias", noise(1, [65, 4, 4, 3]), 100, 1.0, false),
    ];
    for (name, x) in specials(&[8, 5], 15) {
        cases.push(case(name, x, 5, 0.0, true).special());
    }
    cases
}

/// The same with the layer's gradients, which are sums over one row each, or over all rows.
fn head_gradients() -> Vec<Case> {
    let case = |name: &str, x: Operand, k: usize, [bias, bends]: [bool; 2], images: Option<usize>| {
        let shape = x.spec.shape.clone();
        let (n, features) = (shape[0], shape[1..].iter().product::<usize>());
        let image = <[usize; 3]>::try_from(&shape[1..]).ok();
        let loss = SoftmaxCrossEntropyAndGrad { label_smoothing: if bias { 0.0 } else { 0.1 }, mean: !bias };
        // One that takes a number, in the kernel that does it all; the others are asked with it elsewhere.
        let alone = bends && images == Some(1);
        let bent = if alone { Activation::LeakyRelu { slope: 0.2 } } else { Activation::Relu };
        let (weight, input, activation) = (LinearGradWeight, LinearGradInput { image }, bends.then_some(bent));
        let grad = LinearGrad { weight, input, bias, activation, pool: None, images, normalised: false, plus: false };
        let mut inputs = vec![x, noise(2, [k, features]), integers(3, [n], k as u32), values([1], &[0.37])];
        inputs.extend(bias.then(|| noise(4, [k])));
        inputs.extend(bends.then(|| noise(5, shape)));
        let case = Case::new(name, LinearCrossEntropyGrad { head: LinearCrossEntropyAndGrad { loss }, grad }, inputs);
        if alone { case.only("joined") } else { case }
    };
    let mut cases = vec![
        case("ten_classes", noise(1, [64, 64]), 10, [true, true], Some(1)).at(Depth::Quick),
        case("more_classes_than_twice_the_lanes", noise(1, [4, 19]), 130, [true, true], Some(1)).at(Depth::Quick),
        case("one_row_without_a_bias", noise(1, [1, 5]), 3, [false, true], Some(1)),
        case("an_image", noise(1, [7, 3, 2, 5]), 12, [true, true], Some(1)),
        case("an_image_of_many_elements", noise(1, [3, 5, 3, 9]), 7, [false, true], Some(1)),
        case("folded", noise(1, [401, 6]), 5, [true, true], Some(1)).squeezed(),
        case("no_activation", noise(1, [9, 21]), 6, [true, false], Some(1)).at(Depth::Quick),
        case("over_all_rows", noise(1, [33, 21]), 6, [true, true], None).at(Depth::Quick),
        case("over_all_rows_without_a_bias", noise(1, [9, 21]), 6, [false, true], None),
        case("over_eight_rows", noise(1, [33, 21]), 6, [true, true], Some(8)),
    ];
    for (name, x) in specials(&[8, 5], 15) {
        cases.push(case(name, x, 5, [true, true], Some(1)).special());
    }
    cases
}

/// The same with the layer before it: `x`, so many hidden features and so many classes.
fn mlps() -> Vec<Case> {
    let case = |name: &str, x: Operand, [m, k]: [usize; 2], [bias1, bias]: [bool; 2], images: Option<usize>| {
        let (n, features) = (x.spec.shape[0], x.spec.shape[1..].iter().product::<usize>());
        let activation = Activation::Relu;
        let loss = SoftmaxCrossEntropyAndGrad { label_smoothing: 0.1, mean: bias };
        let (weight, input) = (LinearGradWeight, LinearGradInput { image: None });
        let grad = LinearGrad {
            weight,
            input,
            bias,
            activation: Some(activation),
            pool: None,
            images,
            normalised: false,
            plus: false,
        };
        let head = LinearCrossEntropyGrad { head: LinearCrossEntropyAndGrad { loss }, grad };
        let mut inputs = vec![x, noise(2, [m, features])];
        inputs.extend(bias1.then(|| noise(6, [m])));
        inputs.extend([noise(5, [k, m]), integers(3, [n], k as u32), values([1], &[0.37])]);
        inputs.extend(bias.then(|| noise(4, [k])));
        Case::new(name, MlpCrossEntropyGrad { hidden: LinearActivation { activation }, bias: bias1, head }, inputs)
    };
    let mut cases = vec![
        case("of_an_image", noise(1, [64, 3, 3, 8]), [64, 10], [true, true], Some(1)).at(Depth::Quick),
        case("of_rows", noise(1, [5, 33]), [65, 3], [true, true], Some(1)),
        case("one_row_without_biases", noise(1, [1, 5]), [7, 66], [false, false], Some(1)),
        case("of_an_image_without_biases", noise(1, [4, 2, 5, 3]), [9, 4], [false, false], Some(1)),
        case("folded", noise(1, [401, 6]), [3, 5], [true, true], Some(1)).squeezed(),
        case("over_all_rows", noise(1, [33, 21]), [18, 6], [true, true], None).at(Depth::Quick),
        case("over_eight_rows", noise(1, [33, 21]), [18, 6], [false, true], Some(8)),
    ];
    // A program of its own, for one number that is passed on.
    let mut slope = case("a_slope", noise(1, [9, 21]), [18, 6], [true, true], Some(1)).at(Depth::Full);
    if let Op::MlpCrossEntropyGrad(op) = &mut slope.op {
        let leaky = Activation::LeakyRelu { slope: 0.2 };
        (op.hidden.activation, op.head.grad.activation) = (leaky, Some(leaky));
    }
    cases.push(slope);
    for (name, x) in specials(&[8, 5], 15) {
        cases.push(case(name, x, [6, 5], [true, true], Some(1)).special());
    }
    cases
}
