use wgrad::Tensor;
use wgrad::ops::{GroupNorm, GroupNormGrad, LayerNorm, LayerNormGrad};

use crate::runner::{case, check, floats, noise, outputs_of};

const EPS: f32 = 1e-5;

fn images() -> Vec<(&'static str, Tensor, usize)> {
    vec![
        ("one group", noise(1, [2, 5, 7, 3]), 1),
        ("a group a channel", noise(2, [1, 9, 5, 5]), 5),
        ("two stages a group", noise(3, [3, 17, 16, 32]), 4),
        ("two stages a channel", noise(4, [2, 13, 11, 66]), 3),
        ("mean 1000", floats(5, [2, 9, 9, 64], 999.0, 1001.0), 8),
        ("constant", Tensor::float([2, 3, 3, 4], vec![-2.5; 72]), 2),
        ("more than 65,536 elements a group", noise(6, [1, 190, 181, 4]), 2),
    ]
}

fn rows() -> Vec<(&'static str, Tensor)> {
    vec![
        ("rows", noise(1, [5, 33])),
        ("one row", noise(2, [1, 65])),
        ("more than a block", noise(3, [3, 700])),
        ("many rows", noise(4, [600, 31])),
        ("three axes", noise(5, [2, 7, 64])),
        ("mean 1000", floats(6, [9, 257], 999.0, 1001.0)),
        ("constant", Tensor::float([3, 5], vec![4.0; 15])),
    ]
}

fn scale(x: &Tensor) -> [Tensor; 2] {
    let c = *x.shape.last().unwrap();
    [floats(20, [c], 0.5, 1.5), noise(21, [c])]
}

#[test]
fn groups_of_channels_are_normalised() {
    let mut cases = Vec::new();
    for (name, x, groups) in images() {
        let ([weight, bias], op) = (scale(&x), GroupNorm { groups, eps: EPS });
        let inputs = vec![x.clone(), weight.clone(), bias];
        let saved = outputs_of(op, &inputs);
        let dy = noise(22, x.shape.clone());
        cases.push(case(name, op, inputs));
        cases.push(case(name, GroupNormGrad { groups }, vec![x, weight, saved[1].clone(), saved[2].clone(), dy]));
    }
    check(cases);
}

#[test]
fn rows_are_normalised() {
    let mut cases = Vec::new();
    for (name, x) in rows() {
        let ([weight, bias], op) = (scale(&x), LayerNorm { eps: EPS });
        let inputs = vec![x.clone(), weight.clone(), bias];
        let saved = outputs_of(op, &inputs);
        let dy = noise(22, x.shape.clone());
        cases.push(case(name, op, inputs));
        cases.push(case(name, LayerNormGrad, vec![x, weight, saved[1].clone(), saved[2].clone(), dy]));
    }
    check(cases);
}
