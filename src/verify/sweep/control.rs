//! Flags, counters and records.

use super::{DRIFTING, specials};
use crate::gpu::Caps;
use crate::ops::fused::step::PLACE;
use crate::ops::{Advance, Guard, RecordEvaluation, RecordStep, Settle};
use crate::verify::case::{Case, Depth, Operand, control, floats, integers, noise, values, words};

fn float(values_of: &[f32]) -> Operand {
    values([values_of.len()], values_of)
}

fn record(name: &str, sizes: [usize; 3], step: u32, flag: u32, logits: Operand) -> Case {
    recorded(name, RecordStep { adds: false }, sizes, (step, flag), logits)
}

fn recorded(name: &str, op: RecordStep, [n, k, places]: [usize; 3], (step, flag): (u32, u32), logits: Operand) -> Case {
    let inputs = [
        control(step, flag),
        float(&[0.75]),
        float(&[1.5, 0.0]),
        logits,
        integers(2, [n], k as u32),
        noise(3, [places]),
        noise(4, [places]),
        integers(5, [places], 100),
    ];
    Case::new(name, op, inputs)
}

fn evaluation(n: usize, len: usize, step: u32) -> Case {
    let inputs = [control(step, 0), noise(1, [n, 10]), noise(2, [n]), noise(3, [len]), integers(4, [len], 9)];
    Case::new(format!("{n}_rows_into_{len}_step_{step}"), RecordEvaluation, inputs)
}

/// The end of a step of so many rows and classes, with records of so many places and a table of three steps' rates.
fn ending(name: &str, [n, k, places]: [usize; 3], [step, flag]: [u32; 2], gradients: Operand) -> Case {
    let inputs = [
        control(step, flag),
        floats(6, [n], 0.5, 2.5),
        noise(1, [n, k]),
        integers(2, [n], k as u32),
        gradients,
        noise(7, [3, 4]),
        noise(3, [places]),
        noise(4, [places]),
        integers(5, [places], 100),
    ];
    Case::new(name, Settle { parts: None }, inputs)
}

/// The same where every third row of the table has so many partial sums: each fourth of those for some of its elements alone.
fn ending_in_parts(name: &str, len: usize, parts: usize, sums: impl Fn(usize) -> Operand) -> Case {
    let rows = len.div_ceil(PLACE);
    let (mut table, mut used) = (vec![0; 4 * rows], 0);
    for row in (1..rows.max(2)).step_by(3).filter(|row| *row < rows) {
        let elements = if row % 4 == 3 { 19 } else { PLACE.min(len - row * PLACE) };
        // A sum is as far from the next one as it would be if it had 64 elements and some behind them.
        let stride = PLACE + 3 * (row % 2);
        table[4 * row..4 * row + 4].copy_from_slice(&[used, stride, parts, elements].map(|value| value as u32));
        used += parts * stride;
    }
    let mut case = ending(name, [64, 10, 7], [3, 0], floats(8, [len], 0.5, 1.5));
    case.op = Settle { parts: Some(parts) }.into();
    case.operands.extend([sums(used), words([rows, 4], &table)]);
    case
}

fn endings_in_parts() -> Vec<Case> {
    let noisy = |len: usize| noise(9, [len]);
    let mut cases = vec![
        ending_in_parts("sums", 1000, 3, noisy).at(Depth::Quick),
        ending_in_parts("sums_of_an_odd_length", 1001, 2, noisy).at(Depth::Quick),
        ending_in_parts("one_sum", 640, 1, noisy),
        // Several blocks of them, all of one sign.
        ending_in_parts("drifting_sums", 256, 4000, |len| values([len], &DRIFTING[..1])),
        ending_in_parts("sums_in_ranges", 5000, 1, noisy).squeezed(),
        ending_in_parts("a_sum_is_nan", 1000, 3, |len| noisy(len).strewn(len, 70, f32::NAN)).special(),
        ending_in_parts("a_sum_is_infinite", 1000, 3, |len| noisy(len).strewn(len, 70, f32::INFINITY)).special(),
    ];
    // What a sum takes the place of is nobody's.
    for case in &mut cases {
        if !case.special {
            let gradients = case.operands[4].clone();
            let len = gradients.spec.len();
            case.operands[4] = gradients.strewn(len, 64, f32::NAN);
        }
    }
    cases
}

fn endings() -> Vec<Case> {
    let gradients = |len: usize| floats(8, [len], 0.5, 1.5);
    let mut cases = vec![
        ending("fours", [64, 10, 7], [3, 0], gradients(1000)).at(Depth::Quick),
        ending("ones", [65, 3, 4], [7, 0], gradients(1001)).at(Depth::Quick),
        ending("one_of_all", [1, 1, 1], [5, 0], gradients(1)),
        ending("flagged", [64, 10, 7], [3, 1], gradients(1000)),
        ending("the_counter_wraps", [9, 4, 5], [u32::MAX, 0], gradients(100)),
        ending("a_block_of_rows", [256, 3, 5], [1, 0], gradients(4000)),
        ending("more_rows_than_a_block", [257, 3, 5], [1, 0], gradients(70_001)),
        ending("more_rows_than_a_block_of_blocks", [66_000, 2, 5], [1, 0], gradients(64)),
        // Several blocks an invocation.
        ending("more_than_16777216", [3, 2, 5], [1, 0], gradients((1 << 24) + 70_001)).at(Depth::Full),
        ending("many_splits", [33, 2, 5], [2, 0], gradients(1_000_003)),
        ending("many_splits_of_fours", [33, 2, 5], [2, 0], gradients(1_000_004)),
        // Of so many workgroups that those do not fill their last row.
        ending("ranges", [330, 3, 5], [1, 0], gradients(5000)).squeezed(),
    ];
    let mut tie = ending("ties", [20, 4, 5], [4, 0], gradients(64));
    tie.operands[2] = values([20, 4], &[1.0, 3.0, 3.0, 2.0, 0.0]);
    cases.push(tie);
    for (name, gradients) in specials(&[1000], 8) {
        cases.push(ending(name, [64, 10, 7], [3, 0], gradients).special());
    }
    for (name, value) in [("nan", f32::NAN), ("infinite", f32::INFINITY)] {
        let mut case = ending(&format!("{name}_loss"), [64, 10, 7], [3, 0], gradients(1000));
        case.operands[1] = noise(6, [64]).strewn(64, 63, value);
        cases.push(case.special());
    }
    cases.push(ending("squares_overflow", [64, 10, 7], [3, 0], values([300], &[1e30, 1.0])).overflowing());
    cases
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, loss, norm, broken, flag) in [
        ("all_is_well", 1.0, 2.0, 0.0, 0),
        ("zero", 0.0, 0.0, 0.0, 0),
        ("the_loss_is_nan", f32::NAN, 2.0, 0.0, 0),
        ("the_loss_is_an_odd_nan", f32::from_bits(0x7fc0_0001), 2.0, 0.0, 0),
        ("the_loss_is_infinite", f32::INFINITY, 2.0, 0.0, 0),
        ("the_norm_is_nan", 1.0, f32::NAN, 0.0, 0),
        ("the_norm_is_infinite", 1.0, f32::INFINITY, 0.0, 0),
        ("a_gradient_is_not_finite", 1.0, 2.0, 1.0, 0),
        ("the_flag_was_set_before", 1.0, 2.0, 0.0, 1),
    ] {
        let case = Case::new(name, Guard, [control(41, flag), float(&[loss]), float(&[norm, broken])]);
        cases.push(if name == "all_is_well" { case.at(Depth::Quick) } else { case });
    }
    for (name, step, flag) in [("free", 41, 0), ("flagged", 41, 1), ("wraps", u32::MAX, 0)] {
        let case = Case::new(name, Advance, [control(step, flag)]);
        cases.push(if name == "free" { case.at(Depth::Quick) } else { case });
    }
    cases.extend([
        record("sixty_four_rows", [64, 10, 7], 3, 0, noise(1, [64, 10])).at(Depth::Quick),
        record("one_row", [1, 1, 1], 5, 0, noise(1, [1, 1])),
        record("sixty_five_rows", [65, 2, 4], 7, 0, noise(1, [65, 2])),
        record("many_rows", [333, 3, 5], 14, 0, noise(1, [333, 3])),
        record("ties", [20, 4, 5], 4, 0, values([20, 4], &[1.0])),
        record("two_largest", [21, 4, 5], 4, 0, values([21, 4], &[1.0, 3.0, 3.0, 2.0, 0.0])),
        record("flagged", [64, 10, 7], 3, 1, noise(1, [64, 10])),
        recorded("a_later_part", RecordStep { adds: true }, [70, 5, 4], (6, 0), noise(1, [70, 5])),
        record("folded", [400, 3, 5], 1, 0, noise(1, [400, 3])).squeezed(),
    ]);
    cases.extend(endings());
    cases.extend(endings_in_parts());
    for (n, len, step) in [
        (8, 30, 0),
        (8, 30, 2),
        (8, 30, 3),
        (8, 30, 4),
        (8, 32, 4),
        (65, 65, 0),
        (1, 5, 4),
        (1, 5, 5),
        (3, 5, u32::MAX),
    ] {
        let case = evaluation(n, len, step);
        cases.push(if step == 2 { case.at(Depth::Quick) } else { case });
    }
    cases.push(evaluation(400, 1000, 1).squeezed());
    // 400 times the step is 304 more than 2^32.
    cases.push(evaluation(400, 30_000, 10_737_419));
    cases
}
