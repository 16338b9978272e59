use wgrad::Tensor;
use wgrad::ops::{LogSoftmax, LogSoftmaxGrad, Softmax, SoftmaxGrad};

use crate::runner::{Case, case, check, floats, noise, outputs_of};

/// Inputs with the axis along which they are normalised.
fn rows() -> Vec<(&'static str, Tensor, usize)> {
    let saturated = |seed: u32| {
        let mut x = noise(seed, [4, 10]);
        if let wgrad::tensor::Elements::Float(data) = &mut x.elements {
            (0..4).for_each(|row| data[row * 10 + row * 3] = 40.0);
        }
        x
    };
    vec![
        ("ten classes", noise(1, [33, 10]), 1),
        ("one row", noise(2, [1, 5]), 1),
        ("one element", noise(3, [1, 1]), 1),
        ("first axis", noise(4, [7, 65]), 0),
        ("middle axis", noise(5, [3, 31, 5, 2]), 1),
        ("more than a block", noise(6, [2, 1000]), 1),
        ("large logits", floats(7, [5, 32], -1e4, 1e4), 1),
        ("ties", Tensor::float([2, 4], vec![1.0, 3.0, 3.0, 0.0, 2.0, 2.0, 2.0, 2.0]), 1),
        ("saturated", saturated(8), 1),
    ]
}

#[test]
fn rows_sum_to_one() {
    let cases = |(name, x, axis): (&'static str, Tensor, usize)| -> [Case; 2] {
        [case(name, Softmax { axis }, vec![x.clone()]), case(name, LogSoftmax { axis }, vec![x])]
    };
    check(rows().into_iter().flat_map(cases).collect());
}

#[test]
fn gradients_keep_their_digits_on_saturated_rows() {
    let cases = |(name, x, axis): (&'static str, Tensor, usize)| -> [Case; 2] {
        let dy = noise(20, x.shape.clone());
        let y = outputs_of(Softmax { axis }, std::slice::from_ref(&x)).remove(0);
        let log = outputs_of(LogSoftmax { axis }, &[x]).remove(0);
        [case(name, SoftmaxGrad { axis }, vec![y, dy.clone()]), case(name, LogSoftmaxGrad { axis }, vec![log, dy])]
    };
    check(rows().into_iter().flat_map(cases).collect());
}
