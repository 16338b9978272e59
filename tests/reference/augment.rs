//! Augmentation: what is drawn is spread as it should be, flips and moves copy, turns go where they should, mixtures mix.

use crate::gradients::noise;
use crate::named::run;
use wgrad::ops::*;
use wgrad::tensor::Tensor;

const NOTHING: AugmentDraw = AugmentDraw {
    batch: 1000,
    image: [6, 8],
    seed: 7,
    first: 0,
    flip: false,
    crop: 0,
    scale: 0.0,
    contrast: 0.0,
    brightness: 0.0,
};

fn control(step: u32) -> Tensor<f64> {
    Tensor::u32([4], vec![step, 0, 0, 0])
}

/// The rows that are drawn in a step, where images are turned by nothing.
fn rows(op: AugmentDraw, step: u32) -> Vec<Vec<f64>> {
    let table = run(op, &[&control(step), &Tensor::float([1, 2], vec![1.0, 0.0])]).swap_remove(0);
    table.floats().chunks(10).map(<[f64]>::to_vec).collect()
}

/// An image of one channel, numbered row by row, seen as a table row without cutout says.
fn seen(image: [usize; 2], row: [f64; 8], fill: f64) -> Vec<f64> {
    let [h, w] = image;
    let x = Tensor::float([1, h, w, 1], (0..h * w).map(|i| i as f64 / 100.0).collect());
    let table = Tensor::float([1, 10], [&row[..], &[0.0, 0.0]].concat());
    let y = run(Augment { cutout: 0, fill }, &[&x, &table]).swap_remove(0);
    y.floats().iter().map(|v| (v * 1e11).round() / 1e9).collect()
}

#[test]
fn what_is_drawn_fills_its_range_differs_by_step_and_repeats_itself() {
    let all = AugmentDraw { flip: true, crop: 2, scale: 0.25, contrast: 0.5, brightness: 0.5, ..NOTHING };
    let drawn = rows(all, 3);
    assert_eq!(drawn, rows(all, 3));
    // A part of the batch draws what the batch draws for it.
    assert_eq!(rows(AugmentDraw { batch: 10, first: 300, ..all }, 3), drawn[300..310]);
    assert!(drawn != rows(all, 4) && drawn != rows(AugmentDraw { seed: 8, ..all }, 3));
    let column = |index: usize| drawn.iter().map(|row| row[index]).collect::<Vec<f64>>();
    let flipped = column(3).iter().filter(|d| **d < 0.0).count();
    assert!((440..560).contains(&flipped), "{flipped} of 1000 are flipped");
    // Each whole number comes equally often.
    for (index, from, to) in [(4, -2, 2), (5, -2, 2), (8, 0, 5), (9, 0, 7)] {
        let values = column(index);
        for value in from..=to {
            let count = values.iter().filter(|v| **v == f64::from(value)).count();
            let share = 1000 / (to - from + 1) as usize;
            assert!(count.abs_diff(share) < share / 3, "column {index} is {value} for {count} images");
        }
    }
    for (index, low, high) in [(0, 0.75, 1.25), (6, 0.5, 1.5)] {
        let mean = column(index).iter().sum::<f64>() / 1000.0;
        assert!(column(index).iter().all(|v| (low..high).contains(v)), "column {index}");
        assert!((mean - 1.0).abs() < 0.04, "the mean of column {index} is {mean}");
    }
    // One kind does not disturb another: the same moves without the rest.
    let moves = rows(AugmentDraw { crop: 2, ..NOTHING }, 3);
    assert!(drawn.iter().zip(&moves).all(|(a, b)| a[4..6] == b[4..6]));
}

#[test]
fn nothing_drawn_leaves_the_images_as_they_are() {
    let x = Tensor::float([2, 6, 8, 3], noise(1, &[2, 6, 8, 3]).floats().iter().map(|v| v.abs()).collect());
    let table = run(AugmentDraw { batch: 2, ..NOTHING }, &[&control(1), &Tensor::float([1, 2], vec![1.0, 0.0])]);
    assert_eq!(run(Augment { cutout: 0, fill: 0.5 }, &[&x, &table[0]])[0], x);
}

#[test]
fn flips_moves_and_turns_go_where_they_should() {
    let straight = [1.0, 0.0, 0.0, 1.0];
    let row = |matrix: [f64; 4], dy: f64, dx: f64| {
        let [a, b, c, d] = matrix;
        [a, b, c, d, dy, dx, 1.0, 0.0]
    };
    assert_eq!(seen([2, 3], row([1.0, 0.0, 0.0, -1.0], 0.0, 0.0), 0.0), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    assert_eq!(seen([2, 3], row(straight, 1.0, -1.0), 0.9), [90.0, 3.0, 4.0, 90.0, 90.0, 90.0]);
    // A quarter turn: what was on the right is above.
    assert_eq!(seen([2, 2], row([0.0, 1.0, -1.0, 0.0], 0.0, 0.0), 0.0), [1.0, 3.0, 0.0, 2.0]);
    // Half a pixel to the right: between two neighbours, and between the last one and what is outside.
    assert_eq!(seen([1, 3], row(straight, 0.0, 0.5), 0.1), [0.5, 1.5, 6.0]);
}

#[test]
fn contrast_and_brightness_stay_within_black_and_white() {
    let colour = |k: f64, t: f64| seen([1, 3], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, k, t], 0.0);
    assert_eq!(colour(1.0, 0.5), [50.0, 51.0, 52.0]);
    assert_eq!(colour(60.0, -0.1), [0.0, 50.0, 100.0]);
    assert_eq!(colour(1.0, -0.01), [0.0, 0.0, 1.0]);
}

#[test]
fn cutout_cuts_a_square_that_the_border_clips() {
    let x = Tensor::float([1, 4, 5, 1], vec![1.0; 20]);
    let cut = |cutout: usize, cy: f64, cx: f64| {
        let table = Tensor::float([1, 10], vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, cy, cx]);
        let y = run(Augment { cutout, fill: 0.0 }, &[&x, &table]).swap_remove(0);
        (0..20).filter(|&i| y.floats()[i] == 0.0).collect::<Vec<usize>>()
    };
    assert_eq!(cut(0, 1.0, 1.0), [0; 0]);
    assert_eq!(cut(1, 1.0, 2.0), [7]);
    assert_eq!(cut(2, 1.0, 2.0), [1, 2, 6, 7]);
    assert_eq!(cut(3, 3.0, 4.0), [13, 14, 18, 19]);
}

#[test]
fn mixup_takes_its_share_of_the_next_image_and_of_its_label() {
    let x = Tensor::float([3, 1, 1, 2], vec![0.0, 1.0, 1.0, 0.0, 0.5, 0.5]);
    let labels = Tensor::u32([3], vec![4, 5, 6]);
    let got = run(Mixup { seed: 1, first: 0 }, &[&x, &labels, &control(2), &Tensor::float([1], vec![0.25])]);
    assert_eq!(got[0].floats(), [0.25, 0.75, 0.875, 0.125, 0.375, 0.625]);
    assert_eq!(got[1].u32s(), [5, 6, 4]);
    assert_eq!(got[2].floats(), [0.25; 3]);
    // The loss of a mixture is that of its labels, each by its share.
    let logits = noise(3, &[3, 7]);
    let row = |labels: &Tensor<f64>| {
        run(SoftmaxCrossEntropy { label_smoothing: 0.1 }, &[&logits, labels])[1].floats().to_vec()
    };
    let mixed = run(MixupCrossEntropy { label_smoothing: 0.1 }, &[&logits, &labels, &got[1], &got[2]]);
    for (n, loss) in mixed[1].floats().iter().enumerate() {
        let wanted = 0.75 * row(&labels)[n] + 0.25 * row(&got[1])[n];
        assert!((loss - wanted).abs() < 1e-14, "{loss} instead of {wanted}");
    }
}
