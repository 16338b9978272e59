use wgrad::Tensor;
use wgrad::ops::GatherBatch;

use crate::runner::{Case, case, check, control, integers};

/// `len` images in shards of these many, of random bytes.
fn gather(name: &str, op: GatherBatch, image: [usize; 3], shards: &[usize], step: u32) -> Case {
    let [h, w, c] = image;
    let mut inputs = vec![control(step, 0), integers(1, [op.len], 1000)];
    for (number, &rows) in shards.iter().enumerate() {
        let bytes = integers(2 + number as u32, [rows * h * w * c], 256).u32s().iter().map(|&b| b as u8).collect();
        inputs.push(Tensor::u8([rows, h, w, c], bytes));
    }
    case(format!("{name}, step {step}"), op, inputs)
}

#[test]
fn batches_come_out_of_the_resident_data_set() {
    let op = |batch: usize, len: usize, shuffle: Option<u32>, c: usize| GatherBatch {
        batch,
        len,
        shuffle,
        scale: [0.5, 1.0 / 255.0, 2.0, 0.1][..c].to_vec(),
        offset: [-0.5, 0.25, 1.0, -3.0][..c].to_vec(),
    };
    let mut cases = Vec::new();
    for step in [0, 1, 2, 7, 100_000] {
        cases.push(gather("grey, odd, shuffled", op(5, 23, Some(7), 1), [7, 5, 1], &[23], step));
        cases.push(gather("colour, in order", op(8, 21, None, 3), [5, 5, 3], &[21], step));
        cases.push(gather("three shards", op(9, 30, Some(3), 3), [3, 3, 3], &[11, 1, 18], step));
        cases.push(gather("four channels", op(3, 10, None, 4), [2, 3, 4], &[4, 6], step));
    }
    cases.push(gather("one image", op(1, 1, Some(1), 1), [1, 1, 1], &[1], 5));
    cases.push(gather("a batch larger than the set", op(10, 3, None, 2), [1, 3, 2], &[3], 1));
    cases.push(gather("a product past 32 bits", op(70_000, 99_991, None, 1), [1, 1, 1], &[99_991], 4_000_000_000));
    check(cases);
}

#[test]
fn more_than_four_channels_are_refused() {
    let Some(gpu) = crate::runner::gpu() else { return };
    let op = GatherBatch { batch: 1, len: 1, shuffle: None, scale: vec![1.0; 5], offset: vec![0.0; 5] };
    let inputs = [control(0, 0), Tensor::u32([1], vec![0]), Tensor::u8([1, 1, 1, 5], vec![0; 5])];
    let error = wgrad::session::gpu::run_node(&gpu, &op.into(), &inputs, wgrad::kernels::BASELINE).unwrap_err();
    assert!(error.to_string().contains("at most 4 channels"), "{error}");
}
