use wgrad::Tensor;
use wgrad::ops::{BatchNorm2d, BatchNorm2dEval, BatchNorm2dEvalGrad, BatchNorm2dGrad, RunningStats};

use crate::runner::{case, check, control, floats, noise, outputs_of};

const EPS: f32 = 1e-5;

/// Images: ordinary ones, odd ones, far from zero, constant, with one stage and with two.
fn images() -> Vec<(&'static str, Tensor)> {
    vec![
        ("three pixels", noise(1, [3, 1, 1, 1])),
        ("odd", noise(2, [3, 5, 7, 5])),
        ("one stage", noise(3, [1, 16, 16, 31])),
        ("two stages", noise(4, [2, 13, 11, 65])),
        ("mean 1000", floats(5, [4, 9, 9, 33], 999.0, 1001.0)),
        ("mean -1000 in two stages", floats(6, [2, 33, 31, 3], -1000.5, -999.5)),
        ("constant", Tensor::float([2, 3, 3, 3], vec![7.25; 54])),
        ("more than 65,536 rows", noise(7, [5, 120, 121, 1])),
    ]
}

fn scale(x: &Tensor) -> [Tensor; 2] {
    [floats(20, [x.shape[3]], 0.5, 1.5), noise(21, [x.shape[3]])]
}

#[test]
fn training_normalises_with_the_batch() {
    let cases = images().into_iter().map(|(name, x)| {
        let [weight, bias] = scale(&x);
        case(name, BatchNorm2d { eps: EPS }, vec![x, weight, bias])
    });
    check(cases.collect());
}

#[test]
fn the_gradient_goes_through_the_statistics() {
    let cases = images().into_iter().map(|(name, x)| {
        let [weight, bias] = scale(&x);
        let saved = outputs_of(BatchNorm2d { eps: EPS }, &[x.clone(), weight.clone(), bias]);
        let dy = noise(22, x.shape.clone());
        case(name, BatchNorm2dGrad, vec![x, weight, saved[1].clone(), saved[2].clone(), dy])
    });
    check(cases.collect());
}

#[test]
fn evaluation_normalises_with_the_running_statistics() {
    let mut cases = Vec::new();
    for (name, x) in images() {
        let ([weight, bias], c) = (scale(&x), x.shape[3]);
        let middle = x.floats()[0];
        let mean = floats(23, [c], middle - 1.0, middle + 1.0);
        let var = floats(24, [c], 0.1, 2.0);
        let dy = noise(25, x.shape.clone());
        let inputs = vec![x.clone(), weight.clone(), bias, mean.clone(), var.clone()];
        cases.push(case(name, BatchNorm2dEval { eps: EPS }, inputs));
        cases.push(case(name, BatchNorm2dEvalGrad { eps: EPS }, vec![x, weight, mean, var, dy]));
    }
    check(cases);
}

#[test]
fn running_statistics_follow_unless_the_flag_is_set() {
    let mut cases = Vec::new();
    for (c, momentum, flag) in [(1, 0.1, 0), (33, 0.1, 0), (65, 1.0, 0), (64, 0.01, 1)] {
        let inputs =
            vec![noise(1, [c]), floats(2, [c], 0.5, 2.0), noise(3, [2, c]), floats(4, [c], 0.5, 2.0), control(3, flag)];
        cases.push(case(format!("{c} channels, flag {flag}"), RunningStats { momentum }, inputs));
    }
    check(cases);
}
