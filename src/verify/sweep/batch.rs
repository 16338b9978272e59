//! Batches out of a resident data set: shuffled and in order, shards, channels, steps past 32 bits.

use crate::gpu::Caps;
use crate::ops::GatherBatch;
use crate::verify::case::{Case, Depth, bytes, control, integers};

/// `len` images in shards of these many.
fn gather(name: String, op: GatherBatch, [h, w, c]: [usize; 3], shards: &[usize], step: u32) -> Case {
    let mut inputs = vec![control(step, 0), integers(1, [op.len], 1000)];
    inputs.extend(shards.iter().zip(2..).map(|(&rows, seed)| bytes(seed, [rows, h, w, c])));
    Case::new(name, op, inputs)
}

fn op(batch: usize, len: usize, shuffle: Option<u32>, c: usize) -> GatherBatch {
    GatherBatch {
        batch,
        rows: 0..batch,
        len,
        shuffle,
        scale: [0.5, 1.0 / 255.0, 2.0, 0.1][..c].to_vec(),
        offset: [-0.5, 0.25, 1.0, -3.0][..c].to_vec(),
    }
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for step in [0, 1, 2, 7, 100_000] {
        let depth = if step == 7 { Depth::Quick } else { Depth::Standard };
        let mut add = |name: &str, op: GatherBatch, image: [usize; 3], shards: &[usize]| {
            cases.push(gather(format!("{name}_step_{step}"), op, image, shards, step).at(depth));
        };
        add("grey_shuffled", op(5, 23, Some(7), 1), [7, 5, 1], &[23]);
        add("colour_in_order", op(8, 21, None, 3), [5, 5, 3], &[21]);
        add("three_shards", op(9, 30, Some(3), 3), [3, 3, 3], &[11, 1, 18]);
        add("four_channels", op(3, 10, None, 4), [2, 3, 4], &[4, 6]);
        add("words_of_grey", op(5, 23, Some(7), 1), [4, 7, 1], &[23]);
        add("words_of_colours", op(9, 30, Some(3), 3), [4, 5, 3], &[11, 1, 18]);
        add("words_of_two_channels", op(4, 9, None, 2), [3, 2, 2], &[9]);
        add("two_channels", op(4, 9, Some(1), 2), [1, 3, 2], &[9]);
    }
    let mut add = |name: &str, op: GatherBatch, image: [usize; 3], shards: &[usize], step: u32| {
        cases.push(gather(name.into(), op, image, shards, step));
    };
    add("the_seed_0", op(5, 23, Some(0), 1), [2, 2, 1], &[23], 1);
    add("one_image", op(1, 1, Some(1), 1), [1, 1, 1], &[1], 5);
    add("two_images", op(1, 2, Some(9), 1), [1, 1, 1], &[2], 1);
    for len in [3, 4, 5] {
        add(&format!("an_epoch_of_{len}"), op(len, len, Some(4), 1), [1, 1, 1], &[len], 2);
    }
    add("a_batch_larger_than_the_set", op(10, 3, None, 2), [1, 3, 2], &[3], 1);
    add("a_workgroup_of_rows", op(64, 130, Some(4), 1), [1, 1, 1], &[130], 2);
    add("above_a_workgroup_of_rows", op(65, 131, Some(5), 1), [1, 1, 1], &[131], 1);
    add("a_set_of_a_power_of_two", op(64, 64, Some(6), 1), [1, 1, 1], &[64], 3);
    add("a_whole_epoch", op(1000, 1000, Some(u32::MAX), 1), [1, 1, 1], &[1000], 70_000);
    add("a_product_past_32_bits", op(70_000, 99_991, None, 1), [1, 1, 1], &[99_991], 4_000_000_000);
    // More than a workgroup looks at once, and images that several workgroups share.
    add("large_grey", op(3, 10, Some(8), 1), [9, 9, 1], &[4, 6], 3);
    add("words_of_a_large_image", op(3, 10, Some(8), 3), [12, 23, 3], &[4, 6], 3);
    add("a_shared_image", op(3, 10, None, 1), [23, 47, 1], &[4, 6], 3);
    add("words_of_a_shared_image", op(3, 10, Some(8), 3), [30, 44, 3], &[4, 6], 3);
    // What is gathered is a part of the batch.
    for (name, rows, batch, c, shuffle) in
        [("first", 0..3, 9, 1, Some(7)), ("last", 65..130, 130, 4, Some(3)), ("middle", 4..7, 8, 3, None)]
    {
        let part = GatherBatch { rows, ..op(batch, 131, shuffle, c) };
        cases.push(gather(format!("the_{name}_rows"), part, [2, 3, c], &[100, 31], 17));
    }
    cases.push(gather("folded".into(), op(401, 1000, Some(2), 1), [1, 3, 1], &[400, 600], 1).squeezed());
    cases.push(gather("folded_words".into(), op(401, 1000, Some(2), 3), [2, 2, 3], &[400, 600], 1).squeezed());
    cases
}
