//! Optimisers, sums, norms and clips: all kinds, flags, tables of rates, updates that overflow, buffers in ranges.

use super::specials;
use crate::gpu::Caps;
use crate::ops::{Accumulate, ClipGradNorm, ClipValue, ClippedOptimizer, GradNorm, Operator, Optimizer};
use crate::verify::case::{Case, Depth, Operand, control, floats, noise, spread, values};

fn all() -> [(&'static str, Optimizer); 11] {
    let [momentum, weight_decay, beta1, beta2, eps, alpha] = [0.9, 0.01, 0.9, 0.999, 1e-8, 0.99];
    [
        ("plain", Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }),
        ("decay", Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay }),
        ("momentum", Optimizer::Sgd { momentum, nesterov: false, weight_decay }),
        ("nesterov", Optimizer::Sgd { momentum, nesterov: true, weight_decay }),
        ("plain", Optimizer::Adam { beta1, beta2, eps, weight_decay: 0.0 }),
        ("decay", Optimizer::Adam { beta1, beta2, eps, weight_decay }),
        ("decay", Optimizer::AdamW { beta1, beta2, eps, weight_decay }),
        ("decay", Optimizer::RmsProp { alpha, eps, momentum: 0.0, weight_decay }),
        ("plain", Optimizer::RmsProp { alpha, eps, momentum: 0.0, weight_decay: 0.0 }),
        ("momentum", Optimizer::RmsProp { alpha, eps, momentum, weight_decay: 0.0 }),
        ("momentum_decay", Optimizer::RmsProp { alpha, eps, momentum, weight_decay }),
    ]
}

/// One step from random parameters, gradients and moments, with a table of three steps' rates.
fn step(name: String, op: Optimizer, [param, grad]: [Operand; 2], control: Operand) -> Case {
    let len = param.spec.len();
    let rates: Vec<f32> = (1..=3).flat_map(|t| op.rates_row(0.1 / t as f64, t)).collect();
    let mut inputs = vec![param, grad, values([3, 4], &rates), control];
    // Positive, since some of them are means of squares.
    inputs.extend((0..op.moments()).map(|number| floats(3 + number as u32, [len], 0.0, 1.0)));
    Case::new(name, op, inputs)
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    let ordinary = |len: usize| [noise(1, [len]), noise(2, [len])];
    for (kind, op) in all() {
        // Flat buffers come in fours; single elements are asked of one, since the file is one and its programs are many.
        let in_fours = !matches!(op, Optimizer::AdamW { .. });
        let size = |len: usize| if in_fours { len.next_multiple_of(4) } else { len };
        for (len, at, flag, depth) in [
            (65, 1, 0, Depth::Quick),
            (1, 0, 0, Depth::Standard),
            (1000, 5, 0, Depth::Quick),
            (64, 2, 1, Depth::Standard),
        ] {
            let name = format!("{kind}_{len}_step_{at}_flag_{flag}");
            cases.push(step(name, op, ordinary(size(len)), control(at, flag)).at(depth));
        }
        // A gradient that vanishes: the square root's argument is what eps keeps from 0.
        let small = [noise(1, [size(65)]), spread(2, [size(65)], 1e-10, 1e-7)];
        cases.push(step(format!("{kind}_vanishing"), op, small, control(0, 0)));
        cases.push(step(
            format!("{kind}_large"),
            op,
            [noise(1, [size(65)]), spread(2, [size(65)], 1e3, 1e8)],
            control(2, 0),
        ));
        // Ranges, each of so many workgroups that they are folded.
        let most = if in_fours { 3 } else { 5 };
        cases.push(step(format!("{kind}_ranges"), op, ordinary(size(2501)), control(1, 0)).squeezed_to(most));
        cases.push(from_zero(format!("{kind}_from_zero"), op, noise(2, [100])));
        // Gradients of the size of eps, and none at all.
        let vanishing = spread(2, [100], 1e-9, 1e-7).strewn(9, 0, 0.0);
        cases.push(from_zero(format!("{kind}_from_zero_vanishing"), op, vanishing));
        for (name, grad) in specials(&[size(65)], 5) {
            // These elements stay as they were.
            cases.push(step(format!("{kind}_{name}"), op, [noise(1, [size(65)]), grad], control(1, 0)).special());
        }
        for (name, grad) in specials(&[68], 5) {
            cases.push(step(format!("{kind}_fours_{name}"), op, [noise(1, [68]), grad], control(1, 0)).special());
        }
        // Elements one by one, and in fours.
        for (len, ending) in [(6, ""), (8, "_fours")] {
            cases.push(overflowing(format!("{kind}_overflowing{ending}"), op, 3e38, size(len)));
            cases.push(overflowing(format!("{kind}_moments_overflowing{ending}"), op, 0.1, size(len)));
        }
    }
    let op = Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.5 };
    let large = step("past_a_binding_of_128_mib".into(), op, ordinary((128 << 18) + 100), control(0, 0));
    cases.push(large.at(Depth::Full));
    cases.extend(sums());
    cases.extend(norms());
    cases.extend(clips());
    cases.extend(clipped());
    cases
}

/// Optimisers that clip: each limit alone and all of them, norms below and above the largest, single elements and fours.
fn clipped() -> Vec<Case> {
    let clip = |case: Case, op: ClippedOptimizer, norm: f32| {
        let mut operands = case.operands;
        operands.extend(op.norm.map(|_| values([2], &[norm, 0.0])));
        Case::new(case.name, op, operands)
    };
    let ordinary = |len: usize| [noise(1, [len]), noise(2, [len])];
    let mut cases = Vec::new();
    for (kind, optimizer) in all() {
        let (single, plain) = (matches!(optimizer, Optimizer::AdamW { .. }), ClippedOptimizer::from(optimizer));
        let len = if single { 131 } else { 132 };
        let all = ClippedOptimizer { value: Some(0.3), norm: Some(2.0), parameters: Some(0.5), ..plain };
        let name = |what: &str| format!("{}_{kind}_{what}", optimizer.name());
        let ask =
            |what: &str, op, norm, flag| clip(step(name(what), optimizer, ordinary(len), control(4, flag)), op, norm);
        let depth = if kind == "decay" { Depth::Quick } else { Depth::Standard };
        cases.push(ask("all", all, 3.0, 0).at(depth));
        cases.push(ask("flagged", all, 3.0, 1));
        for (what, op, norm) in [
            ("value", ClippedOptimizer { value: Some(0.3), ..plain }, 0.0),
            ("parameters", ClippedOptimizer { parameters: Some(0.5), ..plain }, 0.0),
            ("norm_zero", ClippedOptimizer { norm: Some(2.0), ..plain }, 0.0),
            ("norm_below", ClippedOptimizer { norm: Some(2.0), ..plain }, 1.5),
            ("norm_above", ClippedOptimizer { norm: Some(2.0), ..plain }, 7.0),
            // So small that the 1e-6 beside it counts.
            ("norm_tiny", ClippedOptimizer { norm: Some(1e-6), ..plain }, 3e-6),
        ] {
            cases.push(ask(what, op, norm, 0));
        }
        for (what, norm) in [("norm_nan", f32::NAN), ("norm_infinite", f32::INFINITY)] {
            cases.push(ask(what, ClippedOptimizer { norm: Some(2.0), ..plain }, norm, 0).special());
        }
        for (what, grad) in specials(&[len], 5) {
            let case = step(name(what), optimizer, [noise(1, [len]), grad], control(4, 0));
            cases.push(clip(case, all, 3.0).special());
        }
        let ranges = step(name("ranges"), optimizer, ordinary(if single { 2501 } else { 2504 }), control(1, 0));
        cases.push(clip(ranges, all, 3.0).squeezed());
    }
    cases
}

/// The first step of a run: the moments are zero.
fn from_zero(name: String, op: Optimizer, grad: Operand) -> Case {
    let mut inputs = vec![noise(1, [100]), grad, values([1, 4], &op.rates_row(1e-3, 1)), control(0, 0)];
    inputs.extend((0..op.moments()).map(|_| values([100], &[0.0])));
    Case::new(name, op, inputs)
}

/// Updates that overflow in the weight, in a moment or in none: an element whose update overflows stays as it was.
fn overflowing(name: String, op: Optimizer, rate: f64, len: usize) -> Case {
    let rates = values([1, 4], &op.rates_row(rate, 1));
    let param = values([len], &[-3e38, 1.0, 0.0, 2.0, 0.5, -1.0]);
    // The last one's square is finite by itself: compilers may multiply (1 - b2) * g * g in another order.
    let grad = values([len], &[3e38, 1e30, 0.0, 1e-30, -3e38, 1e18]);
    let mut inputs = vec![param, grad, rates, control(0, 0)];
    inputs.extend((0..op.moments()).map(|_| values([len], &[0.25, 0.5, 0.0, 1e-20, 3e38, 0.125])));
    Case::new(name, op, inputs).overflowing()
}

fn sums() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in [65, 1, 64, 1000] {
        let depth = if len == 65 { Depth::Quick } else { Depth::Standard };
        cases.push(Case::new(format!("{len}_elements"), Accumulate, [noise(1, [len]), noise(2, [len])]).at(depth));
    }
    cases.push(Case::new("ranges", Accumulate, [noise(1, [3000]), noise(2, [3000])]).squeezed());
    for (name, x) in specials(&[65], 5) {
        cases.push(Case::new(name, Accumulate, [noise(1, [65]), x]).special());
    }
    let large = [noise(1, [(128 << 18) + 100]), noise(2, [(128 << 18) + 100])];
    cases.push(Case::new("past_a_binding_of_128_mib", Accumulate, large).at(Depth::Full));
    cases
}

fn norms() -> Vec<Case> {
    let mut cases = Vec::new();
    // Flat buffers come in fours; the sum that single elements have in common with the end of a step is asked there.
    for len in [70_004, 4, 8, 252, 256, 260, 6000, 40_000, 65_532, 65_536, 65_540, 1_000_004] {
        let depth = if len == 70_004 { Depth::Quick } else { Depth::Standard };
        cases.push(Case::new(format!("{len}_elements"), GradNorm, [floats(1, [len], 0.5, 1.5)]).at(depth));
    }
    cases.push(Case::new("zero", GradNorm, [values([300], &[0.0, -0.0])]));
    // Each element is finite, and the sum of their squares is not.
    cases.push(Case::new("squares_overflow", GradNorm, [values([300], &[1e30, 1.0])]).overflowing());
    cases.push(Case::new("ranges", GradNorm, [floats(2, [5000], -1.0, 2.0)]).squeezed());
    // Several blocks a split.
    cases.push(
        Case::new("more_than_16777216_elements", GradNorm, [floats(3, [(1 << 24) + 70_000], 0.5, 1.5)]).at(Depth::Full),
    );
    cases.push(Case::new("past_a_binding_of_128_mib", GradNorm, [noise(4, [(128 << 18) + 100])]).at(Depth::Full));
    for (name, value) in [("nan", f32::NAN), ("infinite", f32::INFINITY), ("minus_infinite", f32::NEG_INFINITY)] {
        for (ending, place) in [("", 70_003), ("_first", 0)] {
            let grad = noise(2, [70_004]).strewn(100_000, place, value);
            cases.push(Case::new(format!("{name}{ending}"), GradNorm, [grad.clone()]).special());
        }
        cases.push(
            Case::new(format!("{name}_in_ranges"), GradNorm, [noise(2, [5000]).strewn(9999, 3000, value)])
                .special()
                .squeezed(),
        );
    }
    cases
}

fn clips() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in [65, 1, 64, 1000] {
        let depth = if len == 65 { Depth::Quick } else { Depth::Standard };
        for (name, norm) in [("zero", 0.0), ("below", 0.5), ("at", 1.0), ("above", 3.0)] {
            let inputs = [noise(1, [len]), values([2], &[norm, 0.0])];
            cases.push(Case::new(format!("{len}_norm_{name}"), ClipGradNorm { max_norm: 1.0 }, inputs).at(depth));
        }
        for flag in [0, 1] {
            let inputs = [noise(1, [len]), control(3, flag)];
            cases.push(Case::new(format!("{len}_flag_{flag}"), ClipValue { limit: 0.3 }, inputs).at(depth));
        }
    }
    for (name, grad) in specials(&[65], 1) {
        let norm = if name == "nan" { f32::NAN } else { f32::INFINITY };
        let inputs = [grad.clone(), values([2], &[norm, 1.0])];
        cases.push(Case::new(name, ClipGradNorm { max_norm: 1.0 }, inputs).special());
        cases.push(Case::new(name, ClipValue { limit: 0.3 }, [grad, control(3, 0)]).special());
    }
    // So small that the 1e-6 beside the norm counts.
    let inputs = [noise(1, [40]), values([2], &[3e-6, 0.0])];
    cases.push(Case::new("tiny_norm", ClipGradNorm { max_norm: 1e-6 }, inputs));
    let at_the_limit = values([6], &[0.3, -0.3, 0.30001, -0.30001, 0.0, -0.0]);
    cases.push(Case::new("at_the_limit", ClipValue { limit: 0.3 }, [at_the_limit, control(0, 0)]));
    let inputs = [noise(1, [3000]), values([2], &[2.0, 0.0])];
    cases.push(Case::new("ranges", ClipGradNorm { max_norm: 1.0 }, inputs).squeezed());
    cases.push(Case::new("ranges", ClipValue { limit: 0.3 }, [noise(1, [3000]), control(0, 0)]).squeezed());
    let large = Case::new(
        "past_a_binding_of_128_mib",
        ClipValue { limit: 0.5 },
        [noise(1, [(128 << 18) + 100]), control(0, 0)],
    );
    cases.push(large.at(Depth::Full));
    cases
}
