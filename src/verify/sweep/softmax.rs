//! Softmax and its logarithm: axes, saturated rows, ties, rows of more than a block.

use super::{DRIFTING, specials};
use crate::gpu::Caps;
use crate::ops::{LogSoftmax, LogSoftmaxGrad, Softmax, SoftmaxGrad};
use crate::verify::case::{Case, Depth, Operand, floats, noise, outputs_of, spread, values};

/// Inputs with the axis along which they are normalised.
fn rows() -> Vec<(&'static str, Operand, usize, Depth)> {
    let (quick, standard) = (Depth::Quick, Depth::Standard);
    vec![
        ("ten_classes", noise(1, [33, 10]), 1, quick),
        ("middle_axis", noise(5, [3, 31, 5, 2]), 1, quick),
        ("one_row", noise(2, [1, 5]), 1, standard),
        ("one_element", noise(3, [1, 1]), 1, standard),
        ("two_classes", noise(10, [65, 2]), 1, standard),
        ("first_axis", noise(4, [7, 65]), 0, standard),
        ("last_axis_of_four", noise(11, [2, 3, 4, 41]), 3, standard),
        ("below_a_block", noise(12, [2, 255]), 1, standard),
        ("a_block", noise(13, [3, 256]), 1, standard),
        ("above_a_block", noise(14, [3, 257]), 1, standard),
        ("four_blocks_one_sided", floats(6, [2, 1000], 2.0, 3.0), 1, standard),
        // Terms of one sum that are all equal: their rounding errors do not cancel.
        ("many_equal", values([1, 15_000], &[-0.8]).strewn(15_000, 0, 0.0), 1, standard),
        ("large_logits", floats(7, [5, 32], -1e4, 1e4), 1, standard),
        ("ninety", values([4, 3], &[90.0, -90.0, 0.0, 89.5, 90.0, -1e4, -90.0]), 1, standard),
        ("far_from_zero", floats(15, [5, 12], 999.0, 1001.0), 1, standard),
        ("small", spread(16, [5, 12], 1e-6, 1e-4), 1, standard),
        ("ties", values([2, 4], &[1.0, 3.0, 3.0, 0.0, 2.0, 2.0, 2.0, 2.0]), 1, standard),
        ("saturated", noise(8, [4, 10]).strewn(11, 0, 40.0), 1, standard),
        ("almost_saturated", noise(17, [4, 10]).strewn(11, 0, 12.0), 1, standard),
        ("many_classes", noise(18, [2, 15_000]), 1, Depth::Full),
        ("past_65535_workgroups", noise(19, [65_536 * 64 + 3, 2]), 1, Depth::Full),
    ]
}

fn both(name: &str, x: &Operand, axis: usize, depth: Depth) -> Vec<Case> {
    of(name, x, &noise(20, x.spec.shape.clone()), axis).map(|case| case.at(depth)).into()
}

/// All four, the backward ones on what the forward ones answer.
fn of(name: &str, x: &Operand, dy: &Operand, axis: usize) -> [Case; 4] {
    let y = outputs_of(Softmax { axis }, std::slice::from_ref(x)).remove(0);
    let log = outputs_of(LogSoftmax { axis }, std::slice::from_ref(x)).remove(0);
    [
        Case::new(name, Softmax { axis }, [x.clone()]),
        Case::new(name, LogSoftmax { axis }, [x.clone()]),
        Case::new(name, SoftmaxGrad { axis }, [y, dy.clone()]),
        Case::new(name, LogSoftmaxGrad { axis }, [log, dy.clone()]),
    ]
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, x, axis, depth) in rows() {
        cases.extend(both(name, &x, axis, depth));
    }
    // Sums whose terms are all equal, but for that of the largest element, which has half of the whole.
    let x = values([1, 15_000], &[-9.6]).strewn(15_000, 0, 0.0);
    let dy = || values([1, 15_000], &DRIFTING[..1]).strewn(15_000, 0, 0.0);
    let y = outputs_of(Softmax { axis: 1 }, std::slice::from_ref(&x)).remove(0);
    let log = outputs_of(LogSoftmax { axis: 1 }, &[x]).remove(0);
    cases.push(Case::new("drifting", SoftmaxGrad { axis: 1 }, [y, dy()]));
    cases.push(Case::new("drifting", LogSoftmaxGrad { axis: 1 }, [log, dy()]));
    // Almost all that comes down comes down at the largest: its gradient is a difference of almost equal numbers.
    let x = noise(17, [4, 10]).strewn(11, 0, 12.0);
    let dy = values([4, 10], &[0.0]).strewn(11, 0, 1.5);
    let log = outputs_of(LogSoftmax { axis: 1 }, &[x]).remove(0);
    cases.push(Case::new("upstream_of_the_largest_alone", LogSoftmaxGrad { axis: 1 }, [log, dy]));
    cases.extend(both("folded", &noise(21, [9, 5, 47]), 1, Depth::Standard).into_iter().map(Case::squeezed));
    for (name, x) in specials(&[4, 7], 22) {
        cases.extend(of(name, &x, &noise(20, [4, 7]), 1).map(Case::special));
    }
    let everywhere = [("two_infinities", [f32::INFINITY, 1.0]), ("nothing_is_left", [f32::NEG_INFINITY; 2])];
    for (name, elements) in everywhere {
        cases.extend(of(name, &values([3, 4], &elements), &noise(20, [3, 4]), 1).map(Case::special));
    }
    for (name, dy) in specials(&[4, 7], 23) {
        let [.., softmax, log] = of(&format!("upstream_{name}"), &noise(22, [4, 7]), &dy, 1);
        cases.extend([softmax.special(), log.special()]);
    }
    cases
}
