use wgrad::Tensor;
use wgrad::ops::{AvgPool2d, AvgPool2dGrad, GlobalAvgPool2d, GlobalAvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Pool2d};

use crate::runner::{case, check, integers, noise, outputs_of};

/// Windows over images of these sizes [n, h, w, c].
fn windows() -> Vec<(&'static str, Pool2d, [usize; 4])> {
    let pool = |kernel, stride, padding, ceil_mode| Pool2d { kernel, stride, padding, ceil_mode };
    vec![
        ("2×2", pool([2, 2], [2, 2], [0; 4], false), [2, 8, 6, 32]),
        ("2×2 on an odd image", pool([2, 2], [2, 2], [0; 4], false), [3, 27, 27, 5]),
        ("2×2 ceil", pool([2, 2], [2, 2], [0; 4], true), [1, 7, 9, 33]),
        ("3×3 overlapping", pool([3, 3], [2, 2], [0; 4], false), [2, 13, 11, 31]),
        ("3×3 padded, stride 1", pool([3, 3], [1, 1], [1; 4], false), [1, 5, 7, 65]),
        ("3×3 padded, ceil", pool([3, 3], [2, 2], [1; 4], true), [2, 8, 10, 3]),
        ("3×2, stride 1×3, one-sided border", pool([3, 2], [1, 3], [1, 0, 0, 1], true), [2, 9, 11, 1]),
        ("gaps between windows", pool([2, 2], [3, 4], [0; 4], false), [1, 11, 13, 5]),
        ("1×1", pool([1, 1], [1, 1], [0; 4], false), [1, 1, 1, 1]),
        ("the whole image", pool([17, 19], [1, 1], [0; 4], false), [2, 17, 19, 3]),
        ("stride larger than a padded ceil window", pool([2, 2], [5, 5], [1; 4], true), [1, 9, 9, 2]),
    ]
}

#[test]
fn maxima_and_their_places() {
    let mut cases: Vec<_> =
        windows().into_iter().map(|(name, pool, shape)| case(name, MaxPool2d(pool), vec![noise(1, shape)])).collect();
    let pool = Pool2d { kernel: [3, 3], stride: [2, 2], padding: [1; 4], ceil_mode: false };
    let few = integers(2, [2, 9, 9, 5], 2).u32s().iter().map(|&bit| bit as f32).collect();
    cases.push(case("ties", MaxPool2d(pool), vec![Tensor::float([2, 9, 9, 5], few)]));
    cases.push(case("all negative", MaxPool2d(pool), vec![Tensor::float([1, 5, 5, 1], vec![-3e38; 25])]));
    let mut holes = noise(3, [1, 9, 9, 2]).floats().to_vec();
    (0..holes.len()).step_by(37).for_each(|i| holes[i] = f32::NAN);
    cases.push(case("a NaN wins", MaxPool2d(pool), vec![Tensor::float([1, 9, 9, 2], holes)]));
    check(cases);
}

#[test]
fn the_gradient_of_a_maximum_goes_where_the_maximum_was() {
    let cases = windows().into_iter().map(|(name, pool, shape)| {
        let argmax = outputs_of(MaxPool2d(pool), &[noise(1, shape)]).remove(1);
        let dy = noise(2, argmax.shape.clone());
        case(name, MaxPool2dGrad { pool, input: [shape[1], shape[2]] }, vec![dy, argmax])
    });
    check(cases.collect());
}

#[test]
fn means_with_and_without_the_border() {
    let mut cases = Vec::new();
    for (name, pool, shape) in windows() {
        for count_include_pad in [true, false] {
            let op = AvgPool2d { pool, count_include_pad };
            let dy = noise(2, outputs_of(op, &[noise(1, shape)])[0].shape.clone());
            let name = format!("{name}, border counts: {count_include_pad}");
            cases.push(case(&name, op, vec![noise(1, shape)]));
            cases.push(case(&name, AvgPool2dGrad { forward: op, input: [shape[1], shape[2]] }, vec![dy]));
        }
    }
    check(cases);
}

#[test]
fn the_mean_of_a_whole_image_in_one_and_in_two_stages() {
    let mut cases = Vec::new();
    for [n, h, w, c] in [[1, 1, 1, 1], [3, 8, 8, 64], [2, 16, 17, 33], [1, 61, 67, 5], [1, 300, 301, 1]] {
        let name = format!("{h}×{w}, {c} channels");
        cases.push(case(&name, GlobalAvgPool2d, vec![noise(1, [n, h, w, c])]));
        cases.push(case(&name, GlobalAvgPool2dGrad { input: [h, w] }, vec![noise(2, [n, c])]));
    }
    check(cases);
}
