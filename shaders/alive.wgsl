// Which channels have an element that is not zero, baseline.
//
//   alive  out[s,c] = 1 where x[row,c] != 0 in a row of split s, else 0
//
// Elements are looked at by their bits: devices flush subnormals.
// Dispatch: one invocation a split and channel; folded (shared/grid.wgsl).
// Definition: src/ops/alive.rs. Host: src/kernels/alive.rs.

#import grid

struct Params {
    rows: u32,
    c: u32, // channels
    splits: u32,
    rows_per_split: u32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, c]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [splits, c]

@compute @workgroup_size(WORKGROUP)
fn alive(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.c {
        return;
    }
    let c = index % params.c;
    let first = index / params.c * params.rows_per_split;
    let end = min(first + params.rows_per_split, params.rows);
    var found = false;
    for (var row = first; row < end && !found; row++) {
        found = (bitcast<u32>(x[row * params.c + c]) & 0x7fffffffu) != 0u;
    }
    out[index] = select(0.0, 1.0, found);
}
