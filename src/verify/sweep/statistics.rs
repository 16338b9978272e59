//! Statistics of tensors: rows of all lengths, every kind of number, bounds, bins, differences, records of every scale.

use super::specials;
use crate::gpu::Caps;
use crate::ops::statistics::{BINS, COUNTS, FIGURES, LANES, QUAD};
use crate::ops::{MergeStatistics, Statistics};
use crate::verify::case::{Case, Depth, Operand, floats, integers, noise, spread, values, words};

/// A table of rows, one after the other from `start` on.
fn table(start: usize, lens: &[usize]) -> Operand {
    let firsts = lens.iter().scan(start, |at, len| {
        *at += len;
        Some(*at - len)
    });
    let rows: Vec<u32> = firsts.zip(lens).flat_map(|(first, len)| [first as u32, *len as u32]).collect();
    words([lens.len(), 2], &rows)
}

fn plain(histogram: bool, lens: &[usize]) -> Statistics {
    let longest = lens.iter().copied().max().unwrap_or(0);
    Statistics { histogram, bounds: Statistics::UNBOUNDED, longest, whole: lens.iter().all(|len| len % QUAD == 0) }
}

/// One tensor in rows of these lengths.
fn rows(name: &str, x: Operand, lens: &[usize]) -> Case {
    Case::new(name, plain(true, lens), [x, table(0, lens)])
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = parts();
    cases.extend(differences());
    cases.extend(merges());
    cases
}

fn parts() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in [1000, 1, 15, 16, 17, 63, 64, 65, 16_384, 16_385, 40_000] {
        let depth = if len == 1000 { Depth::Quick } else { Depth::Standard };
        cases.push(rows(&format!("{len}_elements"), noise(1, [len]), &[len]).at(depth));
    }
    cases.push(rows("several_rows", noise(2, [9000]), &[4096, 64, 1, 4800, 39]));
    cases.push(rows("more_rows_than_a_dimension", noise(3, [1100]), &[100; 11]).squeezed());
    // Blocks that lie above, below and far below those before them.
    let steps: Vec<f32> = [1.0, 1e3, 1e-3, 1e-30, 2.0].iter().flat_map(|&x| [x; 16_384]).collect();
    cases.push(rows("blocks_of_other_scales", values([5 * 16_384], &steps), &[5 * 16_384]));
    cases.push(rows("drifting", values([3 * 16_384], &super::DRIFTING[..1]), &[3 * 16_384]));
    // What is not in the table is not looked at.
    let inside = [table(1000, &[500, 300])];
    let around = noise(4, [3000]).strewn(1, 2000, 1e20).strewn(3000, 999, 1e20).strewn(3000, 1800, 1e20);
    cases.push(Case::new("a_part_of_the_tensor", plain(true, &[500]), [vec![around], inside.to_vec()].concat()));
    for (name, low, high) in [
        ("all_scales", 1e-37, 1e37),
        ("tiny", 1e-38, 1e-36),
        ("huge", 1e36, 3e38),
        ("every_bin", 1e-35, 1e6),
        ("gradients", 1e-12, 1.0),
    ] {
        cases.push(rows(name, spread(5, [4000], low, high), &[4000]));
    }
    // The smallest and the largest numbers of each kind; powers of two, where bins end.
    let bits = |words: &[u32]| words.iter().map(|&word| f32::from_bits(word)).collect::<Vec<f32>>();
    let edges = bits(&[0x0080_0000, 0x8080_0000, 0x0080_0001, 0x0000_0000, 0x8000_0000, 0x0000_0001, 0x007f_ffff]);
    cases.push(rows("subnormals", values([1400], &edges), &[1400]));
    cases.push(rows("nothing_but_subnormals", values([1400], &edges[5..]), &[1400]));
    cases.push(rows("nothing_but_zeros", values([700], &[0.0, -0.0]), &[700]));
    cases.push(rows("the_largest_numbers", values([700], &[f32::MAX, 1.0, f32::MIN]), &[700]));
    let powers: Vec<f32> = (-126..128).map(|exponent| 2f32.powi(exponent)).collect();
    cases.push(rows("powers_of_two", values([254 * 64], &powers), &[254 * 64]));
    let below: Vec<f32> = powers.iter().map(|&power| f32::from_bits(power.to_bits() - 1)).collect();
    cases.push(rows("below_powers_of_two", values([254 * 64], &below), &[254 * 64]));
    cases.push(Case::new("no_bins", plain(false, &[500]), [noise(6, [500]), table(0, &[500])]));
    let bounded = |low, high| Statistics { bounds: [low, high], ..plain(false, &[2001]) };
    let few = values([2001], &[0.25, 0.75, 0.2, 0.8, 0.0, 1.0, -0.25, -1.0, 1e-40]);
    for (name, low, high) in [("between", 0.25, 0.75), ("below", -0.25, f32::MAX), ("above", f32::MIN, 0.75)] {
        let inputs = [few.clone(), table(0, &[2001])];
        cases.push(Case::new(format!("bounds_{name}"), bounded(low, high), inputs));
    }
    for (name, x) in specials(&[1300], 7) {
        let op = Statistics { bounds: [-0.5, 0.5], ..plain(true, &[700]) };
        cases.push(Case::new(name, op, [x, table(0, &[600, 700])]).special());
    }
    let large = (1 << 22) + 77;
    cases.push(rows("four_million_elements", noise(8, [large]), &[1 << 19; 8]).at(Depth::Full));
    cases
}

fn differences() -> Vec<Case> {
    let case = |name: &str, x: Operand, before: Operand| {
        let len = x.spec.len();
        Case::new(name, plain(true, &[len]), [x, table(0, &[len]), before])
    };
    let mut cases = vec![
        case("updates", noise(1, [3000]), noise(2, [3000])).at(Depth::Quick),
        case("the_same", noise(1, [500]), noise(1, [500])),
        case("small_updates", noise(1, [500]), noise(1, [500]).moved(1e-4)),
    ];
    let op = plain(true, &[400]);
    let inputs = [noise(1, [1000]), table(200, &[400, 300]), noise(2, [1000])];
    cases.push(Case::new("a_part_of_the_difference", op, inputs));
    // Rows that end within four elements.
    let lens = [401, 299, 3];
    let inputs = [noise(3, [703]), table(0, &lens), noise(4, [703])];
    cases.push(Case::new("uneven_differences", plain(true, &lens), inputs));
    cases
}

/// Records whose largest magnitudes are these, with other numbers in everything else.
fn records(rows: usize, largest: &[f32]) -> Vec<Operand> {
    let words_of: Vec<u32> = (0..rows * LANES)
        .flat_map(|i| {
            let counts = [1 + i as u32 % 7, i as u32 % 11, i as u32 % 3, i as u32 % 5, i as u32 % 16];
            std::iter::once(largest[i % largest.len()].to_bits()).chain(counts)
        })
        .collect();
    vec![
        floats(1, [rows, LANES, FIGURES], 0.5, 4.0),
        words([rows, LANES, COUNTS], &words_of),
        integers(2, [rows, BINS], 1000),
    ]
}

fn merges() -> Vec<Case> {
    let case = |name: &str, rows: usize, largest: &[f32], lens: &[usize]| {
        let op = MergeStatistics { most: lens.iter().copied().max().unwrap_or(0) };
        Case::new(name, op, [records(rows, largest), vec![table(0, lens)]].concat())
    };
    let alike = [1.0, 1.5, 1.75, 1.25];
    let mut cases = vec![
        case("three_tensors", 9, &alike, &[4, 1, 4]).at(Depth::Quick),
        case("one_row", 1, &alike, &[1]),
        case("other_scales", 12, &[1.0, 8.0, 0.25, 3.0, 100.0, 0.0, 1e-3], &[5, 7]),
        case("far_apart", 12, &[1e-30, 1.0, 1e30, f32::MIN_POSITIVE, f32::MAX, 0.0], &[5, 7]),
        case("nothing_in_any", 4, &[0.0], &[2, 2]),
        case("tiny", 6, &[3e-38, 2e-38, 0.0], &[6]),
        case("many_rows", 600, &alike, &[600]),
        case("many_tensors", 70, &alike, &[1; 70]).squeezed(),
    ];
    let op = MergeStatistics { most: 3 };
    cases.push(Case::new("not_all_rows", op, [records(9, &alike), vec![words([2, 2], &[5, 3, 1, 2])]].concat()));
    for (name, figures) in specials(&[4, LANES, FIGURES], 3) {
        let mut inputs = records(4, &alike);
        inputs[0] = figures;
        inputs.push(table(0, &[3, 1]));
        cases.push(Case::new(name, op, inputs).special());
    }
    cases
}
