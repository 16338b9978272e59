// Sums, norms and clips over the flat buffers of a network, baseline: one element an invocation.
//
//   accumulate   values += added
//   square_part  part[s,0] = sum over the elements of split s of g^2, part[s,1] = how many of them are not finite
//   norm_finish  norm[0] = sqrt(sum_s part[s,0]), norm[1] = (sum_s part[s,1] > 0)
//   clip_norm    g *= min(1, max_norm / (norm + 1e-6)); a NaN where the norm is one
//   clip_value   w <- min(max(w, -limit), limit)
//
// clip_value writes nothing while the control flag is set. Large buffers come in several dispatches, a range each.
// Dispatch: one invocation an element or a split (square_part), folded (shared/grid.wgsl); one workgroup in all (norm_finish).
// Definition: src/ops/optimizer.rs. Host: src/kernels/optimizer.rs.

#import grid
#import norm_scale
#import elements1
#import split_sum
#import squares

struct Params {
    len: u32, // elements in this range; of square_part as many at a time as it takes
    splits: u32,
    first_split: u32, // where this range's splits begin in part
    limit: f32, // or max_norm
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
// 1: the gradient whose norm is taken
@group(0) @binding(2) var<storage, read_write> values: array<f32>; // [len]: weights, or a gradient
@group(0) @binding(3) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(4) var<storage, read_write> part_out: array<f32>; // [splits of all ranges, 2]
@group(0) @binding(5) var<storage, read> part: array<f32>; // [splits, 2]
@group(0) @binding(6) var<storage, read> norm: array<f32>; // [2]
@group(0) @binding(7) var<storage, read_write> norm_out: array<f32>; // [2]
@group(0) @binding(8) var<storage, read> added: array<f32>; // [len]

@compute @workgroup_size(WORKGROUP)
fn accumulate(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.len {
        values[index] += added[index];
    }
}

// Split s takes the elements s, s + splits, s + 2 splits ... of the range.
@compute @workgroup_size(WORKGROUP)
fn square_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let split = linear_index(group, groups, lane, WORKGROUP);
    if split >= params.splits {
        return;
    }
    let found = squares(split);
    let at = (params.first_split + split) * 2u;
    part_out[at] = found.x;
    part_out[at + 1u] = found.y;
}

@compute @workgroup_size(WORKGROUP)
fn norm_finish(@builtin(local_invocation_index) lane: u32) {
    if lane < 2u {
        let sum = split_sum(lane, 2u, params.splits);
        norm_out[lane] = select(select(0.0, 1.0, sum > 0.0), sqrt(sum), lane == 0u);
    }
}

@compute @workgroup_size(WORKGROUP)
fn clip_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.len {
        values[index] *= norm_scale(norm[0], params.limit);
    }
}

@compute @workgroup_size(WORKGROUP)
fn clip_value(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.len || control[1] != 0u {
        return;
    }
    let v = values[index];
    if v > params.limit {
        values[index] = params.limit;
    } else if v < -params.limit {
        values[index] = -params.limit;
    }
}
