use wgrad::Tensor;
use wgrad::ops::{Activation, ActivationGrad};

use crate::runner::{case, check, floats, noise, outputs_of};

const ALL: [Activation; 10] = [
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.01 },
    Activation::Elu { alpha: 1.3 },
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Softplus,
    Activation::HardSwish,
];

fn row(values: &[f32]) -> Tensor {
    Tensor::float([values.len()], values.to_vec())
}

/// Ordinary arguments, saturating ones, tails and tiny ones, each apart so that none hides another's errors.
fn arguments() -> Vec<(&'static str, Tensor)> {
    vec![
        ("ordinary", noise(1, [3, 5, 7, 33])),
        ("wide", floats(2, [1000], -12.0, 12.0)),
        ("one element", row(&[-0.7])),
        ("tiny", floats(3, [65], -1e-4, 1e-4)),
        ("negative tail", floats(4, [257], -6.0, -3.0)),
        ("far negative tail", floats(5, [64], -5.5, -5.0)),
        ("positive tail", floats(6, [64], 5.0, 15.0)),
        ("saturating", row(&[-1e4, -200.0, -89.0, -30.0, 30.0, 89.0, 200.0, 1e4])),
        ("kinks", row(&[0.0, -3.0, 3.0])),
    ]
}

#[test]
fn forward_is_the_function_of_its_argument() {
    let mut cases = Vec::new();
    for op in ALL {
        for (name, x) in arguments() {
            cases.push(case(name, op, vec![x]));
        }
        cases.push(case("a NaN stays a NaN", op, vec![row(&[0.5, f32::NAN, -0.5])]));
    }
    check(cases);
}

#[test]
fn grad_is_the_derivative_times_the_upstream_gradient() {
    let mut cases = Vec::new();
    for op in ALL {
        for (name, x) in arguments() {
            let saved = if op.saves_output() { outputs_of(op, std::slice::from_ref(&x)).remove(0) } else { x.clone() };
            cases.push(case(name, ActivationGrad(op), vec![saved, noise(9, x.shape.clone())]));
        }
    }
    check(cases);
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let len = 65_535 * 64 + 77;
    let x = noise(7, [len]);
    check(vec![
        case("two dimensions of workgroups", Activation::Relu, vec![x.clone()]),
        case("two dimensions of workgroups", ActivationGrad(Activation::Relu), vec![x.clone(), x]),
    ]);
}
