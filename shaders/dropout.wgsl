// Dropout, forward and gradient alike: the mask is drawn again from (seed, step, first + index).
//
//   y[i] = random(seed, step, first + i) >= threshold ? x[i] * scale : 0    with threshold = rate * 2^32, scale = 1 / (1 - rate)
//
// Dispatch: one invocation an element, folded (shared/grid.wgsl).
// Definition: src/ops/dropout.rs. Host: src/kernels/dropout.rs.

#import grid
#import random

struct Params {
    len: u32,
    seed: u32,
    first: u32, // place of x[0] in the whole batch
    threshold: u32,
    scale: f32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [len]
@group(0) @binding(2) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [len]

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.len {
        return;
    }
    var kept = 0.0;
    if random(params.seed, control[0], params.first + index) >= params.threshold {
        kept = x[index] * params.scale;
    }
    y[index] = kept;
}
