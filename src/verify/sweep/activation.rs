//! Activations: tails, kinks, saturation, tiny arguments, each apart so that none hides another's errors.

use super::{hard, mark};
use crate::gpu::Caps;
use crate::ops::{Activation, ActivationGrad};
use crate::verify::case::{Case, Depth, Operand, floats, noise, outputs_of, spread, values};

/// Every activation. Elu's alpha is exact in float32: far in the tail, what is left of y + alpha is the rounding of alpha.
const ALL: [Activation; 10] = Activation::all(0.01, 1.25);

fn row(elements: &[f32]) -> Operand {
    values([elements.len()], elements)
}

fn arguments() -> Vec<(&'static str, Operand, Depth)> {
    vec![
        ("ordinary", noise(1, [3, 5, 7, 33]), Depth::Quick),
        ("wide", floats(2, [1000], -12.0, 12.0), Depth::Quick),
        ("one_element", row(&[-0.7]), Depth::Standard),
        ("below_a_workgroup", noise(8, [63]), Depth::Standard),
        ("a_workgroup", noise(9, [64]), Depth::Standard),
        ("above_a_workgroup", noise(10, [65]), Depth::Standard),
        ("small", floats(3, [65], -1e-4, 1e-4), Depth::Standard),
        ("near_half", floats(11, [257], 0.4, 0.6), Depth::Standard),
        ("near_minus_half", floats(12, [257], -0.6, -0.4), Depth::Standard),
        ("about_one", floats(13, [257], 0.9, 1.6), Depth::Standard),
        ("about_minus_one", floats(14, [257], -1.6, -0.9), Depth::Standard),
        ("negative_tail", floats(4, [257], -6.0, -3.0), Depth::Standard),
        ("far_negative_tail", floats(5, [64], -5.5, -5.0), Depth::Standard),
        ("farther_negative_tail", floats(15, [64], -9.0, -8.0), Depth::Standard),
        ("positive_tail", floats(6, [64], 5.0, 15.0), Depth::Standard),
        ("saturating", row(&[-1e4, -200.0, -90.0, -89.0, -30.0, 30.0, 89.0, 90.0, 200.0, 1e4]), Depth::Standard),
        // Cubes and squares of these overflow, and six times the last ones.
        ("huge", row(&[1e13, -1e13, 1e20, -1e20, 3e38, -3e38]), Depth::Standard),
        ("kinks", row(&[0.0, -3.0, 3.0]), Depth::Standard),
        ("beside_the_kinks", row(&[1e-6, -1e-6, -3.001, -2.999, 2.999, 3.001]), Depth::Standard),
        ("negative_zero", row(&[-0.0]), Depth::Standard),
        ("spread", spread(7, [500], 1e-9, 1e3), Depth::Standard),
    ]
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ALL {
        let grad = |name: &str, x: &Operand| {
            let saved = if op.saves_output() { outputs_of(op, std::slice::from_ref(x)).remove(0) } else { x.clone() };
            Case::new(name, ActivationGrad(op), [saved, noise(9, x.spec.shape.clone())])
        };
        for (name, x, depth) in arguments() {
            cases.push(grad(name, &x).at(depth));
            cases.push(Case::new(name, op, [x]).at(depth));
        }
        let x = noise(20, [9, 57]);
        cases.push(grad("folded", &x).squeezed());
        cases.push(Case::new("folded", op, [x]).squeezed());
        for (name, value) in [("nan", f32::NAN), ("infinite", f32::INFINITY), ("minus_infinite", f32::NEG_INFINITY)] {
            cases.push(Case::new(name, op, [row(&[0.5, value, -0.5])]).special());
        }
        for (name, dy, special) in hard(&[77], 21) {
            let saved = outputs_of(op, &[noise(22, [77])]).remove(0);
            let saved = if op.saves_output() { saved } else { noise(22, [77]) };
            cases.push(mark(Case::new(format!("upstream_{name}"), ActivationGrad(op), [saved, dy]), special));
        }
        // In the second workgroup too.
        let x = noise(23, [130]).strewn(37, 5, f32::NAN);
        cases.push(Case::new("nan_here_and_there", op, [x.clone()]).special());
        cases.push(Case::new("nan_here_and_there", ActivationGrad(op), [x, noise(9, [130])]).special());
    }
    let many = noise(7, [65_535 * 64 + 77]);
    cases.push(Case::new("past_65535_workgroups", Activation::Relu, [many.clone()]));
    let op = ActivationGrad(Activation::Relu);
    cases.push(Case::new("past_65535_workgroups", op, [many.clone(), many]).at(Depth::Full));
    cases
}
