//! Sums over rows: one stage, two stages, and the edges of blocks and splits.

use super::{DRIFTING, hard, mark};
use crate::gpu::Caps;
use crate::ops::SumRows;
use crate::verify::case::{Case, Depth, floats, noise, values};

const QUICK: [&[usize]; 4] = [&[5, 3], &[257, 31], &[5, 4], &[600, 12]];
const SHAPES: [&[usize]; 15] = [
    &[1, 1],
    &[1],
    &[300],
    &[1, 65],
    &[2, 7, 9, 5],
    &[255, 3],
    &[256, 64],
    &[511, 2],
    &[512, 2],
    &[513, 2],
    &[3, 17, 19, 33],
    &[1000, 65],
    &[65_535, 1],
    &[65_537, 2],
    &[70_000, 3],
];
const LARGE: [&[usize]; 3] = [&[262_145, 3], &[4_200_000, 1], &[1030, 65_536]];

fn name(shape: &[usize]) -> String {
    format!("sum_of_{}", shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x"))
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (shapes, depth) in [(&QUICK[..], Depth::Quick), (&SHAPES[..], Depth::Standard), (&LARGE[..], Depth::Full)] {
        cases.extend(shapes.iter().map(|&shape| Case::new(name(shape), SumRows, [noise(1, shape)]).at(depth)));
    }
    cases.push(Case::new("far_from_zero", SumRows, [floats(2, [66_000, 5], 999.0, 1001.0)]));
    // More than 262,144 rows give each split several blocks.
    cases.push(Case::new("several_blocks_a_split", SumRows, [floats(3, [300_001, 1], 0.5, 1.5)]));
    cases.push(Case::new("drifting", SumRows, [values([1 << 20, 1], &DRIFTING[..1])]));
    cases.push(Case::new("folded", SumRows, [noise(4, [700, 351])]).squeezed());
    cases.extend(hard(&[600, 7], 5).into_iter().map(|(name, x, special)| mark(Case::new(name, SumRows, [x]), special)));
    cases
}
