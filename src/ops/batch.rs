//! The batch of a step, gathered on the device from a data set that lives there as bytes.
//!
//! ```text
//! x[r,i,j,c] = image[pick(step, r)][i,j,c] · scale[c] + offset[c]        y[r] = labels[pick(step, r)]
//! pick(step, r) = permute(seed, step / per_epoch, (step % per_epoch)·batch + r, len)    per_epoch = len / batch
//!               = (step·batch + r) % len                                               without shuffling
//! ```
//! for the rows r of the batch that are asked for: all, or those of a micro-batch. A shuffled epoch drops the len % batch images that are left over; the next epoch has another order.

use std::ops::Range;

use super::{Operator, Real, control, expect_spec, fill, fill_float, random};
use crate::error::{Error, Result};
use crate::tensor::{DType, Spec, Tensor};

/// `control`, `labels [len]` (u32), then the images in shards `[rows, h, w, c]` (u8) that together hold `len` images →
/// `x [rows,h,w,c]` = byte · scale + offset, `y [rows]` (u32): rows of the batch of the current step.
///
/// With `shuffle`, row r is image `(step % per_epoch)·batch + r` of epoch `step / per_epoch` in the order of
/// [`crate::ops::random::permute`]; without, image `(step·batch + r) % len`.
#[derive(Debug, Clone, PartialEq)]
pub struct GatherBatch {
    /// Images a batch.
    pub batch: usize,
    /// Which of them are gathered.
    pub rows: Range<usize>,
    /// Images in all shards.
    pub len: usize,
    /// Seed of the order, or `None` for the order of the data set.
    pub shuffle: Option<u32>,
    /// Factor of each channel.
    pub scale: Vec<f32>,
    /// Summand of each channel.
    pub offset: Vec<f32>,
}

impl GatherBatch {
    /// The image that row `row` of the batch of step `step` takes.
    pub fn pick(&self, step: u32, row: usize) -> usize {
        let step = step as usize;
        let Some(seed) = self.shuffle else {
            return (step * self.batch + row) % self.len;
        };
        let per_epoch = self.len / self.batch;
        let position = step % per_epoch * self.batch + row;
        random::permute(seed, (step / per_epoch) as u32, position as u32, self.len as u32) as usize
    }
}

impl Operator for GatherBatch {
    fn name(&self) -> &'static str {
        "gather_batch"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let fail = |problem: String| Err(Error::shape("gather_batch", problem));
        let [control, labels, first, ..] = inputs else {
            return fail("needs the control value, labels and at least one shard of images".to_owned());
        };
        if self.batch == 0 || self.len == 0 {
            return fail(format!("a batch of {} images from a set of {} is empty", self.batch, self.len));
        }
        if self.rows.is_empty() || self.rows.end > self.batch {
            return fail(format!("a batch of {} images has no rows {:?}", self.batch, self.rows));
        }
        if self.shuffle.is_some() && self.batch > self.len {
            return fail(format!("a batch of {} images is larger than the set of {}", self.batch, self.len));
        }
        control::expect("gather_batch", control)?;
        expect_spec("gather_batch", "labels", labels, &Spec::u32([self.len]))?;
        let &[_, h, w, c] = first.shape.as_slice() else {
            return fail(format!("needs shards [rows, h, w, c] of bytes, got {:?}", first.shape));
        };
        let shards = &inputs[2..];
        if let Some(odd) =
            shards.iter().find(|s| s.dtype != DType::U8 || s.shape.len() != 4 || s.shape[1..] != [h, w, c])
        {
            return fail(format!(
                "each shard must hold bytes of {h}×{w}×{c} images, got {:?} of {:?}",
                odd.dtype, odd.shape
            ));
        }
        let rows: usize = shards.iter().map(|shard| shard.shape[0]).sum();
        if rows != self.len {
            return fail(format!("the shards hold {rows} images, not {}", self.len));
        }
        if self.scale.len() != c || self.offset.len() != c {
            return fail(format!(
                "needs a scale and an offset for each of {c} channels, got {} and {}",
                self.scale.len(),
                self.offset.len()
            ));
        }
        Ok(vec![Spec::f32([self.rows.len(), h, w, c]), Spec::u32([self.rows.len()])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (step, labels) = (inputs[0].u32s()[control::STEP], inputs[1].u32s());
        let image: usize = outputs[0].shape[1..].iter().product();
        let channels = self.scale.len();
        let picks = fill(self.rows.len(), |row| self.pick(step, self.rows.start + row));
        let byte = |i: usize| {
            let mut row = picks[i / image];
            for shard in &inputs[2..] {
                if row < shard.shape[0] {
                    return shard.u8s()[row * image + i % image];
                }
                row -= shard.shape[0];
            }
            0
        };
        let constant = |value: f32| T::of(f64::from(value));
        let element = |i: usize| {
            let c = i % channels;
            T::of(f64::from(byte(i))) * constant(self.scale[c]) + constant(self.offset[c])
        };
        let y = picks.iter().map(|&pick| labels[pick]).collect();
        vec![fill_float(&outputs[0], element), Tensor::u32([self.rows.len()], y)]
    }

    fn flops(&self, _inputs: &[Spec], outputs: &[Spec]) -> u64 {
        2 * outputs[0].len() as u64
    }
}
