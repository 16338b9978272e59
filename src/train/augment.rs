//! Augmentation of a training run: what is asked for, and the nodes that do it between the gathering of a batch and the network.
//!
//! The operators are those of [`crate::ops::augment`]. Everything is drawn on the device from (seed, step, place in the batch),
//! so the same seed sees the same images, on every device.

use serde::{Deserialize, Serialize};

use super::program::Mixed;
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::ops::{self, random};

/// How the images of a training run are changed, anew in each step; the default changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Augmentation {
    /// Pixels by which an image is moved at most, along each axis.
    #[serde(skip_serializing_if = "is_none")]
    pub crop: u64,
    /// Whether half of the images are mirrored, left to right.
    #[serde(skip_serializing_if = "is_none")]
    pub flip: bool,
    /// Degrees by which an image is turned at most, in either direction.
    #[serde(skip_serializing_if = "is_none")]
    pub rotate: f64,
    /// Share by which the distance between two pixels grows or shrinks at most.
    #[serde(skip_serializing_if = "is_none")]
    pub scale: f64,
    /// What is added to every pixel or taken from it at most; black is 0 and white is 1.
    #[serde(skip_serializing_if = "is_none")]
    pub brightness: f64,
    /// Share by which differences to middle grey grow or shrink at most.
    #[serde(skip_serializing_if = "is_none")]
    pub contrast: f64,
    /// Side of the square that is cut out of each image, in pixels.
    #[serde(skip_serializing_if = "is_none")]
    pub cutout: u64,
    /// What stands outside of an image and in the square, from 0, black, to 1, white.
    #[serde(skip_serializing_if = "is_none")]
    pub fill: f64,
    /// α of the distribution Beta(α, α) that the shares of two mixed images are drawn from. Images are mixed within a micro-batch.
    #[serde(skip_serializing_if = "is_none")]
    pub mixup: f64,
}

/// Whether a field stands at its default.
fn is_none<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The largest angle: half a turn in either direction is every direction.
pub const MOST_DEGREES: u32 = 180;
/// The largest α: beyond it, every image is half of two.
pub const MOST_ALPHA: u32 = 100;
/// Angles that may be drawn.
const TURNS: usize = 4096;
/// Shares that may be drawn.
const SHARES: usize = 1024;
/// The streams of random numbers, apart from those of dropout, which are numbered from 0.
const VIEWS: u32 = 0x7669_6577;
const MIXTURES: u32 = 0x6d69_7875;

impl Augmentation {
    /// Whether nothing is changed.
    pub fn is_off(&self) -> bool {
        Self { fill: 0.0, ..*self } == Self::default()
    }

    /// Reads `crop:4,flip,rotate:10`; `none` changes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one sentence.
    pub fn parse(text: &str) -> Result<Self> {
        let mut wanted = Self::default();
        if text == "none" {
            return Ok(wanted);
        }
        for part in text.split(',') {
            wanted.set(part).map_err(|()| {
                Error::Invalid(format!(
                    "`{part}` is no augmentation; write some of crop:PIXELS, flip, rotate:DEGREES, scale:SHARE, \
                     brightness:AMOUNT, contrast:SHARE, cutout:PIXELS, mixup:ALPHA and fill:LEVEL, with commas between, or none"
                ))
            })?;
        }
        wanted.check_ranges()?;
        Ok(wanted)
    }

    fn set(&mut self, part: &str) -> std::result::Result<(), ()> {
        if part == "flip" {
            self.flip = true;
            return Ok(());
        }
        let (name, value) = part.split_once(':').ok_or(())?;
        let number = || value.parse::<f64>().map_err(drop);
        let whole = || value.parse::<u64>().map_err(drop);
        match name {
            "crop" => self.crop = whole()?,
            "rotate" => self.rotate = number()?,
            "scale" => self.scale = number()?,
            "brightness" => self.brightness = number()?,
            "contrast" => self.contrast = number()?,
            "cutout" => self.cutout = whole()?,
            "mixup" => self.mixup = number()?,
            "fill" => self.fill = number()?,
            _ => return Err(()),
        }
        Ok(())
    }

    /// The numbers that do not depend on the images.
    fn check_ranges(&self) -> Result<()> {
        for (name, value, most) in [
            ("rotate", self.rotate, MOST_DEGREES.into()),
            ("brightness", self.brightness, 1.0),
            ("contrast", self.contrast, 1.0),
            ("fill", self.fill, 1.0),
            ("mixup", self.mixup, MOST_ALPHA.into()),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(Error::Invalid(format!(
                    "augmentation: `{name}` must be a number from 0 to {most}, not {value}"
                )));
            }
        }
        if !(0.0..1.0).contains(&self.scale) {
            let problem = format!("augmentation: `scale` must be a number from 0, below 1, not {}", self.scale);
            return Err(Error::Invalid(problem));
        }
        Ok(())
    }

    /// Whether images `[h, w, c]` can be changed so.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one sentence.
    pub fn check(&self, [h, w, _]: [usize; 3]) -> Result<()> {
        self.check_ranges()?;
        let side = h.min(w) as u64;
        let fail = |problem: String| Err(Error::Invalid(format!("augmentation: {problem}")));
        if self.crop >= side {
            return fail(format!(
                "`crop` {} would move images of {h}×{w} out of sight; it must be below {side}",
                self.crop
            ));
        }
        if self.cutout > side {
            return fail(format!("a `cutout` of {} pixels is larger than images of {h}×{w}", self.cutout));
        }
        Ok(())
    }

    /// In words, in the order in which it is done; `nothing` where nothing is.
    pub fn describe(&self) -> String {
        let pixels = |count: u64| if count == 1 { "1 pixel".to_owned() } else { format!("{count} pixels") };
        let outside = match (self.crop > 0 || self.rotate > 0.0 || self.scale > 0.0, self.cutout > 0) {
            (false, false) => None,
            _ if self.fill == 0.0 => Some("black where nothing is left".to_owned()),
            _ => Some(format!("{} of white where nothing is left", self.fill)),
        };
        let parts = [
            (self.crop > 0).then(|| format!("moved by up to {}", pixels(self.crop))),
            (self.rotate > 0.0).then(|| format!("turned by up to {}°", self.rotate)),
            (self.scale > 0.0)
                .then(|| format!("scaled by {:.2} to {:.2}", 1.0 / (1.0 + self.scale), 1.0 / (1.0 - self.scale))),
            self.flip.then(|| "flipped by chance".to_owned()),
            (self.contrast > 0.0).then(|| format!("contrast {} to {}", 1.0 - self.contrast, 1.0 + self.contrast)),
            (self.brightness > 0.0).then(|| format!("brightness ±{}", self.brightness)),
            (self.cutout > 0).then(|| format!("a square of {} cut out", pixels(self.cutout))),
            outside,
            (self.mixup > 0.0).then(|| format!("mixed in pairs by Beta({0}, {0})", self.mixup)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(" · ") }
    }

    /// Adds the nodes that change a batch, or the part of one that begins with its image number `first`; answers the images, and what they are mixed with.
    pub(super) fn apply(
        &self,
        g: &mut Graph,
        (seed, first): (u32, usize),
        [control, images, labels]: [ValueId; 3],
    ) -> Result<(ValueId, Option<Mixed>)> {
        let [batch, h, w, c] = <[usize; 4]>::try_from(g.spec(images).shape.clone())
            .map_err(|shape| Error::Invalid(format!("images of shape {shape:?} cannot be augmented")))?;
        self.check([h, w, c])?;
        let stream = |number: u32| random::pcg(seed ^ random::pcg(number));
        let mut images = images;
        if !(Self { mixup: 0.0, ..*self }).is_off() {
            let draw = ops::AugmentDraw {
                batch,
                image: [h, w],
                seed: stream(VIEWS),
                first: first as u32,
                flip: self.flip,
                crop: self.crop as usize,
                scale: self.scale,
                contrast: self.contrast,
                brightness: self.brightness,
            };
            let turns = turns(self.rotate);
            let turns = g.constant("augment.turns", [turns.len() / 2, 2], turns);
            let table = g.apply1("augment.draw", draw, &[control, turns])?;
            let augment = ops::Augment { cutout: self.cutout as usize, fill: self.fill };
            images = g.apply1("augment", augment, &[images, table])?;
        }
        if self.mixup == 0.0 {
            return Ok((images, None));
        }
        let shares = shares(self.mixup);
        let shares = g.constant("mixup.shares", [shares.len()], shares);
        let mixed = g.apply(
            "mixup",
            ops::Mixup { seed: stream(MIXTURES), first: first as u32 },
            &[images, labels, control, shares],
        )?;
        Ok((mixed[0], Some(Mixed { others: mixed[1], shares: mixed[2] })))
    }
}

/// Cosine and sine of angles that are spread evenly from −`degrees` to `degrees`.
fn turns(degrees: f64) -> Vec<f32> {
    if degrees == 0.0 {
        return vec![1.0, 0.0];
    }
    let angle = |i: usize| degrees.to_radians() * ((2 * i + 1) as f64 / TURNS as f64 - 1.0);
    (0..TURNS).map(angle).flat_map(|angle| [angle.cos() as f32, angle.sin() as f32]).collect()
}

/// The share of the other image: of Beta(α, α), given that it is at most ½, the quantiles in the middle of so many equal parts.
///
/// The density t^(α−1)·(1−t)^(α−1) is summed up over s from 0 to 1. With α ≥ 1, t = s/2; below, t = s^(1/α)/2, which takes its
/// pole at 0 away: t^(α−1)·dt is then a constant.
fn shares(alpha: f64) -> Vec<f32> {
    const PARTS: usize = 1 << 16;
    let place = |s: f64| 0.5 * if alpha < 1.0 { s.powf(1.0 / alpha) } else { s };
    let density = |s: f64| {
        let t = place(s);
        // Times a constant, so that it is 1 for t = ½.
        if alpha < 1.0 { (2.0 - 2.0 * t).powf(alpha - 1.0) } else { (4.0 * t * (1.0 - t)).powf(alpha - 1.0) }
    };
    let mut sums = vec![0.0; PARTS + 1];
    for part in 0..PARTS {
        sums[part + 1] = sums[part] + density((part as f64 + 0.5) / PARTS as f64);
    }
    let (mut part, total) = (0, sums[PARTS]);
    let quantile = |k: usize| {
        let wanted = total * (k as f64 + 0.5) / SHARES as f64;
        while sums[part + 1] < wanted {
            part += 1;
        }
        let within = (wanted - sums[part]) / (sums[part + 1] - sums[part]);
        place((part as f64 + within) / PARTS as f64) as f32
    };
    (0..SHARES).map(quantile).collect()
}

#[cfg(test)]
#[path = "augment_tests.rs"]
mod tests;
