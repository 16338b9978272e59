//! Batch normalisation: one stage and two, far from zero, constant images, running statistics.

use super::{batch_norm2d_apply, specials};
use crate::gpu::Caps;
use crate::ops::{Activation, BatchNorm2d, BatchNorm2dActivation, BatchNorm2dEval};
use crate::ops::{BatchNorm2dEvalGrad, BatchNorm2dGrad, Op, RunningStats};
use crate::verify::case::{Case, Depth, Operand, control, floats, noise, outputs_of, spread, values};

const EPS: f64 = 1e-5;

/// Images with about their mean.
fn images() -> Vec<(&'static str, Operand, f32, Depth)> {
    let (quick, standard) = (Depth::Quick, Depth::Standard);
    vec![
        ("odd", noise(2, [3, 5, 7, 5]), 0.0, quick),
        ("two_stages", noise(4, [2, 13, 11, 65]), 0.0, quick),
        ("three_pixels", noise(1, [3, 1, 1, 1]), 0.0, standard),
        ("one_pixel_each", noise(12, [5, 1, 1, 3]), 0.0, standard),
        ("one_stage", noise(3, [1, 16, 16, 31]), 0.0, standard),
        ("two_blocks", noise(13, [1, 16, 32, 3]), 0.0, standard),
        ("width_47", noise(14, [2, 3, 47, 33]), 0.0, standard),
        ("mean_1000", floats(5, [4, 9, 9, 33], 999.0, 1001.0), 1000.0, standard),
        ("mean_minus_1000_two_stages", floats(6, [2, 33, 31, 3], -1000.5, -999.5), -1000.0, standard),
        ("constant", values([2, 3, 3, 3], &[7.25]), 7.25, standard),
        ("constant_zero", values([1, 3, 3, 2], &[0.0, -0.0]), 0.0, standard),
        ("small", spread(15, [2, 5, 5, 3], 1e-4, 1e-3), 0.0, standard),
        ("large", spread(16, [2, 5, 5, 3], 1e8, 1e9), 0.0, standard),
        ("more_than_65536_rows", floats(7, [5, 120, 121, 1], 1.0, 3.0), 2.0, standard),
        ("more_than_262144_rows", floats(8, [5, 233, 229, 2], 1.0, 3.0), 2.0, standard),
        ("past_65535_workgroups", noise(9, [1, 513, 513, 16]), 0.0, Depth::Full),
    ]
}

fn scale(x: &Operand) -> [Operand; 2] {
    let c = x.spec.shape[3];
    [floats(20, [c], 0.5, 1.5), noise(21, [c])]
}

/// Training and evaluation, forward and backward, of one image.
fn all(name: &str, x: &Operand, middle: f32) -> [Case; 4] {
    with_upstream(name, x, middle, &noise(22, x.spec.shape.clone()))
}

fn with_upstream(name: &str, x: &Operand, middle: f32, dy: &Operand) -> [Case; 4] {
    let ([weight, bias], c) = (scale(x), x.spec.shape[3]);
    let inputs = [x.clone(), weight.clone(), bias.clone()];
    let saved = outputs_of(BatchNorm2d { eps: EPS }, &inputs);
    let (mean, var) = (floats(23, [c], middle - 1.0, middle + 1.0), floats(24, [c], 0.1, 2.0));
    [
        Case::new(name, BatchNorm2d { eps: EPS }, inputs),
        Case::new(name, BatchNorm2dGrad, [x.clone(), weight.clone(), saved[1].clone(), saved[2].clone(), dy.clone()]),
        Case::new(name, BatchNorm2dEval { eps: EPS }, [x.clone(), weight.clone(), bias, mean.clone(), var.clone()]),
        Case::new(name, BatchNorm2dEvalGrad { eps: EPS }, [x.clone(), weight, mean, var, dy.clone()]),
    ]
}

/// With an activation behind it, which changes nothing but y.
fn activated() -> Vec<Case> {
    let activation = Activation::Relu;
    let case = |case: Case| {
        let op: Op = match case.op {
            Op::BatchNorm2d(op) => BatchNorm2dActivation { op, activation }.into(),
            _ => return None,
        };
        Some(Case { op, ..case })
    };
    let image = || noise(2, [3, 5, 7, 5]);
    let quick = all("relu", &image(), 0.0).into_iter().filter_map(case).map(|case| case.at(Depth::Quick));
    let mut cases: Vec<Case> = quick.collect();
    for (name, x) in specials(&[3, 5, 7, 5], 2) {
        cases.extend(all(name, &x, 0.0).into_iter().filter_map(case).map(Case::special));
    }
    cases
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, x, middle, depth) in images() {
        cases.extend(all(name, &x, middle).into_iter().map(|case| case.at(depth)));
    }
    cases.extend(all("folded", &noise(10, [2, 13, 11, 330]), 0.0).into_iter().map(Case::squeezed));
    for (name, value) in [("nan", f32::NAN), ("infinite", f32::INFINITY), ("minus_infinite", f32::NEG_INFINITY)] {
        // In one channel of three.
        let [plain, special] = [11, 26].map(|seed| noise(seed, [2, 3, 4, 3]));
        cases.extend(all(name, &plain.clone().strewn(1000, 4, value), 0.0).map(Case::special));
        let dy = special.strewn(1000, 4, value);
        let [_, training, _, evaluation] = with_upstream(&format!("upstream_{name}"), &plain, 0.0, &dy);
        cases.extend([training.special(), evaluation.special()]);
    }
    cases.extend(activated());
    cases.extend(batch_norm2d_apply::cases());
    // The unbiased variance divides by one less than two.
    let x = noise(25, [2, 1, 1, 3]);
    let [weight, bias] = scale(&x);
    cases.push(Case::new("two_pixels", BatchNorm2d { eps: EPS }, [x, weight, bias]));
    // A large eps, so that a kernel which forgets it or puts it elsewhere is found out.
    let x = noise(17, [2, 4, 5, 3]);
    let [weight, bias] = scale(&x);
    let (eps, mean, var) = (0.5, noise(23, [3]), floats(24, [3], 0.1, 2.0));
    let dy = noise(22, x.spec.shape.clone());
    cases.push(Case::new("large_eps", BatchNorm2d { eps }, [x.clone(), weight.clone(), bias.clone()]));
    let inputs = [x.clone(), weight.clone(), bias, mean.clone(), var.clone()];
    cases.push(Case::new("large_eps", BatchNorm2dEval { eps }, inputs));
    cases.push(Case::new("large_eps", BatchNorm2dEvalGrad { eps }, [x, weight, mean, var, dy]));
    for (c, momentum, flag) in [(33, 0.1, 0), (1, 0.1, 0), (63, 0.3, 0), (65, 1.0, 0), (64, 0.01, 1), (7, 0.1, 5)] {
        let inputs =
            [noise(1, [c]), floats(2, [c], 0.5, 2.0), noise(3, [2, c]), floats(4, [c], 0.5, 2.0), control(3, flag)];
        let depth = if c == 33 { Depth::Quick } else { Depth::Standard };
        cases.push(Case::new(format!("{c}_channels_flag_{flag}"), RunningStats { momentum }, inputs).at(depth));
    }
    for ((name, mean), (_, var)) in specials(&[2, 33], 5).into_iter().zip(specials(&[33], 6)) {
        let inputs = [noise(1, [33]), floats(2, [33], 0.5, 2.0), mean, var, control(3, 0)];
        cases.push(Case::new(name, RunningStats { momentum: 0.1 }, inputs).special());
    }
    let c = 400;
    let inputs = [noise(1, [c]), floats(2, [c], 0.5, 2.0), noise(3, [2, c]), floats(4, [c], 0.5, 2.0), control(0, 0)];
    cases.push(Case::new("folded", RunningStats { momentum: 0.2 }, inputs).squeezed());
    cases
}
