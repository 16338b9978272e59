//! Impossible shapes and attributes, and the sentence that each is refused with.

use wgrad::ops::*;
use wgrad::tensor::Spec;

#[track_caller]
fn refuses(op: impl Into<Op>, inputs: &[Spec], part: &str) {
    let error = op.into().infer(inputs).expect_err(part).to_string();
    assert!(error.contains(part), "{error:?} does not say {part:?}");
    assert!(!error.contains('\n'), "{error:?} is more than one sentence");
}

fn f(shape: &[usize]) -> Spec {
    Spec::f32(shape)
}

fn control() -> Spec {
    Spec::u32([4])
}

#[test]
fn layers_refuse_operands_that_do_not_fit() {
    refuses(Linear, &[f(&[2, 3, 3, 4]), f(&[5, 4])], "flatten images first");
    refuses(Linear, &[f(&[2, 35]), f(&[5, 36])], "do not fit rows of 35 features");
    refuses(Linear, &[f(&[2, 36]), f(&[5, 36]), f(&[36])], "one element for each of 5 outputs");
    refuses(Flatten, &[f(&[2, 36])], "needs an image");
    refuses(Add, &[f(&[2, 3]), f(&[3, 2])], "must be F32 of shape [2, 3]");
    refuses(Mul, &[f(&[2, 3]), Spec::u32([2, 3])], "got U32");
    refuses(Concat { axis: 3 }, &[f(&[2, 4, 4, 1]), f(&[2, 4, 5, 1])], "differ along another axis than 3");
    refuses(Concat { axis: 4 }, &[f(&[2, 4, 4, 1])], "axis 4 does not exist");
    refuses(Slice { axis: 1, start: 3, len: 2 }, &[f(&[2, 4])], "3..5 does not exist along axis 1");
    refuses(Softmax { axis: 2 }, &[f(&[2, 4])], "axis 2 does not exist");
    refuses(Activation::LeakyRelu { slope: -0.1 }, &[f(&[2])], "slope must be a number of at least 0, got -0.1");
    refuses(Activation::Elu { alpha: f64::NAN }, &[f(&[2])], "alpha must be");
    refuses(Activation::Relu, &[Spec::u8([2])], "must hold floats");
    for rate in [-0.1, 1.0, f64::NAN] {
        refuses(Dropout { rate, seed: 0, first: 0 }, &[f(&[2]), control()], "at least 0 and below 1");
    }
}

#[test]
fn pooling_refuses_windows_that_do_not_fit() {
    let pool = Pool2d { kernel: [2, 2], stride: [2, 2], padding: [0; 4], ceil_mode: false };
    let max = |pool, shape: &[usize], part: &str| refuses(MaxPool2d(pool), &[f(shape)], part);
    max(pool, &[1, 1, 4, 3], "a 2×2 window does not fit a 1×4 image");
    max(Pool2d { padding: [2, 0, 0, 0], ..pool }, &[1, 4, 4, 3], "at most half");
    max(Pool2d { padding: [0, 0, 0, 2], ..pool }, &[1, 4, 4, 3], "at most half");
    max(Pool2d { stride: [0, 1], ..pool }, &[1, 4, 4, 3], "at least 1");
    max(Pool2d { kernel: [0, 1], ..pool }, &[1, 4, 4, 3], "at least 1");
    max(pool, &[4, 4, 3], "needs an image");
}

#[test]
fn normalisations_refuse_what_has_no_variance() {
    let affine = |c: usize| [f(&[c]), f(&[c])];
    let with = |x: &[usize], c: usize| [f(x), affine(c)[0].clone(), affine(c)[1].clone()];
    refuses(BatchNorm2d { eps: 1e-5 }, &with(&[1, 1, 1, 8], 8), "more than one value a channel");
    refuses(BatchNorm2d { eps: 1e-5 }, &with(&[2, 4, 4, 8], 7), "the weight must be F32 of shape [8]");
    refuses(BatchNorm2d { eps: -1.0 }, &with(&[2, 4, 4, 8], 8), "eps must be");
    refuses(GroupNorm { groups: 3, eps: 1e-5 }, &with(&[2, 4, 4, 8], 8), "3 groups do not divide 8 channels");
    refuses(GroupNorm { groups: 8, eps: 1e-5 }, &with(&[2, 1, 1, 8], 8), "single value");
    refuses(LayerNorm { eps: 1e-5 }, &with(&[2, 9], 8), "the weight must be F32 of shape [9]");
}

#[test]
fn losses_and_optimisers_refuse_operands_that_do_not_fit() {
    let loss = SoftmaxCrossEntropy { label_smoothing: 0.0 };
    refuses(loss, &[f(&[4, 10]), Spec::u32([5])], "labels must be U32 of shape [4]");
    refuses(loss, &[f(&[4, 10]), f(&[4])], "labels must be U32");
    refuses(loss, &[f(&[4, 1, 1, 10]), Spec::u32([4])], "needs logits [n, classes]");
    let smoothed = SoftmaxCrossEntropy { label_smoothing: 1.01 };
    refuses(smoothed, &[f(&[4, 10]), Spec::u32([4])], "must lie in 0..=1, got 1.01");
    refuses(MseLoss, &[f(&[4, 10]), f(&[4])], "the target must be");
    let sgd = Optimizer::Sgd { momentum: 0.0, nesterov: true, weight_decay: 0.0 };
    let operands = [f(&[9]), f(&[9]), f(&[3, 4]), control()];
    refuses(sgd, &operands, "nesterov needs a momentum");
    let adam = Optimizer::Adam { beta1: 0.9, beta2: 1.0, eps: 1e-8, weight_decay: 0.0 };
    let with_moments = [&operands[..], &[f(&[9]), f(&[9])]].concat();
    refuses(adam, &with_moments, "beta2 must be at least 0 and below 1, got 1");
    refuses(adam, &operands, "operands");
    let adam = Optimizer::Adam { beta1: 0.9, beta2: 0.9, eps: 1e-8, weight_decay: 0.0 };
    refuses(adam, &[&operands[..], &[f(&[9]), f(&[8])]].concat(), "each moment");
    refuses(ClipGradNorm { max_norm: 0.0 }, &[f(&[9]), f(&[2])], "above 0");
}

#[test]
fn a_batch_must_fit_its_data() {
    let gather = |batch, shuffle| GatherBatch {
        batch,
        rows: 0..batch,
        len: 6,
        shuffle,
        scale: vec![1.0; 3],
        offset: vec![0.0; 3],
    };
    let data = [control(), Spec::u32([6]), Spec::u8([4, 2, 2, 3]), Spec::u8([2, 2, 2, 3])];
    assert_eq!(gather(6, Some(1)).infer(&data).unwrap()[0], f(&[6, 2, 2, 3]));
    assert_eq!(gather(7, None).infer(&data).unwrap()[1], Spec::u32([7]));
    refuses(gather(0, None), &data, "is empty");
    refuses(gather(7, Some(1)), &data, "larger than the set of 6");
    refuses(gather(2, None), &data[..3], "the shards hold 4 images, not 6");
    refuses(gather(2, None), &[data[0].clone(), data[1].clone(), f(&[6, 2, 2, 3])], "must hold bytes");
    let grey = [data[0].clone(), data[1].clone(), Spec::u8([6, 2, 2, 1])];
    refuses(gather(2, None), &grey, "each of 1 channels, got 3 and 3");
}
