/// `control`, `labels [len]` (u32), then the images in shards `[rows, h, w, c]` (u8) that together hold `len` images →
/// `x [batch,h,w,c]` = byte · scale + offset, `y [batch]` (u32): the batch of the current step.
///
/// With `shuffle`, image `(step % per_epoch)·batch + r` of epoch `step / per_epoch` in the order of
/// [`crate::ops::random::permute`]; without, image `(step·batch + r) % len`.
#[derive(Debug, Clone, PartialEq)]
pub struct GatherBatch {
    /// Images a batch.
    pub batch: usize,
    /// Images in all shards.
    pub len: usize,
    /// Seed of the order, or `None` for the order of the data set.
    pub shuffle: Option<u32>,
    /// Factor of each channel.
    pub scale: Vec<f32>,
    /// Summand of each channel.
    pub offset: Vec<f32>,
}
