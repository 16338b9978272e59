// The batch of the current step out of a data set that lives on the device, baseline.
//
//   x[r,h,w,c] = image[i][h,w,c] * scale[c] + offset[c], y[r] = labels[i]   for the images i of one shard, where
//   i = permute(seed, step / per_epoch, (step % per_epoch) * batch + first_row + r, len),
//       or (step * batch + first_row + r) % len
//
//   gather        for images of any size
//   gather_words  for images whose size four divides
//
// Dispatch: as many workgroups a row as `parts` says, once a shard; folded (shared/grid.wgsl). Each looks for its image itself.
// Definition: src/ops/batch.rs. Host: src/kernels/batch.rs.

#import grid
#import random

struct Params {
    batch: u32, // images of a step
    taken: u32, // those of them that are gathered
    first_row: u32, // place of the first of these in the batch
    len: u32, // images in all shards
    shuffle: u32,
    seed: u32,
    size: u32, // bytes of an image
    c: u32,
    first: u32, // the shard's first image
    rows: u32, // the shard's images
    parts: u32, // workgroups of a row
    scale0: f32,
    scale1: f32,
    scale2: f32,
    scale3: f32,
    offset0: f32,
    offset1: f32,
    offset2: f32,
    offset3: f32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [len]
@group(0) @binding(3) var<storage, read_write> y: array<u32>; // [taken]
@group(0) @binding(4) var<storage, read> shard: array<u32>; // [rows, h, w, c], four bytes a word
@group(0) @binding(5) var<storage, read_write> x: array<f32>; // [taken, h, w, c]
@group(0) @binding(6) var<storage, read_write> fours: array<vec4<f32>>; // [taken, h, w, c] too

// a * b % m for a < m < 2^31, where a * b may not fit 32 bits: doubling and adding, bit by bit.
fn multiply_modulo(a: u32, b: u32, m: u32) -> u32 {
    var sum = 0u;
    var term = a;
    for (var rest = b; rest > 0u; rest >>= 1u) {
        if (rest & 1u) == 1u {
            sum = (sum + term) % m;
        }
        term = term * 2u % m;
    }
    return sum;
}

// The image of a row of the batch.
fn pick(row: u32) -> u32 {
    let step = control[0];
    let place = params.first_row + row;
    if params.shuffle != 0u {
        let per_epoch = params.len / params.batch;
        return permute(params.seed, step / per_epoch, step % per_epoch * params.batch + place, params.len);
    }
    return (multiply_modulo(step % params.len, params.batch, params.len) + place % params.len) % params.len;
}

// Where the image of a row lies in the shard, below `rows` if it does; then the `first` invocation of the row writes its label.
fn find(row: u32, first: bool) -> u32 {
    let picked = pick(row);
    // Wraps below zero to a large number for images of earlier shards.
    let image = picked - params.first;
    if first & (image < params.rows) {
        y[row] = labels[picked];
    }
    return image;
}

// A byte of channel c as a number.
fn normalised(byte: u32, c: u32) -> f32 {
    let scale = select(select(params.scale0, params.scale1, c == 1u), select(params.scale2, params.scale3, c == 3u), c > 1u);
    let offset = select(select(params.offset0, params.offset1, c == 1u), select(params.offset2, params.offset3, c == 3u), c > 1u);
    return f32(byte) * scale + offset;
}

@compute @workgroup_size(WORKGROUP)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_group(group, groups);
    let row = index / params.parts;
    if row >= params.taken {
        return;
    }
    let part = index % params.parts;
    let image = find(row, (part == 0u) & (lane == 0u));
    if image >= params.rows {
        return;
    }
    for (var i = part * WORKGROUP + lane; i < params.size; i += params.parts * WORKGROUP) {
        let at = image * params.size + i;
        let byte = (shard[at / 4u] >> (at % 4u * 8u)) & 0xffu;
        x[row * params.size + i] = normalised(byte, i % params.c);
    }
}

@compute @workgroup_size(WORKGROUP)
fn gather_words(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_group(group, groups);
    let row = index / params.parts;
    if row >= params.taken {
        return;
    }
    let part = index % params.parts;
    let image = find(row, (part == 0u) & (lane == 0u));
    if image >= params.rows {
        return;
    }
    let words = params.size / 4u;
    for (var i = part * WORKGROUP + lane; i < words; i += params.parts * WORKGROUP) {
        let word = shard[image * words + i];
        let c = i * 4u % params.c;
        let low = vec2<f32>(normalised(word & 0xffu, c), normalised((word >> 8u) & 0xffu, (c + 1u) % params.c));
        let high = vec2<f32>(normalised((word >> 16u) & 0xffu, (c + 2u) % params.c), normalised(word >> 24u, (c + 3u) % params.c));
        fours[row * words + i] = vec4<f32>(low, high);
    }
}
