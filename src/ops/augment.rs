//! Augmentation: other views of a batch's images, drawn anew each step. Nothing here has a gradient: images need none.
//!
//! ```text
//! augment_draw, for image r, with D_j = random(seed, step, 9·(first + r) + j) and u_j = 2·⌊D_j / 2⁸⌋ / 2²⁴ − 1, in [−1, 1):
//!   f        = −1 where images are flipped and D_0 is odd, else 1
//!   (g, s)   = turns[D_1 mod rows]: cosine and sine of the angle         z = 1 + scale·u_2
//!   (dy, dx) = D_3 mod (2·crop + 1) − crop, D_4 mod (2·crop + 1) − crop
//!   (k, t)   = 1 + contrast·u_5, brightness·u_6 − contrast/2·u_5
//!   table[r] = (z·g, f·z·s, −z·s, f·z·g, dy, dx, k, t, D_7 mod h, D_8 mod w)
//! augment, with (a, b, c, d, dy, dx, k, t, cy, cx) = table[r], v = i − (h−1)/2, u = j − (w−1)/2:
//!   p        = a·v + b·u + dy + (h−1)/2                                  q = c·v + d·u + dx + (w−1)/2
//!   y[r,i,j] = fill where i − cy and j − cx lie in −⌊cutout/2⌋ .. cutout − ⌊cutout/2⌋, else
//!              k·sample(x[r], p, q) + t, no less than 0 and no more than 1
//! mixup, with o = (r + 1) mod n and m = shares_of[random(seed, step, first + r) mod rows]:
//!   y[r]     = x[r] + m·(x[o] − x[r])        others[r] = labels[o]       shares[r] = m
//! ```
//! So an image is moved by whole pixels, then turned and scaled about its middle, then flipped; contrast changes about ½, and
//! cutout (DeVries and Taylor 2017) comes last. `sample` is bilinear; what lies outside of the image is `fill`, and a pixel
//! whose share is 0 is not looked at, so that flips and moves copy. It goes from one of two equal pixels to the other without rounding:
//! noise in the last bit of a flat surface would let a max pool behind a convolution choose one place on a GPU and another in float64.
//! Images are made of numbers from 0 to 1.
//!
//! What takes more than a product is looked up in tables that the host makes in float64 (`turns`, `shares_of`): sines differ
//! between GPUs by more than a gradient may, and a draw that was compared with one would be another draw.

use super::{
    Operator, Real, control, expect_float, expect_image, expect_operands, expect_spec, fill, fill_float, random,
};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// Numbers that are drawn for an image.
pub const DRAWS: usize = 9;
/// Columns of the table: a, b, c, d, dy, dx, k, t, cy, cx.
pub const COLUMNS: usize = 10;

/// `control`, `turns [rows, 2]` → `table [batch, 10]`: how each image of the current step is seen.
///
/// `turns` holds the cosine and the sine of the angles of which one is drawn; without rotation it is [1, 0].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AugmentDraw {
    /// Images a batch.
    pub batch: usize,
    /// Height and width of the images.
    pub image: [usize; 2],
    /// The stream of random numbers.
    pub seed: u32,
    /// The place of the first image in the whole batch, so that a micro-batch draws what the batch would.
    pub first: u32,
    /// Whether half of the images are mirrored, left to right.
    pub flip: bool,
    /// Pixels by which an image is moved at most, along each axis.
    pub crop: usize,
    /// By how much the distance between two pixels differs from 1 at most, 0 ≤ scale < 1.
    pub scale: f64,
    /// By how much the factor of the contrast differs from 1 at most, from 0 to 1.
    pub contrast: f64,
    /// What is added or taken away at most, from 0 to 1.
    pub brightness: f64,
}

/// `x [n,h,w,c]`, `table [n, 10]` of [`AugmentDraw`] → `y [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    /// Side of the square that is cut out, in pixels; 0 for none.
    pub cutout: usize,
    /// What stands outside of an image and in the square.
    pub fill: f64,
}

/// `x [n,h,w,c]`, `labels [n]`, `control`, `shares_of [rows]` → `y [n,h,w,c]`, `others [n]` (u32), `shares [n]`: each image
/// mixed with the next one of the batch, the label of that one, and its share (Zhang et al. 2018).
///
/// `shares_of` holds the shares of which one is drawn, from 0 to ½: which of two images is the first is drawn with the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixup {
    /// The stream of random numbers.
    pub seed: u32,
    /// The place of the first image in the whole batch; who is mixed with whom is a matter of these images alone.
    pub first: u32,
}

/// a + share·(b − a): a itself where both are equal, so that a flat surface stays flat to the last bit, and where b has no share, though
/// b may be a NaN.
fn between<T: Real>(a: T, b: T, share: T) -> T {
    if share == T::zero() { a } else { a + share * (b - a) }
}

/// A number from −1 to 1, 1 excluded, that float32 holds without rounding.
fn unit<T: Real>(bits: u32) -> T {
    T::of(f64::from(bits >> 8) / f64::from(1 << 23) - 1.0)
}

impl AugmentDraw {
    /// The place of image `r` in the whole batch.
    fn place(&self, r: usize) -> u32 {
        self.first.wrapping_add(r as u32)
    }
}

impl Operator for AugmentDraw {
    fn name(&self) -> &'static str {
        "augment_draw"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let fail = |problem: String| Err(Error::shape("augment_draw", problem));
        expect_operands("augment_draw", inputs, 2..=2)?;
        control::expect("augment_draw", &inputs[0])?;
        match inputs[1].shape.as_slice() {
            &[rows, 2] if rows > 0 => expect_float("augment_draw", "the table of turns", &inputs[1])?,
            shape => return fail(format!("needs a table of turns [rows, 2], got {shape:?}")),
        }
        let [h, w] = self.image;
        if self.batch == 0 || h == 0 || w == 0 {
            return fail(format!("{} images of {h}×{w} pixels are none", self.batch));
        }
        if self.crop >= h.min(w) {
            return fail(format!("moves by up to {} pixels would leave nothing of images of {h}×{w}", self.crop));
        }
        if !(0.0..1.0).contains(&self.scale) {
            return fail(format!("the scale must be at least 0 and below 1, got {}", self.scale));
        }
        for (what, amount) in [("contrast", self.contrast), ("brightness", self.brightness)] {
            if !(0.0..=1.0).contains(&amount) {
                return fail(format!("the {what} must lie in 0..=1, got {amount}"));
            }
        }
        Ok(vec![Spec::f32([self.batch, COLUMNS])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (step, turns) = (inputs[0].u32s()[control::STEP], inputs[1].floats());
        let [h, w] = self.image.map(|size| size as u32);
        let whole = |number: u32| T::of(f64::from(number));
        let row = |r: usize| -> [T; COLUMNS] {
            let draw = |j: usize| {
                random::random(self.seed, step, self.place(r).wrapping_mul(DRAWS as u32).wrapping_add(j as u32))
            };
            let moved = |bits: u32| whole(bits % (2 * self.crop as u32 + 1)) - whole(self.crop as u32);
            let f = if self.flip && draw(0) % 2 == 1 { -T::one() } else { T::one() };
            let turn = draw(1) as usize % (turns.len() / 2);
            let (g, s) = (turns[2 * turn], turns[2 * turn + 1]);
            let z = T::one() + T::of(self.scale) * unit(draw(2));
            let contrast = T::of(self.contrast) * unit(draw(5));
            let t = T::of(self.brightness) * unit(draw(6)) - T::of(0.5) * contrast;
            let (dy, dx, cy, cx) = (moved(draw(3)), moved(draw(4)), whole(draw(7) % h), whole(draw(8) % w));
            [z * g, f * z * s, -z * s, f * z * g, dy, dx, T::one() + contrast, t, cy, cx]
        };
        let rows = fill(self.batch, row);
        vec![fill_float(&outputs[0], |i| rows[i / COLUMNS][i % COLUMNS])]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        16 * self.batch as u64
    }
}

impl Augment {
    /// Whether pixel `at` along an axis lies in the square whose middle is `centre`.
    fn cuts<T: Real>(&self, at: usize, centre: T) -> bool {
        let (half, from) = (T::of((self.cutout / 2) as f64), T::of(at as f64) - centre);
        -half <= from && from < T::of(self.cutout as f64) - half
    }
}

impl Operator for Augment {
    fn name(&self) -> &'static str {
        "augment"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("augment", inputs, 2..=2)?;
        let [n, ..] = expect_image("augment", &inputs[0])?;
        expect_spec("augment", "the table", &inputs[1], &Spec::f32([n, COLUMNS]))?;
        if !(0.0..=1.0).contains(&self.fill) {
            return Err(Error::shape("augment", format!("the fill must lie in 0..=1, got {}", self.fill)));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, table, shape) = (inputs[0].floats(), inputs[1].floats(), &outputs[0].shape);
        let [h, w, channels] = [shape[1], shape[2], shape[3]];
        let outside = T::of(self.fill);
        let element = |index: usize| {
            let (channel, j, i) = (index % channels, index / channels % w, index / channels / w % h);
            let r = index / channels / w / h;
            let row = &table[r * COLUMNS..][..COLUMNS];
            if self.cuts(i, row[8]) && self.cuts(j, row[9]) {
                return outside;
            }
            let [mid_h, mid_w] = [h, w].map(|size| T::of((size - 1) as f64 / 2.0));
            let (v, u) = (T::of(i as f64) - mid_h, T::of(j as f64) - mid_w);
            let p = row[0] * v + row[1] * u + row[4] + mid_h;
            let q = row[2] * v + row[3] * u + row[5] + mid_w;
            let pixel = |i: f64, j: f64| {
                let inside = i >= 0.0 && i < h as f64 && j >= 0.0 && j < w as f64;
                if inside { x[((r * h + i as usize) * w + j as usize) * channels + channel] } else { outside }
            };
            let (top, left) = (p.floor(), q.floor());
            let (down, right) = (p - top, q - left);
            let line = |row: f64| {
                let pixel = |column: f64| pixel(top.wide() + row, left.wide() + column);
                between(pixel(0.0), pixel(1.0), right)
            };
            let y = row[6] * between(line(0.0), line(1.0), down) + row[7];
            // Not by min and max, which pass no NaN on.
            if y < T::zero() {
                T::zero()
            } else if y > T::one() {
                T::one()
            } else {
                y
            }
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        14 * inputs[0].len() as u64
    }
}

impl Operator for Mixup {
    fn name(&self) -> &'static str {
        "mixup"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("mixup", inputs, 4..=4)?;
        let [n, ..] = expect_image("mixup", &inputs[0])?;
        expect_spec("mixup", "labels", &inputs[1], &Spec::u32([n]))?;
        control::expect("mixup", &inputs[2])?;
        expect_float("mixup", "the table of shares", &inputs[3])?;
        if inputs[3].shape.len() != 1 || inputs[3].is_empty() {
            let problem = format!("needs a table of shares [rows], got {:?}", inputs[3].shape);
            return Err(Error::shape("mixup", problem));
        }
        Ok(vec![inputs[0].clone(), Spec::u32([n]), Spec::f32([n])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, labels, shares_of) = (inputs[0].floats(), inputs[1].u32s(), inputs[3].floats());
        let (n, step) = (labels.len(), inputs[2].u32s()[control::STEP]);
        let size = x.len() / n;
        let share = |r: usize| {
            shares_of[random::random(self.seed, step, self.first.wrapping_add(r as u32)) as usize % shares_of.len()]
        };
        let shares = fill(n, share);
        let others = fill(n, |r| labels[(r + 1) % n]);
        let element = |i: usize| {
            let other = (i / size + 1) % n * size + i % size;
            x[i] + shares[i / size] * (x[other] - x[i])
        };
        vec![fill_float(&outputs[0], element), Tensor::u32([n], others), Tensor::float([n], shares)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        3 * inputs[0].len() as u64
    }
}
