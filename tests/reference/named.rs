//! Kinks, ties and extremes by name: where finite differences lie or float32 loses its digits.

use crate::gradients::{noise, uniform};
use wgrad::ops::*;
use wgrad::tensor::Tensor;

/// Runs the reference on operands.
pub fn run<T: Real>(op: impl Into<Op>, operands: &[&Tensor<T>]) -> Vec<Tensor<T>> {
    op.into().evaluate(operands).unwrap()
}

/// ‖got − want‖ / ‖want‖.
fn relative_l2<T: Real>(got: &[T], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let error: f64 = got.iter().zip(want).map(|(g, w)| (g.wide() - w).powi(2)).sum();
    (error / want.iter().map(|w| w * w).sum::<f64>()).sqrt()
}

/// Rounds to f32, in both float types.
fn rounded(values: impl Iterator<Item = f64>, shape: &[usize]) -> (Tensor<f32>, Tensor<f64>) {
    let narrow: Vec<f32> = values.map(|v| v as f32).collect();
    let wide = narrow.iter().map(|&v| f64::from(v)).collect();
    (Tensor::float(shape, narrow), Tensor::float(shape, wide))
}

const ACTIVATIONS: [Activation; 10] = Activation::all(0.1, 1.0);

fn slope_at(activation: Activation, x: f64) -> f64 {
    activation.derivative(if activation.saves_output() { activation.value(x) } else { x })
}

#[test]
fn kinks_of_activations_take_the_lower_side_as_in_pytorch() {
    assert_eq!(slope_at(Activation::Relu, 0.0), 0.0);
    assert_eq!(slope_at(Activation::LeakyRelu { slope: 0.1 }, 0.0), 0.1);
    assert_eq!(slope_at(Activation::Elu { alpha: 0.5 }, 0.0), 0.5);
    assert_eq!(slope_at(Activation::HardSwish, -3.0), 0.0);
    assert_eq!(slope_at(Activation::HardSwish, 3.0), 1.0);
    assert_eq!(Activation::HardSwish.value(3.0), 3.0);
    assert_eq!(Activation::HardSwish.value(-3.0), 0.0);
}

#[test]
fn activations_stay_finite_far_out_and_keep_a_nan() {
    for activation in ACTIVATIONS {
        for x in [-1e30_f32, -1e4, -90.0, -20.0, 0.0, 20.0, 90.0, 1e4, 1e30] {
            let y = activation.value(x);
            let slope = activation.derivative(if activation.saves_output() { y } else { x });
            assert!(y.is_finite() && slope.is_finite(), "{} at {x}: {y}, {slope}", activation.name());
        }
        assert!(activation.value(f32::NAN).is_nan(), "{}", activation.name());
        assert!(activation.value(f64::NAN).is_nan(), "{}", activation.name());
    }
}

#[test]
fn the_first_of_equals_gets_the_gradient_of_a_maximum() {
    let pool = Pool2d { kernel: [2, 2], stride: [2, 2], padding: [0; 4], ceil_mode: false };
    let x = Tensor::float([1, 2, 4, 1], vec![1.0, 5.0, 7.0, 7.0, 5.0, 5.0, 7.0, 7.0]);
    let y = run(MaxPool2d(pool), &[&x]);
    assert_eq!(y[0].floats(), [5.0, 7.0]);
    assert_eq!(y[1].u32s(), [1, 2]);
    let dy = Tensor::float([1, 1, 2, 1], vec![10.0, 20.0]);
    let dx = run(MaxPool2dGrad { pool, input: [2, 4] }, &[&dy, &y[1]]);
    assert_eq!(dx[0].floats(), [0.0, 10.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_nan_wins_a_maximum_and_the_border_never_does() {
    let pool = Pool2d { kernel: [3, 3], stride: [2, 2], padding: [1; 4], ceil_mode: false };
    let mut values: Vec<f32> = (0..25).map(|i| -1000.0 - i as f32).collect();
    let y = run(MaxPool2d(pool), &[&Tensor::float([1, 5, 5, 1], values.clone())]);
    assert_eq!(y[0].floats()[0], -1000.0);
    assert!(y[0].floats().iter().all(|&v| v <= -1000.0));
    values[12] = f32::NAN;
    let y = run(MaxPool2d(pool), &[&Tensor::float([1, 5, 5, 1], values)]);
    assert!(y[0].floats()[4].is_nan());
    assert_eq!(y[1].u32s()[4], 12);
    let lowest = Tensor::float([1, 5, 5, 1], vec![f32::NEG_INFINITY; 25]);
    assert_eq!(run(MaxPool2d(pool), &[&lowest])[1].u32s()[8], 18);
}

#[test]
fn pooled_sizes_follow_pytorch() {
    // (image, kernel, stride, padding, size, size with ceil_mode)
    let cases = [
        (5, 2, 2, 0, 2, 3),
        (6, 2, 2, 0, 3, 3),
        (7, 3, 2, 1, 4, 4),
        (8, 3, 2, 1, 4, 5),
        (4, 2, 3, 1, 2, 2),
        (5, 2, 4, 0, 1, 2),
        (6, 2, 4, 1, 2, 2),
        (3, 3, 1, 1, 3, 3),
    ];
    for (image, k, s, p, floor, ceil) in cases {
        for (ceil_mode, size) in [(false, floor), (true, ceil)] {
            let pool = Pool2d { kernel: [k; 2], stride: [s; 2], padding: [p; 4], ceil_mode };
            assert_eq!(pool.output_size([image; 2]).unwrap(), [size; 2], "{image} {k} {s} {p} {ceil_mode}");
        }
    }
}

#[test]
fn the_divisor_of_a_mean_clips_overhanging_windows_to_the_border() {
    // One row of 4 ones, border of 1 on both sides: windows of 3 every 2 start at -1, 1 and 3. The last covers one
    // pixel and one cell of the border, and hangs over that by one cell.
    let pool = Pool2d { kernel: [1, 3], stride: [1, 2], padding: [0, 1, 0, 1], ceil_mode: true };
    let x = Tensor::float([1, 1, 4, 1], vec![1.0; 4]);
    let include = run(AvgPool2d { pool, count_include_pad: true }, &[&x]);
    assert_eq!(include[0].floats(), [2.0 / 3.0, 1.0, 0.5]);
    let exclude = run(AvgPool2d { pool, count_include_pad: false }, &[&x]);
    assert_eq!(exclude[0].floats(), [1.0, 1.0, 1.0]);
}

/// x(i, j), or nothing outside the image.
fn at(x: &Tensor<f64>, i: i64, j: i64) -> Option<f64> {
    let inside = (0..x.shape[1] as i64).contains(&i) && (0..x.shape[2] as i64).contains(&j);
    inside.then(|| x.floats()[i as usize * x.shape[2] + j as usize])
}

#[test]
fn the_centred_convolution_is_padding_k_with_kernel_2k_plus_1() {
    for k in 1..=3i64 {
        let side = 2 * k as usize + 1;
        let (x, w) = (noise(1, &[1, 8, 9, 1]), noise(2, &[side, side, 1, 1]));
        let conv = Conv2d { padding: [k as usize; 4], ..Conv2d::default() };
        let y = run(conv, &[&x, &w]);
        assert_eq!(y[0].shape, x.shape);
        for i in 0..8 {
            for j in 0..9 {
                let mut sum = 0.0;
                for p in -k..=k {
                    for q in -k..=k {
                        sum +=
                            at(&x, i + p, j + q).unwrap_or(0.0) * w.floats()[((p + k) * (2 * k + 1) + q + k) as usize];
                    }
                }
                assert!((y[0].floats()[(i * 9 + j) as usize] - sum).abs() < 1e-13, "({i}, {j}) with k = {k}");
            }
        }
    }
}

#[test]
fn the_centred_maximum_is_padding_k_with_kernel_2k_plus_1() {
    for k in 1..=3i64 {
        let x = noise(1, &[1, 8, 9, 1]);
        let kernel = [2 * k as usize + 1; 2];
        let pool = Pool2d { kernel, stride: [1; 2], padding: [k as usize; 4], ceil_mode: false };
        let y = run(MaxPool2d(pool), &[&x]);
        for i in 0..8 {
            for j in 0..9 {
                let window = (-k..=k).flat_map(|p| (-k..=k).map(move |q| (p, q)));
                let max = window.filter_map(|(p, q)| at(&x, i + p, j + q)).fold(f64::NEG_INFINITY, f64::max);
                assert_eq!(y[0].floats()[(i * 9 + j) as usize], max, "({i}, {j}) with k = {k}");
            }
        }
    }
}

#[test]
fn softmax_of_saturating_logits_keeps_its_digits_in_float32() {
    let extreme = Tensor::float([2, 3], vec![1e4_f32, -1e4, 0.0, -1e4, -1e4, -1e4]);
    let y = run(Softmax { axis: 1 }, &[&extreme]);
    assert_eq!(y[0].floats()[..3], [1.0, 0.0, 0.0]);
    assert_eq!(y[0].floats()[3..], [1.0 / 3.0; 3]);
    assert_eq!(run(LogSoftmax { axis: 1 }, &[&extreme])[0].floats()[..3], [0.0, -2e4, -1e4]);

    let row = |i: usize| if i.is_multiple_of(8) { 18.0 } else { uniform(5, i) };
    let (x, x64) = rounded((0..64).map(row), &[8, 8]);
    let (dy, dy64) = rounded((0..64).map(|i| uniform(6, i) + 3.0), &[8, 8]);
    let gradient = run(SoftmaxGrad { axis: 1 }, &[&run(Softmax { axis: 1 }, &[&x])[0], &dy]);
    let want = run(SoftmaxGrad { axis: 1 }, &[&run(Softmax { axis: 1 }, &[&x64])[0], &dy64]);
    let off = relative_l2(gradient[0].floats(), want[0].floats());
    assert!(off < 1e-6, "{off:e}");
}

#[test]
fn batch_norm_of_constant_images_answers_the_bias() {
    let x = Tensor::float([2, 3, 3, 2], [7.25_f32, -1e6].repeat(18));
    let (weight, bias) = (Tensor::float([2], vec![3.0_f32, 2.0]), Tensor::float([2], vec![0.5_f32, -1.5]));
    let y = run(BatchNorm2d { eps: 1e-5 }, &[&x, &weight, &bias]);
    assert_eq!(y[0].floats(), [0.5, -1.5].repeat(18));
    assert_eq!(y[1].floats(), [7.25, -1e6, 0.0, 0.0]);
    assert_eq!(y[3].floats(), [0.0, 0.0]);
    let dy = Tensor::float([2, 3, 3, 2], (0..36).map(|i| uniform(1, i) as f32).collect());
    let gradients = run(BatchNorm2dGrad, &[&x, &weight, &y[1], &y[2], &dy]);
    assert!(gradients.iter().all(|gradient| gradient.floats().iter().all(|v| v.is_finite())));
    assert_eq!(gradients[1].floats(), [0.0, 0.0]);
}

#[test]
fn normalisation_keeps_its_digits_at_a_mean_of_1000_in_float32() {
    let shape = [8, 6, 6, 4];
    let (x, x64) = rounded((0..1152).map(|i| 1000.0 + uniform(1, i)), &shape);
    let (dy, dy64) = rounded((0..1152).map(|i| uniform(2, i)), &shape);
    let (weight, weight64) = rounded((0..4).map(|i| 1.0 + uniform(3, i) / 2.0), &[4]);
    let (bias, bias64) = rounded((0..4).map(|i| uniform(4, i)), &[4]);
    let pairs: [(Op, Op); 3] = [
        (BatchNorm2d { eps: 1e-5 }.into(), BatchNorm2dGrad.into()),
        (GroupNorm { groups: 2, eps: 1e-5 }.into(), GroupNormGrad { groups: 2 }.into()),
        (LayerNorm { eps: 1e-5 }.into(), LayerNormGrad.into()),
    ];
    for (forward, backward) in pairs {
        let got = run(forward.clone(), &[&x, &weight, &bias]);
        let want = run(forward.clone(), &[&x64, &weight64, &bias64]);
        let grad = run(backward.clone(), &[&x, &weight, &got[1], &got[2], &dy]);
        let grad64 = run(backward, &[&x64, &weight64, &want[1], &want[2], &dy64]);
        for (got, want) in got.iter().chain(&grad).zip(want.iter().chain(&grad64)) {
            let off = relative_l2(got.floats(), want.floats());
            assert!(off < 1e-6, "{}: {off:e}", forward.name());
        }
    }
}

#[test]
fn label_smoothing_is_the_formula_of_pytorch() {
    let (logits, labels, s) = (noise(1, &[3, 4]), Tensor::u32([3], vec![2, 0, 3]), 0.25);
    let got = run(SoftmaxCrossEntropy { label_smoothing: 0.25 }, &[&logits, &labels]);
    let mut total = 0.0;
    for (n, row) in logits.floats().chunks(4).enumerate() {
        let minus_log = |j: usize| row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[j];
        let even = (0..4).map(minus_log).sum::<f64>() / 4.0;
        let loss = (1.0 - s) * minus_log(labels.u32s()[n] as usize) + s * even;
        assert!((got[1].floats()[n] - loss).abs() < 1e-14);
        total += loss / 3.0;
    }
    assert!((got[0].floats()[0] - total).abs() < 1e-14);
}

#[test]
fn cross_entropy_of_extreme_logits_is_finite_and_its_gradient_follows_the_upstream_one() {
    let logits = Tensor::float([2, 3], vec![1e4_f32, -1e4, 0.0, 1e4, -1e4, 0.0]);
    let labels = Tensor::u32([2], vec![0, 1]);
    let loss = run(SoftmaxCrossEntropy { label_smoothing: 0.0 }, &[&logits, &labels]);
    assert_eq!(loss[1].floats(), [0.0, 2e4]);
    let grad = SoftmaxCrossEntropyGrad { label_smoothing: 0.0 };
    let gradient = run(grad, &[&logits, &labels, &Tensor::float([1], vec![-6.0])]);
    assert_eq!(gradient[0].floats(), [0.0, 0.0, 0.0, -3.0, 3.0, 0.0]);
}

#[test]
fn softplus_is_its_argument_beyond_the_threshold_of_pytorch() {
    assert_eq!(Activation::Softplus.value(20.5), 20.5);
    assert_eq!(slope_at(Activation::Softplus, 20.5), 1.0);
    assert_eq!(Activation::Softplus.value(20.0), 20.0 + (-20_f64).exp().ln_1p());
    assert!(slope_at(Activation::Softplus, 20.0) < 1.0);
}

#[test]
fn an_infinity_leaves_no_probabilities_and_a_masked_class_leaves_the_others() {
    let infinity = f64::INFINITY;
    let rows = [1.0, infinity, -2.0, 1.0, -infinity, -2.0, -infinity, -infinity, -infinity];
    let x = Tensor::float([3, 3], rows.to_vec());
    let labels = Tensor::u32([3], vec![0, 2, 1]);
    let loss = SoftmaxCrossEntropy { label_smoothing: 0.0 };
    let grad = SoftmaxCrossEntropyGrad { label_smoothing: 0.0 };
    let all = [
        run(Softmax { axis: 1 }, &[&x]).remove(0),
        run(LogSoftmax { axis: 1 }, &[&x]).remove(0),
        run(grad, &[&x, &labels, &Tensor::float([1], vec![1.0])]).remove(0),
        run(loss, &[&x, &labels]).remove(1),
    ];
    for tensor in &all {
        for (i, row) in tensor.floats().chunks(tensor.len() / 3).enumerate() {
            assert_eq!(i != 1, row.iter().all(|y| y.is_nan()), "row {i}: {row:?}");
            assert!(i != 1 || row.iter().all(|y| !y.is_nan()), "row {i}: {row:?}");
        }
    }
    let sum = 3_f64.exp() + 1.0;
    assert!((all[0].floats()[5] - 1.0 / sum).abs() < 1e-15);
    assert_eq!([all[0].floats()[4], all[1].floats()[4], all[2].floats()[4]], [0.0, -infinity, 0.0]);
    assert!((all[3].floats()[1] - sum.ln()).abs() < 1e-14, "{:?}", all[3]);
}

#[test]
fn a_norm_that_is_nan_makes_every_clipped_gradient_nan() {
    let norm = Tensor::float([2], vec![f64::NAN, 1.0]);
    let clipped = run(ClipGradNorm { max_norm: 1.0 }, &[&Tensor::float([2], vec![1.0, 2.0]), &norm]);
    assert!(clipped[0].floats().iter().all(|g| g.is_nan()), "{clipped:?}");
}

#[test]
fn flatten_counts_channels_first() {
    let x = Tensor::float([1, 2, 2, 3], (0..12).map(f64::from).collect());
    let y = run(Flatten, &[&x]);
    assert_eq!(y[0].floats(), [0.0, 3.0, 6.0, 9.0, 1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0]);
    assert_eq!(run(FlattenGrad { image: [2, 2, 3] }, &[&y[0]])[0], x);
}
