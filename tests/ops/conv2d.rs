use wgrad::Tensor;
use wgrad::ops::{Conv2d, Conv2dGradInput, Conv2dGradWeight};

use crate::runner::{Case, case, check, noise, outputs_of};

/// A convolution with the shapes of its image [n, h, w, c_in] and weights [k_h, k_w, c_in / groups, c_out].
type Row = (&'static str, Conv2d, [usize; 4], [usize; 4]);

fn rows() -> Vec<Row> {
    let plain = Conv2d::default();
    let padded = |p: usize| Conv2d { padding: [p; 4], ..plain };
    vec![
        ("one element", plain, [1, 1, 1, 1], [1, 1, 1, 1]),
        ("3×3", plain, [2, 7, 9, 3], [3, 3, 3, 5]),
        ("the article's centred 5×5", padded(2), [1, 9, 8, 1], [5, 5, 1, 2]),
        ("channels below a tile", padded(1), [2, 6, 5, 31], [3, 3, 31, 31]),
        ("channels of a tile", plain, [2, 13, 13, 32], [3, 3, 32, 64]),
        ("channels above a tile", padded(1), [1, 5, 7, 33], [3, 3, 33, 65]),
        ("1×1", plain, [3, 5, 5, 64], [1, 1, 64, 33]),
        ("stride 2", Conv2d { stride: [2, 2], ..padded(1) }, [2, 11, 10, 5], [3, 3, 5, 32]),
        (
            "stride 2×1, one-sided border",
            Conv2d { stride: [2, 1], padding: [0, 1, 2, 0], ..plain },
            [1, 9, 7, 4],
            [2, 3, 4, 7],
        ),
        ("stride larger than the kernel", Conv2d { stride: [3, 3], ..plain }, [1, 11, 11, 3], [2, 2, 3, 8]),
        ("dilated", Conv2d { dilation: [2, 3], ..padded(2) }, [2, 11, 13, 6], [3, 3, 6, 9]),
        ("two groups", Conv2d { groups: 2, ..padded(1) }, [2, 6, 7, 6], [3, 3, 3, 10]),
        ("depthwise", Conv2d { groups: 33, ..padded(1) }, [1, 9, 9, 33], [3, 3, 1, 33]),
        ("width 41", padded(1), [1, 5, 41, 3], [3, 3, 3, 4]),
        ("many pixels", padded(1), [4, 65, 67, 2], [3, 3, 2, 3]),
    ]
}

fn size_of_output(conv: Conv2d, x: [usize; 4], w: [usize; 4]) -> Vec<usize> {
    outputs_of(conv, &[noise(1, x), noise(2, w)]).remove(0).shape
}

#[test]
fn forward_with_and_without_bias() {
    let cases = |(name, conv, x, w): Row| -> [Case; 2] {
        let operands = [noise(1, x), noise(2, w), noise(3, [w[3]])];
        [case(name, conv, operands[..2].to_vec()), case(format!("{name}, bias"), conv, operands.to_vec())]
    };
    check(rows().into_iter().flat_map(cases).collect());
}

#[test]
fn the_gradient_of_the_input() {
    let cases = rows().into_iter().map(|(name, conv, x, w)| {
        let dy = noise(4, size_of_output(conv, x, w));
        case(name, Conv2dGradInput { conv, input: [x[1], x[2]] }, vec![dy, noise(2, w)])
    });
    check(cases.collect());
}

#[test]
fn the_gradient_of_the_weights() {
    let cases = rows().into_iter().map(|(name, conv, x, w)| {
        let dy = noise(4, size_of_output(conv, x, w));
        case(name, Conv2dGradWeight { conv, kernel: [w[0], w[1]] }, vec![noise(1, x), dy])
    });
    check(cases.collect());
}

/// The gradient of the weights sums over batch and space: more terms than one f32 accumulator may take.
#[test]
fn a_long_sum_keeps_its_digits() {
    let conv = Conv2d::default();
    let one_sided = |seed: u32, shape: [usize; 4]| {
        let data = noise(seed, shape).floats().iter().map(|value| value + 1.5).collect();
        Tensor::float(shape, data)
    };
    let (x, dy) = (one_sided(1, [3, 150, 151, 1]), one_sided(2, [3, 149, 150, 2]));
    check(vec![case("67,050 pixels", Conv2dGradWeight { conv, kernel: [2, 2] }, vec![x, dy])]);
}
