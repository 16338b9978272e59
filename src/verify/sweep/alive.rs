//! Channels with and without an element that is not zero: many rows and few, subnormals, zeros of either sign.

use super::specials;
use crate::gpu::Caps;
use crate::ops::Alive;
use crate::verify::case::{Case, Depth, noise, values};

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, c) in [(100, 5), (1, 1), (257, 65), (256, 64), (1000, 33), (70_000, 3), (300_000, 1)] {
        // An element in a few rows alone, so that some units have one and others none.
        let x = values([rows, c], &[0.0, -0.0]).strewn(rows * c / 2 + 1, rows * c - 1, 0.5);
        let case = Case::new(format!("{rows}_rows_of_{c}"), Alive, [x]);
        cases.push(if rows == 100 { case.at(Depth::Quick) } else { case });
    }
    for place in [0, 1, 1999] {
        let x = values([500, 4], &[0.0]).strewn(9999, place, -1e-40);
        cases.push(Case::new(format!("one_subnormal_at_{place}"), Alive, [x]));
    }
    cases.push(Case::new("nothing_but_zeros", Alive, [values([900, 4], &[0.0, -0.0])]));
    cases.push(Case::new("all_alive", Alive, [noise(1, [900, 70])]));
    cases.push(Case::new("an_image", Alive, [values([3, 5, 5, 8], &[0.0]).strewn(23, 7, 1.0)]));
    cases.push(Case::new("folded", Alive, [values([700, 351], &[0.0]).strewn(352, 5, 1.0)]).squeezed());
    for (name, x) in specials(&[500, 7], 5) {
        cases.push(Case::new(name, Alive, [x]).special());
    }
    cases
}
