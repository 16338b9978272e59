//! Handwritten-like digits that the program draws itself, so that everything can be tried with no file and no network.
//!
//! The pen follows one of a few ways to write the digit (`skeletons`); hands differ, so the points are jittered, the
//! whole is rotated, sheared, stretched, moved and bent by smooth waves, and width and pressure vary along the strokes.
//! The result is 28×28 grey, white on black, as MNIST, and about as hard: a linear classifier stays near 90 %, a
//! small convolutional network reaches 99 %.
//!
//! Every random number is a function of (seed, image, how many were drawn before) and all arithmetic is fixed by
//! IEEE 754 or by the crate `libm`: threads and platforms do not change a byte, and a test pins the SHA-256.

mod pen;
mod skeletons;

use rayon::prelude::*;

use crate::data::{Dataset, Split};
use crate::error::Result;
use crate::ops::random::{permute, random};
use pen::{Dot, Paper, SIZE};
use skeletons::{DIGITS, Stroke};

/// The seed of `builtin` where none is given.
pub const DEFAULT_SEED: u32 = 0;
/// Training images of the built-in data set, 800 of each digit.
pub const TRAIN: usize = 8_000;
/// Test images of the built-in data set, 200 of each digit.
pub const TEST: usize = 2_000;

/// Lines that a curve between two points is made of.
const LINES: usize = 5;
/// Side of the unit square of [`skeletons`] in pixels, before scaling.
const SIDE: f32 = 21.0;

/// Draws the whole data set of a seed: 8,000 training and 2,000 test images, classes balanced, order shuffled.
///
/// # Errors
/// None in practice; the splits are checked as any other data.
pub fn digits(seed: u32) -> Result<Dataset> {
    let classes = (0..10).map(|digit| digit.to_string()).collect();
    let train = draw_split(seed, 0, TRAIN)?;
    let test = draw_split(seed, TRAIN, TEST)?;
    Dataset::new("builtin", train, test, classes)
}

/// Draws images `first..first + count` of the seed; a split is shuffled in itself, so that it is balanced.
fn draw_split(seed: u32, first: usize, count: usize) -> Result<Split> {
    let labels: Vec<u32> = (0..count as u32).map(|i| permute(seed, first as u32, i, count as u32) % 10).collect();
    let mut images = vec![0; count * SIZE * SIZE];
    images.par_chunks_exact_mut(SIZE * SIZE).zip(&labels).enumerate().for_each(|(i, (image, &label))| {
        draw(label as usize, &mut Hand::new(seed, (first + i) as u32), image);
    });
    Split::new(images, labels, [SIZE, SIZE, 1])
}

/// The random numbers of one image.
struct Hand {
    seed: u32,
    image: u32,
    drawn: u32,
}

impl Hand {
    fn new(seed: u32, image: u32) -> Self {
        Self { seed, image, drawn: 0 }
    }

    /// The next 32 random bits.
    fn bits(&mut self) -> u32 {
        self.drawn += 1;
        random(self.seed, self.image, self.drawn)
    }

    /// Uniform from `low` to `high`.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.bits() >> 8) as f32 / 16_777_216.0)
    }

    /// Bell-shaped round 0, never beyond ± `reach`, with a standard deviation of a third of it: three uniform
    /// numbers added.
    fn about(&mut self, reach: f32) -> f32 {
        (0..3).map(|_| self.between(-1.0, 1.0)).sum::<f32>() * reach / 3.0
    }

    /// One of `count` choices.
    fn choice(&mut self, count: usize) -> usize {
        ((u64::from(self.bits()) * count as u64) >> 32) as usize
    }
}

/// Draws one digit into `image`, [28, 28] bytes.
fn draw(digit: usize, hand: &mut Hand, image: &mut [u8]) {
    let styles = DIGITS[digit];
    let style = styles[hand.choice(styles.len())];
    let slant = Slant::new(hand);
    let touch = Touch::new(hand);
    let mut paper = Paper::new();
    for stroke in style {
        let mut way = 0.0;
        let mut last: Option<Dot> = None;
        for [x, y] in curve(&jittered(stroke, hand)) {
            let [x, y] = slant.place(x, y);
            way += last.map_or(0.0, |last| ((x - last.x) * (x - last.x) + (y - last.y) * (y - last.y)).sqrt());
            let dot = touch.dot(x, y, way);
            paper.line(last.unwrap_or(dot), dot);
            last = Some(dot);
        }
    }
    paper.blur(hand.between(0.02, 0.14));
    let grain = hand.between(0.0, 0.10);
    for (i, byte) in image.iter_mut().enumerate() {
        *byte = expose(paper.pixel(i), grain, hand.bits());
    }
}

/// Brightness to a byte. Ink gets grain; the paper stays black but for rare specks.
fn expose(value: f32, grain: f32, bits: u32) -> u8 {
    let noise = (bits >> 8) as f32 / 8_388_608.0 - 1.0;
    let speck = if bits & 0xff == 0 { 0.15 } else { 0.0 };
    let value = if value > 0.02 { value * (1.0 + grain * noise) } else { speck * noise };
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// A stroke as this hand writes it: each point a little off, corners kept.
fn jittered(stroke: Stroke, hand: &mut Hand) -> Vec<[f32; 2]> {
    let mut points: Vec<[f32; 2]> = Vec::with_capacity(stroke.len());
    for (i, &[x, y]) in stroke.iter().enumerate() {
        let corner = i > 0 && stroke[i - 1] == [x, y];
        let point = if corner { points[i - 1] } else { [x + hand.about(0.05), y + hand.about(0.05)] };
        points.push(point);
    }
    points
}

/// The smooth curve through `points` (Catmull-Rom, uniform), as the ends of short lines.
fn curve(points: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let mut path = Vec::with_capacity(points.len() * LINES);
    path.push(points[0]);
    for i in 1..points.len() {
        let (p1, p2) = (points[i - 1], points[i]);
        if p1 == p2 {
            continue;
        }
        // Beyond an end the curve goes straight on.
        let p0 = if i >= 2 { points[i - 2] } else { p1 };
        let p3 = points.get(i + 1).copied().unwrap_or(p2);
        for step in 1..=LINES {
            let t = step as f32 / LINES as f32;
            path.push([0, 1].map(|axis| spline([p0[axis], p1[axis], p2[axis], p3[axis]], t)));
        }
    }
    path
}

/// Catmull-Rom between `p[1]` (`t` = 0) and `p[2]` (`t` = 1).
fn spline(p: [f32; 4], t: f32) -> f32 {
    let linear = p[2] - p[0];
    let square = 2.0 * p[0] - 5.0 * p[1] + 4.0 * p[2] - p[3];
    let cube = 3.0 * (p[1] - p[2]) + p[3] - p[0];
    p[1] + 0.5 * t * (linear + t * (square + t * cube))
}

/// Where the unit square of a skeleton lands on the paper: an affine map and a smooth bend.
struct Slant {
    matrix: [[f32; 2]; 2],
    centre: [f32; 2],
    waves: [Wave; 4],
}

/// One component of the bend: `height` · sin(`x`·x + `y`·y + `phase`).
struct Wave {
    x: f32,
    y: f32,
    phase: f32,
    height: f32,
}

impl Wave {
    fn new(hand: &mut Hand) -> Self {
        Self {
            x: hand.between(-6.0, 6.0),
            y: hand.between(-6.0, 6.0),
            phase: hand.between(0.0, core::f32::consts::TAU),
            height: hand.between(0.0, 0.045),
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        self.height * libm::sinf(self.x * x + self.y * y + self.phase)
    }
}

impl Slant {
    fn new(hand: &mut Hand) -> Self {
        let angle = hand.about(0.27);
        let shear = hand.about(0.36) - 0.08;
        let size = SIDE * hand.between(0.80, 1.06);
        let (wide, tall) = (size * hand.between(0.78, 1.14), size * hand.between(0.86, 1.08));
        let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
        // rotation · shear · stretch
        let matrix = [[cos * wide, (cos * shear - sin) * tall], [sin * wide, (sin * shear + cos) * tall]];
        let middle = SIZE as f32 / 2.0;
        let centre = [middle + hand.about(3.8), middle + hand.about(3.8)];
        Self { matrix, centre, waves: [0; 4].map(|_| Wave::new(hand)) }
    }

    /// A point of the unit square, in pixels.
    fn place(&self, x: f32, y: f32) -> [f32; 2] {
        let [a, b, c, d] = &self.waves;
        let u = x - 0.5 + a.at(x, y) + b.at(x, y);
        let v = y - 0.5 + c.at(x, y) + d.at(x, y);
        [0, 1].map(|i| self.centre[i] + self.matrix[i][0] * u + self.matrix[i][1] * v)
    }
}

/// How the pen is held: width and brightness of the line, and how both swell along the way.
struct Touch {
    radius: f32,
    ink: f32,
    swell: Wave,
    fade: Wave,
}

impl Touch {
    fn new(hand: &mut Hand) -> Self {
        let radius = hand.between(0.65, 1.60);
        let ink = hand.between(0.80, 1.10);
        let swell = Wave { x: hand.between(0.1, 0.4), height: hand.between(0.0, 0.22), ..Wave::new(hand) };
        let fade = Wave { x: hand.between(0.1, 0.4), height: hand.between(0.0, 0.25), ..Wave::new(hand) };
        Self { radius, ink, swell, fade }
    }

    /// The pen at (`x`, `y`) after `way` pixels of its stroke.
    fn dot(&self, x: f32, y: f32, way: f32) -> Dot {
        let radius = self.radius * (1.0 + self.swell.at(way, 0.0));
        Dot { x, y, radius, ink: (self.ink * (1.0 + self.fade.at(way, 0.0))).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of `builtin`, for ever: results that people compare depend on them.
    const SHA256: &str = "9f728df7e6a00ec487d9c33dfd611e88abbe626df539d81d1075bf118393eb69";

    /// The share of test images that softmax regression recognises, trained on pixels until it stops improving.
    fn linear_accuracy(data: &Dataset) -> f32 {
        let (inputs, classes, rate, batch) = (data.train.image_len(), 10, 0.1, 32);
        let mut weights = vec![0f32; (inputs + 1) * classes];
        let scores = |weights: &[f32], image: &[u8]| -> Vec<f32> {
            let mut scores = weights[inputs * classes..].to_vec();
            for (pixel, row) in image.iter().zip(weights.chunks_exact(classes)).filter(|(pixel, _)| **pixel > 0) {
                scores.iter_mut().zip(row).for_each(|(score, w)| *score += f32::from(*pixel) / 255.0 * w);
            }
            scores
        };
        for step in 0..30 * data.train.len() / batch {
            let mut update = vec![0f32; weights.len()];
            for i in (0..batch).map(|i| (step * batch + i) % data.train.len()) {
                let mut slope = scores(&weights, data.train.image(i));
                let most = slope.iter().copied().fold(f32::MIN, f32::max);
                slope.iter_mut().for_each(|score| *score = (*score - most).exp());
                let sum: f32 = slope.iter().sum();
                slope.iter_mut().for_each(|share| *share /= sum);
                slope[data.train.labels[i] as usize] -= 1.0;
                let pixels = data.train.image(i).iter().map(|&pixel| f32::from(pixel) / 255.0).chain([1.0]);
                for (pixel, row) in pixels.zip(update.chunks_exact_mut(classes)).filter(|(pixel, _)| *pixel > 0.0) {
                    row.iter_mut().zip(&slope).for_each(|(u, s)| *u += pixel * s);
                }
            }
            weights.iter_mut().zip(&update).for_each(|(w, u)| *w -= rate / batch as f32 * u);
        }
        let right = |i: &usize| {
            let scores = scores(&weights, data.test.image(*i));
            let best = (0..classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            best == Some(data.test.labels[*i] as usize)
        };
        (0..data.test.len()).filter(right).count() as f32 / data.test.len() as f32
    }

    #[test]
    fn the_default_data_set_never_changes() {
        assert_eq!(digits(DEFAULT_SEED).unwrap().fingerprint(), SHA256);
    }

    #[test]
    fn a_seed_fixes_every_byte_for_any_number_of_threads() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| digits(5).unwrap());
        assert_eq!(one, digits(5).unwrap());
        assert_ne!(one.fingerprint(), digits(6).unwrap().fingerprint());
    }

    #[test]
    fn classes_are_balanced_shuffled_and_no_test_image_is_a_training_image() {
        let data = digits(DEFAULT_SEED).unwrap();
        for split in [&data.train, &data.test] {
            let count = |class| split.labels.iter().filter(|&&label| label == class).count();
            assert!((0..10).all(|class| count(class) == split.len() / 10));
            assert!(split.labels.windows(4).filter(|w| w.iter().all(|l| *l == w[0])).count() < split.len() / 100);
        }
        let train: std::collections::HashSet<&[u8]> = (0..data.train.len()).map(|i| data.train.image(i)).collect();
        assert_eq!(train.len(), data.train.len());
        assert!((0..data.test.len()).all(|i| !train.contains(data.test.image(i))));
    }

    #[test]
    fn digits_stay_inside_the_picture_on_black_paper() {
        let data = digits(DEFAULT_SEED).unwrap();
        let ink = |i: usize| data.train.image(i).iter().filter(|&&pixel| pixel > 60).count();
        for i in 0..data.train.len() {
            assert!((15..400).contains(&ink(i)), "image {i} has {} bright pixels", ink(i));
        }
    }

    #[test]
    fn a_linear_classifier_is_not_enough() {
        let accuracy = linear_accuracy(&digits(DEFAULT_SEED).unwrap());
        assert!((0.80..0.95).contains(&accuracy), "softmax regression reaches {accuracy}");
    }
}
