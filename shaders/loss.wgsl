// Losses and their gradients, baseline.
//
//   cross_entropy       row_loss[n] = (1-s) * (L - z_label) + s/k * sum_j (L - z_j)    with L = m + ln sum_j e^(z_j - m), m = max_j z_j
//   cross_entropy_grad  dlogits[n,j] = dloss / n * (p_j - (1-s) * [j = label] - s/k)   with p = softmax(z)
//                       where mixed, a label's share is (1 - shares[n]) of labels[n] and shares[n] of others[n], in the place of 1
//   cross_entropy_and_grad  both of them
//   square_part         part[s] = sum over the elements of split s of (x - target)^2
//   mean                loss[0] = sum_s part[s] / count
//   mse_grad            dx[i] = dloss * 2 / len * (x[i] - target[i])
//
// The largest term of a sum of exponentials is 1 exactly and stays out of it, so that a row whose loss is almost 0 keeps
// its digits.
// Dispatch: one invocation a row (cross_entropy and its gradient), a split (square_part) or an element (mse_grad),
// folded (shared/grid.wgsl); one workgroup in all (mean). Split s takes the elements s, s + splits, s + 2 splits ...
// Definition: src/ops/loss.rs. Host: src/kernels/loss.rs.

#import grid
#import finite
#import exponential
#import split_sum
#import cross_entropy

struct Params {
    len: u32, // elements of x
    rows: u32, // n
    k: u32, // classes
    splits: u32,
    smoothing: f32, // s
    rest: f32, // 1 - s
    even: f32, // s / k
    count: f32, // what the mean divides by
    mixed: u32, // whether a row has two labels
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [rows, k]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read> part: array<f32>; // [splits]
@group(0) @binding(5) var<storage, read_write> loss: array<f32>; // [1]
@group(0) @binding(6) var<storage, read> dloss: array<f32>; // [1]
@group(0) @binding(7) var<storage, read_write> dlogits: array<f32>; // [rows, k]
@group(0) @binding(8) var<storage, read> x: array<f32>; // [len]
@group(0) @binding(9) var<storage, read> goal: array<f32>; // [len], the target
@group(0) @binding(10) var<storage, read_write> part_out: array<f32>; // [splits]
@group(0) @binding(11) var<storage, read_write> dx: array<f32>; // [len]
@group(0) @binding(12) var<storage, read> others: array<u32>; // [rows], read where mixed
@group(0) @binding(13) var<storage, read> shares: array<f32>; // [rows], read where mixed

// The share of the other label of a row.
fn other_share(row: u32) -> f32 {
    var share = 0.0;
    if params.mixed != 0u {
        share = shares[row];
    }
    return share;
}

// The other label of a row.
fn other_label(row: u32) -> u32 {
    return others[row];
}

// The logit of class j in a row.
fn logit(row: u32, j: u32) -> f32 {
    return logits[row * params.k + j];
}

@compute @workgroup_size(WORKGROUP)
fn cross_entropy(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row >= params.rows {
        return;
    }
    row_loss[row] = loss_of(row, normaliser(row));
}

@compute @workgroup_size(WORKGROUP)
fn cross_entropy_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row >= params.rows {
        return;
    }
    store_gradient(row, normaliser(row), 0u, 1u);
}

@compute @workgroup_size(WORKGROUP)
fn cross_entropy_and_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row >= params.rows {
        return;
    }
    let norm = normaliser(row);
    row_loss[row] = loss_of(row, norm);
    store_gradient(row, norm, 0u, 1u);
}

@compute @workgroup_size(WORKGROUP)
fn square_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let split = linear_index(group, groups, lane, WORKGROUP);
    if split >= params.splits {
        return;
    }
    var total = 0.0;
    for (var start = split; start < params.len; start += BLOCK * params.splits) {
        var sum = 0.0;
        let stop = min(start + BLOCK * params.splits, params.len);
        for (var i = start; i < stop; i += params.splits) {
            let d = x[i] - goal[i];
            sum += d * d;
        }
        total += sum;
    }
    part_out[split] = total;
}

@compute @workgroup_size(WORKGROUP)
fn mean(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u {
        loss[0] = split_sum(0u, 1u, params.splits) / params.count;
    }
}

@compute @workgroup_size(WORKGROUP)
fn mse_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.len {
        dx[index] = dloss[0] * (2.0 / params.count) * (x[index] - goal[index]);
    }
}
