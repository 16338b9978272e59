//! CPU and GPU draw the same random numbers: `src/ops/random.rs` and `shaders/shared/random.wgsl` are twins.

use wgrad::Tensor;
use wgrad::kernels::BASELINE;
use wgrad::ops::{Dropout, GatherBatch, random};
use wgrad::session::gpu::run_node;

use wgrad::verify::case;

use crate::runner::gpu;

fn control(step: u32) -> Tensor {
    case::control(step, 0).draw(0).unwrap()
}

#[test]
fn both_draw_the_same_numbers() {
    let Some(gpu) = gpu() else { return };
    let ones = Tensor::float([10_000], vec![1.0; 10_000]);
    for (seed, step, rate) in [(0, 0, 0.5), (1, 2, 0.25), (0x9e37_79b9, 0xffff_0000, 0.7), (u32::MAX, 65_536, 0.03)] {
        let op = Dropout { rate, seed, first: 0 };
        let y = run_node(&gpu, &op.into(), &[ones.clone(), control(step)], BASELINE).unwrap().remove(0);
        let kept: Vec<bool> = y.floats().iter().map(|&value| value != 0.0).collect();
        let wanted: Vec<bool> = (0..10_000).map(|i| random::random(seed, step, i) >= op.threshold()).collect();
        assert_eq!(kept, wanted, "seed {seed}, step {step}");
    }
}

#[test]
fn both_draw_the_same_permutation() {
    let Some(gpu) = gpu() else { return };
    for (len, seed, epoch) in
        [(1u32, 3, 0), (2, 3, 1), (3, 0, 5), (257, 9, 1), (1000, u32::MAX, 70_000), (60_000, 5, 3)]
    {
        // One batch an epoch, whose labels are the images' numbers.
        let size = len as usize;
        let op = GatherBatch {
            batch: size,
            rows: 0..size,
            len: size,
            shuffle: Some(seed),
            scale: vec![1.0],
            offset: vec![0.0],
        };
        let inputs =
            [control(epoch), Tensor::u32([size], (0..len).collect()), Tensor::u8([size, 1, 1, 1], vec![0; size])];
        let order = run_node(&gpu, &op.into(), &inputs, BASELINE).unwrap().remove(1);
        let wanted: Vec<u32> = (0..len).map(|position| random::permute(seed, epoch, position, len)).collect();
        assert_eq!(order.u32s(), wanted, "{len} images, seed {seed}, epoch {epoch}");
    }
}
