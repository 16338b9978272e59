//! Operators that choose, count and update: batches, dropout masks, the control value, optimisers.

use crate::gradients::noise;
use crate::named::run;
use wgrad::ops::*;
use wgrad::tensor::Tensor;

fn control(step: u32, flag: u32) -> Tensor<f64> {
    Tensor::u32([4], vec![step, flag, 0, 0])
}

fn gather(batch: usize, shuffle: Option<u32>) -> GatherBatch {
    GatherBatch { batch, rows: 0..batch, len: 7, shuffle, scale: vec![0.5, 2.0], offset: vec![-1.0, 0.25] }
}

/// Seven images of 1×2 pixels of 2 channels in three shards; byte i of image n is 10·n + i.
fn shards() -> Vec<Tensor<f64>> {
    let image = |n: usize| (0..4).map(move |i| (10 * n + i) as u8);
    let shard = |rows: std::ops::Range<usize>| Tensor::u8([rows.len(), 1, 2, 2], rows.flat_map(image).collect());
    vec![shard(0..3), shard(3..4), shard(4..7)]
}

fn gathered(op: GatherBatch, step: u32) -> Vec<Tensor<f64>> {
    let (control, labels, shards) = (control(step, 0), Tensor::u32([7], vec![6, 5, 4, 3, 2, 1, 0]), shards());
    let mut operands = vec![&control, &labels];
    operands.extend(&shards);
    run(op, &operands)
}

#[test]
fn batches_in_order_wrap_around_and_cross_shards() {
    let got = gathered(gather(3, None), 2);
    assert_eq!(got[1].u32s(), [0, 6, 5], "images 6, 0 and 1");
    let image = |n: f64| {
        [
            10.0 * n * 0.5 - 1.0,
            (10.0 * n + 1.0) * 2.0 + 0.25,
            (10.0 * n + 2.0) * 0.5 - 1.0,
            (10.0 * n + 3.0) * 2.0 + 0.25,
        ]
    };
    assert_eq!(got[0].floats(), [image(6.0), image(0.0), image(1.0)].concat());
    assert_eq!(got[0].shape, [3, 1, 2, 2]);
}

#[test]
fn a_shuffled_epoch_sees_no_image_twice_and_the_next_one_has_another_order() {
    let epoch = |first: u32| {
        let batches = (first..first + 2).flat_map(|step| gathered(gather(3, Some(5)), step)[1].u32s().to_vec());
        batches.collect::<Vec<u32>>()
    };
    let mut distinct = epoch(0);
    assert_ne!(distinct, epoch(2));
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 6);
    assert_eq!(epoch(4), epoch(4));
}

#[test]
fn dropout_keeps_its_share_redraws_every_step_and_repeats_itself() {
    let x = Tensor::float([100, 100], vec![1.0; 10_000]);
    let drop = Dropout { rate: 0.3, seed: 11, first: 0 };
    let y = run(drop, &[&x, &control(1, 0)]);
    let kept = y[0].floats().iter().filter(|&&v| v != 0.0).count();
    assert!((6_800..7_200).contains(&kept), "{kept}");
    assert!(y[0].floats().iter().all(|&v| v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-15));
    assert_eq!(y, run(drop, &[&x, &control(1, 0)]));
    assert_ne!(y, run(drop, &[&x, &control(2, 0)]));
    assert_ne!(y, run(Dropout { seed: 12, ..drop }, &[&x, &control(1, 0)]));
    assert_eq!(run(Dropout { rate: 0.0, seed: 1, first: 0 }, &[&x, &control(1, 0)])[0], x);
}

#[test]
fn the_guard_sets_the_flag_on_any_non_finite_value_and_keeps_it() {
    let guard = |flag, loss, norm: [f64; 2]| {
        let operands = [control(3, flag), Tensor::float([1], vec![loss]), Tensor::float([2], norm.to_vec())];
        run(Guard, &operands.each_ref())[0].u32s().to_vec()
    };
    assert_eq!(guard(0, 1.0, [1.0, 0.0]), [3, 0, 0, 0]);
    assert_eq!(guard(0, f64::NAN, [1.0, 0.0]), [3, 1, 0, 0]);
    assert_eq!(guard(0, f64::INFINITY, [1.0, 0.0]), [3, 1, 0, 0]);
    assert_eq!(guard(0, 1.0, [f64::NAN, 1.0]), [3, 1, 0, 0]);
    assert_eq!(guard(1, 1.0, [1.0, 0.0]), [3, 1, 0, 0]);
    assert_eq!(run(Advance, &[&control(3, 0)])[0].u32s(), [4, 0, 0, 0]);
    assert_eq!(run(Advance, &[&control(3, 1)])[0].u32s(), [3, 1, 0, 0]);
}

#[test]
fn the_norm_flags_what_is_not_finite() {
    let norm = |values: Vec<f64>| run(GradNorm, &[&Tensor::float([values.len()], values)])[0].floats().to_vec();
    assert_eq!(norm(vec![3.0, -4.0]), [5.0, 0.0]);
    assert_eq!(norm(vec![3.0, f64::NAN])[1], 1.0);
    assert_eq!(norm(vec![f64::NEG_INFINITY, 0.0])[1], 1.0);
}

#[test]
fn a_step_is_recorded_at_its_place_unless_the_flag_is_set() {
    let record = |step, flag| {
        let logits = Tensor::float([3, 2], vec![1.0, 1.0, 0.0, 2.0, 5.0, 4.0]);
        let lists =
            [Tensor::float([4], vec![-1.0; 4]), Tensor::float([4], vec![-2.0; 4]), Tensor::u32([4], vec![9; 4])];
        let norm = Tensor::float([2], vec![0.5, 0.0]);
        let (loss, labels) = (Tensor::float([1], vec![0.25]), Tensor::u32([3], vec![0, 1, 1]));
        run(
            RecordStep { adds: false },
            &[&control(step, flag), &loss, &norm, &logits, &labels, &lists[0], &lists[1], &lists[2]],
        )
    };
    let got = record(6, 0);
    assert_eq!(got[0].floats(), [-1.0, -1.0, 0.25, -1.0]);
    assert_eq!(got[1].floats(), [-2.0, -2.0, 0.5, -2.0]);
    assert_eq!(got[2].u32s(), [9, 9, 2, 9], "a tie counts for the first class");
    assert_eq!(record(6, 1)[0].floats(), [-1.0; 4]);
}

#[test]
fn an_evaluation_is_recorded_row_by_row_until_the_list_ends() {
    let logits = Tensor::float([2, 3], vec![0.0, 2.0, 2.0, 9.0, 1.0, 1.0]);
    let rows = Tensor::float([2], vec![0.5, 0.75]);
    let (losses, classes) = (Tensor::float([3], vec![-1.0; 3]), Tensor::u32([3], vec![7; 3]));
    let got = run(RecordEvaluation, &[&control(1, 0), &logits, &rows, &losses, &classes]);
    assert_eq!(got[0].floats(), [-1.0, -1.0, 0.5]);
    assert_eq!(got[1].u32s(), [7, 7, 1]);
}

const OPTIMIZERS: [Optimizer; 5] = [
    Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.1 },
    Optimizer::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 },
    Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 },
    Optimizer::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 },
    Optimizer::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.5, weight_decay: 0.0 },
];

/// One update of three parameters with moments of ½, in the given state of the flag.
fn updated(optimizer: Optimizer, flag: u32) -> (Vec<Tensor<f64>>, Vec<Tensor<f64>>) {
    let mut state = vec![noise(1, &[3])];
    state.resize(1 + optimizer.moments(), Tensor::float([3], vec![0.5; 3]));
    let rates = Tensor::float([2, 4], (1..3).flat_map(|t| optimizer.rates(0.1, t)).collect());
    let (grad, control) = (noise(2, &[3]), control(3, flag));
    let mut operands = vec![&state[0], &grad, &rates, &control];
    operands.extend(&state[1..]);
    let after = run(optimizer, &operands);
    (state, after)
}

#[test]
fn a_set_flag_stops_every_lasting_write() {
    for optimizer in OPTIMIZERS {
        let (before, after) = updated(optimizer, 0);
        assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{}", optimizer.name());
        let (before, after) = updated(optimizer, 1);
        assert_eq!(before, after, "{}", optimizer.name());
    }
    let x = Tensor::float([2], vec![5.0, -5.0]);
    assert_eq!(run(ClipValue { limit: 1.0 }, &[&x, &control(0, 1)])[0], x);
    assert_eq!(run(ClipValue { limit: 1.0 }, &[&x, &control(0, 0)])[0].floats(), [1.0, -1.0]);
    let (mean, var) = (Tensor::float([1], vec![1.0]), Tensor::float([1], vec![2.0]));
    let batch = Tensor::float([2, 1], vec![10.0, 1.0]);
    let stats = |flag| run(RunningStats { momentum: 0.1 }, &[&mean, &var, &batch, &mean, &control(0, flag)]);
    assert_eq!(stats(1), [mean.clone(), var.clone()]);
    assert!((stats(0)[0].floats()[0] - 2.0).abs() < 1e-15);
}

#[test]
fn rates_hold_the_corrections_of_adam() {
    let adam = Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
    let [lr, first, second, rest] = adam.rates(0.01, 3);
    assert!((first - (1.0 - 0.9_f64.powi(3))).abs() < 1e-15);
    assert!((second - (1.0 - 0.999_f64.powi(3)).sqrt()).abs() < 1e-14);
    assert_eq!((lr, rest), (0.01, 0.0));
    assert_eq!(adam.rates_row(0.01, u64::MAX), [0.01, 1.0, 1.0, 0.0]);
}

#[test]
fn what_is_updated_in_place_keeps_its_shape() {
    for optimizer in OPTIMIZERS {
        assert_eq!(optimizer.in_place().len(), 1 + optimizer.moments());
        assert_eq!(optimizer.in_place()[0], (0, 0));
    }
    assert_eq!(OPTIMIZERS[2].in_place(), [(0, 0), (1, 4), (2, 5)]);
}
