use wgrad::Tensor;
use wgrad::kernels::BASELINE;
use wgrad::ops::GatherBatch;
use wgrad::session::gpu::run_node;
use wgrad::verify::case::control;

use crate::runner::{gpu, sweep};

#[test]
fn the_sweep() {
    sweep("batch");
}

#[test]
fn more_than_four_channels_are_refused() {
    let Some(gpu) = gpu() else { return };
    let op = GatherBatch { batch: 1, rows: 0..1, len: 1, shuffle: None, scale: vec![1.0; 5], offset: vec![0.0; 5] };
    let control = control(0, 0).draw(0).unwrap();
    let inputs = [control, Tensor::u32([1], vec![0]), Tensor::u8([1, 1, 1, 5], vec![0; 5])];
    let error = run_node(&gpu, &op.into(), &inputs, BASELINE).unwrap_err();
    assert!(error.to_string().contains("at most 4 channels"), "{error}");
}
