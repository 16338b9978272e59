//! Dropout: rates, seeds, steps.

use super::{hard, mark};
use crate::gpu::Caps;
use crate::ops::Dropout;
use crate::ops::random::random;
use crate::verify::case::{Case, Depth, control, noise};

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let rates = [(0.5, 7, 3), (0.0, 1, 0), (0.1, 0xffff_ffff, 70_000), (0.25, 0x9e37_79b9, 0xffff_0000), (0.999, 3, 1)];
    let mut cases: Vec<Case> = Vec::new();
    for (number, (rate, seed, step)) in rates.into_iter().enumerate() {
        let depth = if number == 0 { Depth::Quick } else { Depth::Standard };
        let inputs = [noise(1, [3, 7, 5, 33]), control(step, 1)];
        cases.push(
            Case::new(format!("rate_{}", (rate * 1000.0) as u32), Dropout { rate, seed, first: 0 }, inputs).at(depth),
        );
    }
    let op = Dropout { rate: 0.3, seed: 11, first: 0 };
    for len in [1, 63, 64, 65] {
        cases.push(Case::new(format!("{len}_elements"), op, [noise(2, [len]), control(5, 0)]));
    }
    // The rate is one of the numbers that are drawn, exactly: that element is kept.
    let drawn = (0..5000).map(|i| random(op.seed, 5, i)).find(|bits| bits % 256 == 0).unwrap_or(0);
    let at = Dropout { rate: f64::from(drawn) / 2f64.powi(32), ..op };
    cases.push(Case::new("a_draw_at_the_threshold", at, [noise(6, [5000]), control(5, 0)]));
    // The elements of a later part of the batch, whose places wrap.
    let later = Dropout { first: u32::MAX - 100, ..op };
    cases.push(Case::new("a_later_part", later, [noise(7, [300]), control(5, 0)]));
    cases.push(Case::new("folded", op, [noise(3, [777]), control(9, 0)]).squeezed());
    for (name, x, special) in hard(&[99], 4) {
        cases.push(mark(Case::new(name, op, [x, control(2, 0)]), special));
    }
    cases.push(Case::new("past_65535_workgroups", op, [noise(5, [65_535 * 64 + 1]), control(1, 0)]).at(Depth::Full));
    cases
}
