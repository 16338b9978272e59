//! Central differences in float64 against the gradient rules, each operator in the middle of a graph (`wgrad::verify::gradients`).

use wgrad::ops::*;
use wgrad::tensor::Tensor;
use wgrad::verify::gradients::{ask, checks, differences};
use wgrad::verify::trial::{Outcome, Verdict};

/// Numbers from a seed and an index, evenly spread over −1..1.
pub fn uniform(seed: u32, index: usize) -> f64 {
    f64::from(random::random(seed, 0, index as u32)) / 2f64.powi(31) - 1.0
}

/// A tensor of such numbers.
pub fn noise(seed: u32, shape: &[usize]) -> Tensor<f64> {
    let len: usize = shape.iter().product();
    Tensor::float(shape, (0..len).map(|i| uniform(seed, i)).collect())
}

#[test]
fn every_gradient_rule_agrees_with_central_differences() {
    let outcomes = ask(|_| true);
    let told = |o: &Outcome| format!("{} / {}: {}", o.operator, o.case, o.story.clone().unwrap_or_default());
    let wrong: Vec<String> = outcomes.iter().filter(|o| o.verdict != Verdict::Passed).map(told).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));
}

#[test]
fn every_operator_with_a_gradient_rule_is_checked() {
    let checked: Vec<&str> = checks().iter().map(|check| check.op.name()).collect();
    let caps = wgrad::gpu::Caps::DEFAULT;
    for case in wgrad::verify::sweep::cases(wgrad::verify::case::Depth::Quick, &caps) {
        let specs: Vec<_> = case.operands.iter().map(|operand| operand.spec.clone()).collect();
        let differentiable = !case.op.gradient(&specs).is_empty();
        assert!(!differentiable || checked.contains(&case.op.name()), "{} is not checked", case.op.name());
    }
}

#[test]
fn a_wrong_gradient_is_noticed() {
    // Leaky ReLU at a kink: the rule takes one side, the difference the middle.
    let mut check = checks().into_iter().find(|check| check.op.name() == "leaky_relu").unwrap();
    check.operands[0] = Tensor::float([3], vec![0.5, 0.0, -0.5]);
    assert!(differences(&check).unwrap().iter().any(|difference| !difference.passes()));
}
