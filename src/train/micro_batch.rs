//! Micro-batches: a step whose batch is computed in parts, one after the other, because it is too large for the device or because
//! somebody asks for it.
//!
//! ```text
//! loss = Σ_i n_i/n · loss_i        gradient = Σ_i n_i/n · gradient_i        for parts of n_i of the n images of a batch
//! ```
//! That is the loss and the gradient of the whole batch, exactly in real arithmetic, unless an image's output depends on the other
//! images beside it, as it does behind batch normalisation: that takes its statistics from a micro-batch at a time.

use std::ops::Range;

use super::config::TrainConfig;
use super::program::{self, Resident};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::{Layer, Layout, Network};
use crate::session::Device;

/// The most micro-batches of a step: their gradients are added up one by one, which costs digits.
pub const MOST: usize = 256;

/// The rows of each micro-batch of `batch` images: as few as hold at most `most` images each, of sizes that differ by one at most.
pub fn micro_batches(batch: usize, most: Option<usize>) -> Vec<Range<usize>> {
    let count = batch.div_ceil(most.unwrap_or(batch).max(1)).max(1);
    (0..count).map(|number| number * batch / count..(number + 1) * batch / count).collect()
}

/// The configuration with so many images at a time.
fn settled(config: &TrainConfig, most: usize) -> TrainConfig {
    TrainConfig { micro_batch: (most < config.batch).then_some(most), ..config.clone() }
}

/// Whether a device can bind what a graph holds; what keeps it from being made but for its size is an error of its own.
fn bindable(device: &Device, graph: Result<Graph>) -> Result<Result<()>> {
    match graph {
        Ok(graph) => Ok(device.fits(&graph)),
        // Tensors of 2^31 elements are refused when the graph is built.
        Err(error @ Error::Shape { .. }) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// The configuration with as few micro-batches as it asks for and as the device can bind.
///
/// # Errors
/// [`Error::Device`] where not even one image at a time fits, or only more than [`MOST`] parts would.
pub fn fitting(
    device: &Device,
    (network, layout): (&Network, &Layout),
    data: &Resident,
    config: &TrainConfig,
) -> Result<TrainConfig> {
    let fits = |images: usize| -> Result<Result<()>> {
        let part = TrainConfig { batch: images, micro_batch: None, ..config.clone() };
        let graph = program::train(network, layout, data, &part).and_then(|graph| device.fuse(graph, &config.no_fuse));
        bindable(device, graph.map(|(graph, _)| graph))
    };
    let images = |count: usize| config.batch.div_ceil(count);
    let (mut low, most) = (micro_batches(config.batch, config.micro_batch).len(), MOST.min(config.batch.max(1)));
    if fits(images(low))?.is_ok() {
        return Ok(settled(config, images(low)));
    }
    if let Err(problem) = fits(images(most))? {
        let parts = if most == config.batch { "one image at a time".into() } else { format!("{most} parts") };
        let advice = if most == config.batch { "smaller images or layers" } else { "a smaller batch" };
        return Err(Error::Device(format!(
            "a step does not fit {}, not even in {parts}: {problem}; use {advice}",
            device.name()
        )));
    }
    let mut high = most;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(images(middle))?.is_ok() { high = middle } else { low = middle }
    }
    Ok(settled(config, images(high)))
}

/// What `make` makes, with twice as many micro-batches as often as the device has too little memory for it.
pub fn within_memory<T>(config: &TrainConfig, make: impl Fn(&TrainConfig) -> Result<T>) -> Result<T> {
    let mut config = config.clone();
    loop {
        let parts = 2 * micro_batches(config.batch, config.micro_batch).len();
        match make(&config) {
            Err(Error::Memory(problem)) if parts <= MOST.min(config.batch) => {
                config = settled(&config, config.batch.div_ceil(parts));
                tracing::warn!("{problem}; trying {} images at a time", config.batch.div_ceil(parts));
            }
            made => return made,
        }
    }
}

/// The largest batch of at most `most` images whose graph a device can bind; `graph` makes it.
///
/// # Errors
/// Why one image does not fit.
pub fn largest(device: &Device, most: usize, graph: impl Fn(usize) -> Result<Graph>) -> Result<usize> {
    let mut images = most;
    loop {
        match bindable(device, graph(images))? {
            Ok(()) => return Ok(images),
            Err(problem) if images <= 1 => {
                let device = device.name();
                return Err(Error::Device(format!("one image at a time does not fit {device}: {problem}")));
            }
            Err(_) => images = images.div_ceil(2),
        }
    }
}

/// The first layer, if there is one, that gives an image another output beside other images.
pub fn depends_on_the_batch(network: &Network) -> bool {
    network.layers.iter().any(|named| matches!(named.layer, Layer::BatchNorm2d { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_batches_are_few_and_even_and_leave_out_no_row() {
        assert_eq!(micro_batches(64, None), std::slice::from_ref(&(0..64)));
        assert_eq!(micro_batches(64, Some(100)), std::slice::from_ref(&(0..64)));
        assert_eq!(micro_batches(64, Some(24)), [0..21, 21..42, 42..64]);
        assert_eq!(micro_batches(10, Some(1)).len(), 10);
        for (batch, most) in [(7, 3), (250, 64), (1, 1), (33, 32)] {
            let parts = micro_batches(batch, Some(most));
            assert!(parts.iter().all(|part| (1..=most).contains(&part.len())));
            assert_eq!(parts.iter().cloned().flatten().collect::<Vec<_>>(), (0..batch).collect::<Vec<_>>());
        }
    }
}
