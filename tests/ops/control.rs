use wgrad::Tensor;
use wgrad::ops::{Advance, Guard, RecordEvaluation, RecordStep};

use crate::runner::{Case, case, check, control, integers, noise};

fn float(values: &[f32]) -> Tensor {
    Tensor::float([values.len()], values.to_vec())
}

#[test]
fn the_guard_sets_the_flag_when_something_is_not_finite() {
    let cases = [
        ("all is well", 1.0, 2.0, 0.0, 0),
        ("the loss is NaN", f32::NAN, 2.0, 0.0, 0),
        ("the loss is infinite", f32::INFINITY, 2.0, 0.0, 0),
        ("a gradient is not finite", 1.0, f32::NAN, 1.0, 0),
        ("the flag was set before", 1.0, 2.0, 0.0, 1),
    ];
    let cases = cases.map(|(name, loss, norm, broken, flag)| {
        case(name, Guard, vec![control(41, flag), float(&[loss]), float(&[norm, broken])])
    });
    check(cases.into());
}

#[test]
fn steps_advance_unless_the_flag_is_set() {
    check(vec![
        case("free", Advance, vec![control(41, 0)]),
        case("flagged", Advance, vec![control(41, 1)]),
        case("wraps", Advance, vec![control(u32::MAX, 0)]),
    ]);
}

fn record(n: usize, k: usize, places: usize, step: u32, flag: u32, logits: Tensor) -> Case {
    let inputs = vec![
        control(step, flag),
        float(&[0.75]),
        float(&[1.5, 0.0]),
        logits,
        integers(2, [n], k as u32),
        noise(3, [places]),
        noise(4, [places]),
        integers(5, [places], 100),
    ];
    case(format!("{n} rows of {k}, step {step} of {places}, flag {flag}"), RecordStep, inputs)
}

#[test]
fn a_step_leaves_its_loss_norm_and_hits() {
    check(vec![
        record(64, 10, 7, 3, 0, noise(1, [64, 10])),
        record(1, 1, 1, 5, 0, noise(1, [1, 1])),
        record(333, 3, 5, 14, 0, noise(1, [333, 3])),
        record(20, 4, 5, 4, 0, Tensor::float([20, 4], vec![1.0; 80])),
        record(64, 10, 7, 3, 1, noise(1, [64, 10])),
    ]);
}

#[test]
fn an_evaluation_leaves_each_row_and_ends_with_the_data() {
    let cases = [(8, 30, 0), (8, 30, 2), (8, 30, 3), (8, 30, 4), (65, 65, 0), (1, 5, 4), (3, 5, u32::MAX)];
    let cases = cases.map(|(n, len, step)| {
        let inputs = vec![control(step, 0), noise(1, [n, 10]), noise(2, [n]), noise(3, [len]), integers(4, [len], 9)];
        case(format!("{n} rows into {len}, step {step}"), RecordEvaluation, inputs)
    });
    check(cases.into());
}
