//! Pooling: windows that overlap, leave gaps, hang over borders; ties, NaN, whole images.

use super::{DRIFTING, edges, hard, image_of, mark};
use crate::gpu::Caps;
use crate::ops::{AvgPool2d, AvgPool2dGrad, GlobalAvgPool2d, GlobalAvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Pool2d};
use crate::verify::case::{Case, Depth, Operand, noise, outputs_of, values};

/// A window with an image [n, h, w, c].
type Row = (&'static str, Pool2d, [usize; 4]);

const fn pool(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4], ceil_mode: bool) -> Pool2d {
    Pool2d { kernel, stride, padding, ceil_mode }
}

const QUICK: [Row; 3] = [
    ("window_2x2", pool([2, 2], [2, 2], [0; 4], false), [2, 8, 6, 32]),
    ("window_2x2_cut", pool([2, 2], [2, 2], [0; 4], false), [2, 9, 7, 8]),
    ("window_3x3_overlapping", pool([3, 3], [2, 2], [0; 4], false), [2, 13, 11, 31]),
];
const WINDOWS: [Row; 18] = [
    ("window_1x1", pool([1, 1], [1, 1], [0; 4], false), [1, 1, 1, 1]),
    ("window_2x2_odd", pool([2, 2], [2, 2], [0; 4], false), [3, 27, 27, 5]),
    ("window_2x2_ceil", pool([2, 2], [2, 2], [0; 4], true), [1, 7, 9, 33]),
    ("window_3x3_pad1_stride1", pool([3, 3], [1, 1], [1; 4], false), [1, 5, 7, 65]),
    ("window_3x3_pad1_ceil", pool([3, 3], [2, 2], [1; 4], true), [2, 8, 10, 3]),
    ("window_3x2_one_sided", pool([3, 2], [1, 3], [1, 0, 0, 1], true), [2, 9, 11, 1]),
    ("window_2x3_one_sided", pool([2, 3], [2, 1], [0, 1, 1, 0], false), [2, 7, 6, 3]),
    ("gaps_between_windows", pool([2, 2], [3, 4], [0; 4], false), [1, 11, 13, 5]),
    ("gaps_along_one_axis", pool([1, 3], [3, 2], [0; 4], false), [2, 8, 9, 3]),
    ("the_whole_image", pool([17, 19], [1, 1], [0; 4], false), [2, 17, 19, 3]),
    ("stride_past_a_padded_ceil_window", pool([2, 2], [5, 5], [1; 4], true), [1, 9, 9, 2]),
    ("window_4x4_stride3_pad2", pool([4, 4], [3, 3], [2, 1, 1, 2], false), [2, 11, 10, 4]),
    ("one_row", pool([1, 2], [1, 2], [0; 4], false), [1, 1, 47, 3]),
    ("one_column", pool([2, 1], [2, 1], [0; 4], true), [1, 41, 1, 3]),
    ("one_window_that_starts_in_the_border", pool([3, 3], [1, 1], [1, 1, 0, 0], false), [2, 2, 2, 3]),
    ("tiled_by_2x3", pool([2, 3], [2, 3], [0; 4], true), [3, 11, 10, 12]),
    ("tiled_by_2x3_cut", pool([2, 3], [2, 3], [0; 4], false), [2, 7, 19, 4]),
    ("batch_of_ten", pool([3, 3], [3, 3], [0, 1, 0, 1], true), [10, 5, 4, 7]),
];
const LARGE: [Row; 2] = [
    ("past_65535_workgroups", pool([1, 2], [1, 2], [0; 4], false), [1, 65_537, 2, 65]),
    ("large_image", pool([3, 3], [2, 2], [1; 4], false), [2, 224, 224, 64]),
];

fn windows(name: &str, pool: Pool2d, shape: [usize; 4]) -> Vec<Case> {
    let (x, input) = (noise(1, shape), [shape[1], shape[2]]);
    let saved = outputs_of(MaxPool2d(pool), std::slice::from_ref(&x));
    let dy = || noise(2, saved[0].spec.shape.clone());
    let mut cases = vec![
        Case::new(name, MaxPool2d(pool), [x.clone()]),
        Case::new(name, MaxPool2dGrad { pool, input }, [dy(), saved[1].clone()]),
    ];
    for (count_include_pad, ending) in [(true, "_border_counts"), (false, "")] {
        let forward = AvgPool2d { pool, count_include_pad };
        let name = format!("{name}{ending}");
        cases.push(Case::new(&name, forward, [x.clone()]));
        cases.push(Case::new(&name, AvgPool2dGrad { forward, input }, [dy()]));
    }
    cases
}

fn global(name: impl Into<String>, [n, h, w, c]: [usize; 4]) -> [Case; 2] {
    let name = name.into();
    [
        Case::new(&name, GlobalAvgPool2d, [noise(1, [n, h, w, c])]),
        Case::new(&name, GlobalAvgPool2dGrad { input: [h, w] }, [noise(2, [n, c])]),
    ]
}

pub(super) fn cases(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, depth) in [(&QUICK[..], Depth::Quick), (&WINDOWS[..], Depth::Standard), (&LARGE[..], Depth::Full)] {
        for &(name, pool, shape) in rows {
            cases.extend(windows(name, pool, shape).into_iter().map(|case| case.at(depth)));
        }
    }
    let folded = windows("folded", pool([3, 2], [2, 1], [1, 0, 1, 1], false), [3, 19, 9, 47]);
    cases.extend(folded.into_iter().map(Case::squeezed));
    let tiled = windows("folded_tiled", pool([2, 3], [2, 3], [0; 4], true), [3, 19, 14, 44]);
    cases.extend(tiled.into_iter().map(Case::squeezed));
    for [n, h, w, c] in [[3, 8, 8, 64], [1, 1, 1, 1], [2, 16, 16, 5], [2, 16, 17, 33], [1, 61, 67, 5], [1, 300, 301, 1]]
    {
        let depth = if h == 8 { Depth::Quick } else { Depth::Standard };
        cases.extend(global(format!("image_{h}x{w}_of_{c}"), [n, h, w, c]).map(|case| case.at(depth)));
    }
    cases.extend(global("more_than_262144_pixels", [1, 513, 515, 2]));
    cases.extend(global("folded", [3, 21, 16, 113]).map(Case::squeezed));
    cases.push(Case::new("drifting", GlobalAvgPool2d, [values([1, 1024, 1024, 1], &DRIFTING[..1])]));
    for (variant, [windows, ..], depth) in edges(MaxPool2d(pool([2, 2], [2, 2], [0; 4], false)), caps) {
        let (pool, [n, h, w]) = (pool([2, 2], [2, 2], [0; 4], false), image_of(windows));
        let (name, x) = (format!("edge_{windows}_windows"), noise(1, [n, 2 * h, 2 * w, 4]));
        let saved = outputs_of(MaxPool2d(pool), std::slice::from_ref(&x));
        let operands = [noise(2, [n, h, w, 4]), saved[1].clone()];
        if !cases.iter().any(|case: &Case| case.name == name && case.variant == Some(variant)) {
            cases.push(Case::new(&name, MaxPool2d(pool), [x]).only(variant).at(depth));
            let op = MaxPool2dGrad { pool, input: [2 * h, 2 * w] };
            cases.push(Case::new(&name, op, operands).only(variant).at(depth));
        }
    }
    cases.extend(values_of_maxima());
    for (name, x, special) in hard(&[2, 9, 8, 5], 1) {
        let forward = AvgPool2d { pool: pool([3, 3], [2, 2], [1; 4], false), count_include_pad: false };
        cases.push(mark(Case::new(name, forward, [x.clone()]), special));
        cases.push(mark(Case::new(name, GlobalAvgPool2d, [x]), special));
    }
    for (name, dy, special) in hard(&[2, 5, 4, 5], 2) {
        let forward = AvgPool2d { pool: pool([3, 3], [2, 2], [1; 4], false), count_include_pad: false };
        cases.push(mark(Case::new(name, AvgPool2dGrad { forward, input: [9, 8] }, [dy]), special));
    }
    for (name, dy, special) in hard(&[2, 5], 2) {
        cases.push(mark(Case::new(name, GlobalAvgPool2dGrad { input: [3, 4] }, [dy]), special));
    }
    cases
}

/// Ties, zeros of both signs, the lowest numbers, NaN and infinities, forward and backward.
fn values_of_maxima() -> Vec<Case> {
    let overlapping = maxima("", pool([3, 3], [2, 2], [1; 4], false), [2, 9, 9, 5]);
    let tiled = maxima("tiled_", pool([2, 3], [2, 3], [0; 4], true), [2, 9, 11, 8]);
    overlapping.into_iter().chain(tiled).collect()
}

fn maxima(prefix: &str, pool: Pool2d, shape: [usize; 4]) -> Vec<Case> {
    let images: [(&str, Operand, bool); 9] = [
        ("ties", values(shape, &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]), false),
        ("all_equal", values(shape, &[0.25]), false),
        ("zeros_of_both_signs", values(shape, &[0.0, -0.0, -0.0]), false),
        ("all_negative", values(shape, &[-3e38, -2e38]), false),
        ("nan_wins", noise(3, shape).strewn(37, 0, f32::NAN), true),
        ("nan_of_the_lowest_bit", noise(3, shape).strewn(37, 0, f32::from_bits(0x7f80_0001)), true),
        ("two_nan_in_a_window", noise(3, shape).strewn(10, 5, f32::NAN), true),
        ("infinite", noise(3, shape).strewn(41, 0, f32::INFINITY), true),
        ("minus_infinite", values(shape, &[f32::NEG_INFINITY]), true),
    ];
    let mut cases = Vec::new();
    for (name, x, special) in images {
        let saved = outputs_of(MaxPool2d(pool), std::slice::from_ref(&x));
        let name = format!("{prefix}{name}");
        cases.push(mark(Case::new(&name, MaxPool2d(pool), [x]), special));
        let dy = noise(4, saved[0].spec.shape.clone());
        let op = MaxPool2dGrad { pool, input: [shape[1], shape[2]] };
        cases.push(mark(Case::new(name, op, [dy, saved[1].clone()]), special));
    }
    let argmax = outputs_of(MaxPool2d(pool), &[noise(1, shape)]).swap_remove(1);
    for (name, dy, special) in hard(&argmax.spec.shape.clone(), 2) {
        let op = MaxPool2dGrad { pool, input: [shape[1], shape[2]] };
        let name = format!("{prefix}upstream_{name}");
        cases.push(mark(Case::new(name, op, [dy, argmax.clone()]), special));
    }
    cases
}
