// Batch normalisation, baseline. Rows are the pixels of all images.
//
//   shift_part   part[s,c] = sum over the rows of split s of x[row,c] - pivot[c]    with pivot[c] = x[0,c]
//   mean_finish  mean[0,c] = pivot[c], mean[1,c] = offset[c] = sum_s part[s,c] / rows
//   square_part  part[s,c] = sum over the rows of split s of ((x[row,c] - pivot[c]) - offset[c])^2
//   rstd_finish  var = sum_s part[s,c] / rows, rstd[c] = 1 / sqrt(var + eps), var_unbiased[c] = var * rows / (rows - 1) (rows > 1)
//   forward      y[row,c] = f(((x - pivot) - offset) * rstd * weight + bias), f an activation, or nothing (shared/activate.wgsl)
//   grad_part    part_w[s,c] = sum over the rows of split s of dy * xhat, part_b[s,c] = sum of dy
//                (the splits are added in order by `shaders/reduce.wgsl`: they are dweight and dbias)
//   grad         dx = weight * rstd * (dy - dbias / rows - xhat * dweight / rows)
//   eval         y  = (x - running_mean) / sqrt(running_var + eps) * weight + bias
//   eval_grad    dx = dy * weight / sqrt(running_var + eps); eval_grad_part as grad_part
//   running      r  = (1 - momentum) * r + momentum * batch, unless the control flag is set
//
// The pivot keeps the digits where the mean is far from zero.
// Dispatch: one invocation an element of the output, or EACH of an image, folded (shared/grid.wgsl).
// Definition: src/ops/batch_norm2d.rs. Host: src/kernels/batch_norm2d.rs.

#import grid
#import activate
#import split_sum

struct Params {
    rows: u32, // n * h * w
    c: u32,
    splits: u32,
    rows_per_split: u32,
    eps: f32,
    momentum: f32,
    rest: f32, // 1 - momentum
    slope: f32, // of the activation
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, c]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [c]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>; // [2, c]: pivot, offset
@group(0) @binding(5) var<storage, read> rstd: array<f32>; // [c]
@group(0) @binding(6) var<storage, read> dy: array<f32>; // [rows, c]
@group(0) @binding(7) var<storage, read_write> y: array<f32>; // [rows, c]; dx in the gradients
@group(0) @binding(8) var<storage, read> part: array<f32>; // [splits, c]
@group(0) @binding(9) var<storage, read_write> part_out: array<f32>; // [splits, c]
@group(0) @binding(10) var<storage, read_write> mean_out: array<f32>; // [2, c]
@group(0) @binding(11) var<storage, read_write> rstd_out: array<f32>; // [c]
@group(0) @binding(12) var<storage, read_write> var_unbiased: array<f32>; // [c]
@group(0) @binding(13) var<storage, read_write> part_w: array<f32>; // [splits, c]
@group(0) @binding(14) var<storage, read_write> part_b: array<f32>; // [splits, c]
@group(0) @binding(15) var<storage, read> dweight: array<f32>; // [c]
@group(0) @binding(16) var<storage, read> dbias: array<f32>; // [c]
@group(0) @binding(17) var<storage, read> running_mean: array<f32>; // [c]
@group(0) @binding(18) var<storage, read> running_var: array<f32>; // [c]
@group(0) @binding(19) var<storage, read_write> running_mean_out: array<f32>; // [c]
@group(0) @binding(20) var<storage, read_write> running_var_out: array<f32>; // [c]
@group(0) @binding(21) var<storage, read> batch_var: array<f32>; // [c], unbiased
@group(0) @binding(22) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0

// Rows of the split that computes element `index` of a partial sum.
fn first_row(index: u32) -> u32 {
    return index / params.c * params.rows_per_split;
}

fn end_row(index: u32) -> u32 {
    return min(first_row(index) + params.rows_per_split, params.rows);
}

@compute @workgroup_size(WORKGROUP)
fn shift_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.c {
        return;
    }
    let c = index % params.c;
    let pivot = x[c];
    let end = end_row(index);
    var total = 0.0;
    for (var start = first_row(index); start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum = 0.0;
        for (var row = start; row < stop; row++) {
            sum += x[row * params.c + c] - pivot;
        }
        total += sum;
    }
    part_out[index] = total;
}

@compute @workgroup_size(WORKGROUP)
fn mean_finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = linear_index(group, groups, lane, WORKGROUP);
    if c >= params.c {
        return;
    }
    mean_out[c] = x[c];
    mean_out[params.c + c] = split_sum(c, params.c, params.splits) / f32(params.rows);
}

@compute @workgroup_size(WORKGROUP)
fn square_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.c {
        return;
    }
    let c = index % params.c;
    let pivot = mean[c];
    let offset = mean[params.c + c];
    let end = end_row(index);
    var total = 0.0;
    for (var start = first_row(index); start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum = 0.0;
        for (var row = start; row < stop; row++) {
            let centred = (x[row * params.c + c] - pivot) - offset;
            sum += centred * centred;
        }
        total += sum;
    }
    part_out[index] = total;
}

@compute @workgroup_size(WORKGROUP)
fn rstd_finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = linear_index(group, groups, lane, WORKGROUP);
    if c >= params.c {
        return;
    }
    let squares = split_sum(c, params.c, params.splits);
    rstd_out[c] = 1.0 / sqrt(squares / f32(params.rows) + params.eps);
    var_unbiased[c] = squares / f32(params.rows - 1u);
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.rows * params.c {
            let c = index % params.c;
            y[index] = activate(((x[index] - mean[c]) - mean[params.c + c]) * (rstd[c] * weight[c]) + bias[c], params.slope);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn grad_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.c {
        return;
    }
    let c = index % params.c;
    grad_sums(index, mean[c], mean[params.c + c], rstd[c]);
}

@compute @workgroup_size(WORKGROUP)
fn eval_grad_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.c {
        return;
    }
    let c = index % params.c;
    grad_sums(index, running_mean[c], 0.0, 1.0 / sqrt(running_var[c] + params.eps));
}

// Element `index` of part_w and part_b, for a channel with this mean and reciprocal deviation.
fn grad_sums(index: u32, pivot: f32, offset: f32, scale: f32) {
    let c = index % params.c;
    let end = end_row(index);
    var total_w = 0.0;
    var total_b = 0.0;
    for (var start = first_row(index); start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum_w = 0.0;
        var sum_b = 0.0;
        for (var row = start; row < stop; row++) {
            let upstream = dy[row * params.c + c];
            sum_w += upstream * ((x[row * params.c + c] - pivot) - offset);
            sum_b += upstream;
        }
        total_w += sum_w;
        total_b += sum_b;
    }
    part_w[index] = total_w * scale;
    part_b[index] = total_b;
}

@compute @workgroup_size(WORKGROUP)
fn grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.rows * params.c {
            let c = index % params.c;
            let scale = rstd[c];
            let rows = f32(params.rows);
            let xhat = ((x[index] - mean[c]) - mean[params.c + c]) * scale;
            y[index] = weight[c] * scale * (dy[index] - dbias[c] / rows - xhat * (dweight[c] / rows));
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn eval(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.rows * params.c {
            let c = index % params.c;
            y[index] = (x[index] - running_mean[c]) / sqrt(running_var[c] + params.eps) * weight[c] + bias[c];
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn eval_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.rows * params.c {
            let c = index % params.c;
            y[index] = dy[index] * weight[c] / sqrt(running_var[c] + params.eps);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn running(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = linear_index(group, groups, lane, WORKGROUP);
    if c >= params.c || control[1] != 0u {
        return;
    }
    running_mean_out[c] = params.rest * running_mean_out[c] + params.momentum * (mean[c] + mean[params.c + c]);
    running_var_out[c] = params.rest * running_var_out[c] + params.momentum * batch_var[c];
}
