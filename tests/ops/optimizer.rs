use wgrad::Tensor;
use wgrad::ops::{ClipGradNorm, ClipValue, GradNorm, Optimizer};

use crate::runner::{Case, case, check, control, floats, noise};

fn all() -> Vec<Optimizer> {
    let [momentum, weight_decay, beta1, beta2, eps, alpha] = [0.9, 0.01, 0.9, 0.999, 1e-8, 0.99];
    vec![
        Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay },
        Optimizer::Sgd { momentum, nesterov: false, weight_decay },
        Optimizer::Sgd { momentum, nesterov: true, weight_decay },
        Optimizer::Adam { beta1, beta2, eps, weight_decay: 0.0 },
        Optimizer::Adam { beta1, beta2, eps, weight_decay },
        Optimizer::AdamW { beta1, beta2, eps, weight_decay },
        Optimizer::RmsProp { alpha, eps, momentum: 0.0, weight_decay },
        Optimizer::RmsProp { alpha, eps, momentum, weight_decay: 0.0 },
    ]
}

/// Step `step` from random parameters, gradients and moments, with a table of three steps' rates.
fn step_case(op: Optimizer, len: usize, step: u32, flag: u32) -> Case {
    let rates: Vec<f32> = (1..=3).flat_map(|t| op.rates_row(0.1 / t as f64, t)).collect();
    let mut inputs = vec![noise(1, [len]), noise(2, [len]), Tensor::float([3, 4], rates), control(step, flag)];
    // Positive, since some of them are means of squares.
    inputs.extend((0..op.moments()).map(|number| floats(3 + number as u32, [len], 0.0, 1.0)));
    case(format!("{op:?}, {len} parameters, step {step}, flag {flag}"), op, inputs)
}

#[test]
fn every_optimizer_steps() {
    let cases = all().into_iter().flat_map(|op| {
        [(1, 0, 0), (65, 1, 0), (1000, 5, 0), (64, 2, 1)].map(|(len, step, flag)| step_case(op, len, step, flag))
    });
    check(cases.collect());
}

#[test]
fn an_element_whose_update_overflows_stays_as_it_was() {
    let gpu = crate::runner::gpu();
    for op in all() {
        let rates = Tensor::float([1, 4], op.rates_row(3e38, 1).to_vec());
        // Weights, gradients and moments that overflow in the weight or in the mean square; the last element stays small.
        let (param, grad) = (vec![-3e38, 1.0, 0.0], vec![3e38, 1e30, 0.0]);
        let mut inputs = vec![Tensor::float([3], param), Tensor::float([3], grad), rates, control(0, 0)];
        inputs.extend((0..op.moments()).map(|_| Tensor::float([3], vec![0.25, 0.5, 0.0])));
        let operator = wgrad::ops::Op::from(op);
        let mut answers = vec![operator.evaluate(&inputs.iter().collect::<Vec<_>>()).unwrap()];
        answers
            .extend(gpu.iter().map(|gpu| wgrad::session::gpu::run_node(gpu, &operator, &inputs, "baseline").unwrap()));
        for outputs in answers {
            for (output, old) in outputs.iter().zip(std::iter::once(&inputs[0]).chain(&inputs[4..])) {
                assert!(output.floats().iter().all(|x| x.is_finite()), "{op:?}: {outputs:?}");
                assert_eq!(output.floats()[0], old.floats()[0], "{op:?}: the overflowing element changed");
            }
        }
    }
}

#[test]
fn adam_begins_from_moments_of_zero() {
    let op = Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
    let zeros = || Tensor::float([100], vec![0.0; 100]);
    let rates = Tensor::float([1, 4], op.rates_row(1e-3, 1).to_vec());
    check(vec![case("first step", op, vec![zeros(), noise(1, [100]), rates, control(0, 0), zeros(), zeros()])]);
}

#[test]
fn the_norm_of_a_gradient_and_whether_it_is_finite() {
    let mut cases: Vec<Case> = [1, 5, 256, 257, 65_536, 70_001, 1_000_003]
        .into_iter()
        .map(|len| case(format!("{len} elements"), GradNorm, vec![noise(1, [len])]))
        .collect();
    for (name, value) in [("a NaN", f32::NAN), ("infinity", f32::INFINITY), ("minus infinity", f32::NEG_INFINITY)] {
        let mut data = noise(2, [70_001]).floats().to_vec();
        data[69_999] = value;
        cases.push(case(name, GradNorm, vec![Tensor::float([70_001], data)]));
    }
    check(cases);
}

#[test]
fn clips() {
    let mut cases = Vec::new();
    for len in [1, 65, 1000] {
        for norm in [0.0, 0.5, 3.0] {
            let inputs = vec![noise(1, [len]), Tensor::float([2], vec![norm, 0.0])];
            cases.push(case(format!("{len} elements, norm {norm}"), ClipGradNorm { max_norm: 1.0 }, inputs));
        }
        for flag in [0, 1] {
            let inputs = vec![noise(1, [len]), control(3, flag)];
            cases.push(case(format!("{len} elements, flag {flag}"), ClipValue { limit: 0.3 }, inputs));
        }
    }
    check(cases);
}

/// Some adapters bind at most 128 MiB: there these buffers are taken in two ranges.
#[test]
fn buffers_larger_than_a_binding() {
    let len = (128 << 18) + 100;
    let x = noise(1, [len]);
    check(vec![
        case("two ranges", GradNorm, vec![x.clone()]),
        case("two ranges", ClipValue { limit: 0.5 }, vec![x, control(0, 0)]),
    ]);
}
