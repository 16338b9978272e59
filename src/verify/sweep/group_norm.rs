//! Group and layer normalisation: one stage and two, of rows and of channels.

use crate::gpu::Caps;
use crate::ops::{GroupNorm, GroupNormGrad, LayerNorm, LayerNormGrad, Op};
use crate::verify::case::{Case, Depth, Operand, floats, noise, outputs_of, spread, values};

const EPS: f64 = 1e-5;

fn images() -> Vec<(&'static str, Operand, usize, Depth)> {
    let (quick, standard) = (Depth::Quick, Depth::Standard);
    vec![
        ("one_group", noise(1, [2, 5, 7, 3]), 1, quick),
        ("two_stages_a_group", noise(3, [3, 17, 16, 32]), 4, quick),
        ("a_group_a_channel", noise(2, [1, 9, 5, 5]), 5, standard),
        ("one_pixel", noise(11, [1, 1, 1, 5]), 1, standard),
        ("two_stages_a_channel", noise(4, [2, 13, 11, 66]), 3, standard),
        ("width_41", noise(12, [2, 3, 41, 6]), 2, standard),
        ("mean_1000", floats(5, [2, 9, 9, 64], 999.0, 1001.0), 8, standard),
        ("constant", values([2, 3, 3, 4], &[-2.5]), 2, standard),
        ("small", spread(13, [2, 5, 5, 4], 1e-4, 1e-3), 2, standard),
        ("more_than_65536_elements_a_group", floats(6, [1, 190, 181, 4], 1.0, 3.0), 2, standard),
        ("more_than_262144_pixels", floats(7, [1, 521, 523, 2], 1.0, 3.0), 1, standard),
    ]
}

fn rows() -> Vec<(&'static str, Operand, Depth)> {
    let (quick, standard) = (Depth::Quick, Depth::Standard);
    vec![
        ("rows", noise(1, [5, 33]), quick),
        ("three_axes", noise(5, [2, 7, 64]), quick),
        ("one_row", noise(2, [1, 65]), standard),
        ("one_element", noise(9, [3, 1]), standard),
        ("a_block", noise(10, [3, 256]), standard),
        ("more_than_a_block", noise(3, [3, 700]), standard),
        ("many_rows", noise(4, [600, 31]), standard),
        ("mean_1000", floats(6, [9, 257], 999.0, 1001.0), standard),
        ("constant", values([3, 5], &[4.0]), standard),
    ]
}

fn scale(x: &Operand) -> [Operand; 2] {
    let c = x.spec.shape.last().copied().unwrap_or(1);
    [floats(20, [c], 0.5, 1.5), noise(21, [c])]
}

/// Forward, and backward on what that saves.
fn both(name: &str, x: &Operand, dy: &Operand, op: impl Into<Op>, grad: impl Into<Op>) -> [Case; 2] {
    let ([weight, bias], op) = (scale(x), op.into());
    let inputs = [x.clone(), weight.clone(), bias];
    let saved = outputs_of(op.clone(), &inputs);
    let backward = [x.clone(), weight, saved[1].clone(), saved[2].clone(), dy.clone()];
    [Case::new(name, op, inputs), Case::new(name, grad, backward)]
}

fn of_groups(name: &str, x: &Operand, groups: usize, eps: f64) -> [Case; 2] {
    let dy = noise(22, x.spec.shape.clone());
    both(name, x, &dy, GroupNorm { groups, eps }, GroupNormGrad { groups })
}

fn of_rows(name: &str, x: &Operand, eps: f64) -> [Case; 2] {
    both(name, x, &noise(22, x.spec.shape.clone()), LayerNorm { eps }, LayerNormGrad)
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, x, groups, depth) in images() {
        cases.extend(of_groups(name, &x, groups, EPS).map(|case| case.at(depth)));
    }
    for (name, x, depth) in rows() {
        cases.extend(of_rows(name, &x, EPS).map(|case| case.at(depth)));
    }
    cases.extend(of_groups("folded", &noise(14, [7, 3, 5, 360]), 12, EPS).map(Case::squeezed));
    cases.extend(of_rows("folded", &noise(15, [401, 3]), EPS).map(Case::squeezed));
    cases.extend(of_groups("large_eps", &noise(16, [2, 3, 5, 6]), 3, 0.5));
    cases.extend(of_rows("large_eps", &noise(17, [5, 7]), 0.5));
    for (name, value) in [("nan", f32::NAN), ("infinite", f32::INFINITY), ("minus_infinite", f32::NEG_INFINITY)] {
        // In one group, and in one row.
        let (image, rows) = (noise(18, [2, 3, 4, 4]), noise(18, [4, 7]));
        let strewn = |x: &Operand| x.clone().strewn(1000, 5, value);
        cases.extend(of_groups(name, &strewn(&image), 2, EPS).map(Case::special));
        cases.extend(of_rows(name, &strewn(&rows), EPS).map(Case::special));
        let (name, groups) = (format!("upstream_{name}"), 2);
        let op = GroupNorm { groups, eps: EPS };
        let [_, grad] = both(&name, &image, &strewn(&noise(22, [2, 3, 4, 4])), op, GroupNormGrad { groups });
        cases.push(grad.special());
        let [_, grad] = both(&name, &rows, &strewn(&noise(22, [4, 7])), LayerNorm { eps: EPS }, LayerNormGrad);
        cases.push(grad.special());
    }
    cases
}
