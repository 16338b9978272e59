// Group normalisation (and layer normalisation: one pixel, one group), baseline. A row is a group of an image: `pixels`
// times c / groups elements.
//
//   shift_part   part[s,row] = sum over the elements of split s of x - pivot[row]    with pivot the row's first element
//   mean_finish  mean[0,row] = pivot, mean[1,row] = offset = sum_s part[s,row] / elements
//   square_part  part[s,row] = sum over the elements of split s of ((x - pivot) - offset)^2
//   rstd_finish  rstd[row] = 1 / sqrt(sum_s part[s,row] / elements + eps)
//   forward      y = xhat * weight + bias    with xhat = ((x - pivot) - offset) * rstd
//   row_part     part[s,0,row] = sum over the elements of split s of dy * weight, part[s,1,row] = sum of dy * weight * xhat
//   channel_part part_w[s,c] = sum over the pixels of split s (of all images) of dy * xhat, part_b[s,c] = sum of dy
//                (the splits are added in order by `shaders/reduce.wgsl`: sums [2,row], dweight and dbias)
//   grad         dx = rstd * (dy * weight - sums[0,row] / elements - xhat * sums[1,row] / elements), 0 in rows of one element
//
// Dispatch: one invocation an element of the output, folded (shared/grid.wgsl).
// Definition: src/ops/group_norm.rs. Host: src/kernels/group_norm.rs.

#import grid
#import split_sum

struct Params {
    n: u32,
    pixels: u32, // of an image
    c: u32,
    groups: u32,
    splits: u32,
    per_split: u32, // elements of a row, or pixels of all images
    eps: f32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, pixels, c]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [c]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>; // [2, n, groups]: pivot, offset
@group(0) @binding(5) var<storage, read> rstd: array<f32>; // [n, groups]
@group(0) @binding(6) var<storage, read> dy: array<f32>; // [n, pixels, c]
@group(0) @binding(7) var<storage, read_write> y: array<f32>; // [n, pixels, c]; dx in the gradient
@group(0) @binding(8) var<storage, read> part: array<f32>; // [splits, n, groups]
@group(0) @binding(9) var<storage, read_write> part_out: array<f32>; // [splits, n, groups] or [splits, 2, n, groups]
@group(0) @binding(10) var<storage, read_write> mean_out: array<f32>; // [2, n, groups]
@group(0) @binding(11) var<storage, read_write> rstd_out: array<f32>; // [n, groups]
@group(0) @binding(12) var<storage, read_write> part_w: array<f32>; // [splits, c]
@group(0) @binding(13) var<storage, read_write> part_b: array<f32>; // [splits, c]
@group(0) @binding(14) var<storage, read> sums: array<f32>; // [2, n, groups]

// Elements of a row.
fn elements() -> u32 {
    return params.pixels * (params.c / params.groups);
}

// Where element `e` of row `row` lies in x.
fn place(row: u32, e: u32) -> u32 {
    let width = params.c / params.groups;
    let n = row / params.groups;
    return (n * params.pixels + e / width) * params.c + row % params.groups * width + e % width;
}

// The row of the element at `index` of x.
fn row_of(index: u32) -> u32 {
    let width = params.c / params.groups;
    return index / (params.pixels * params.c) * params.groups + index % params.c / width;
}

fn normalised(index: u32, row: u32) -> f32 {
    return ((x[index] - mean[row]) - mean[params.n * params.groups + row]) * rstd[row];
}

@compute @workgroup_size(WORKGROUP)
fn shift_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let rows = params.n * params.groups;
    if index >= params.splits * rows {
        return;
    }
    let row = index % rows;
    let pivot = x[place(row, 0u)];
    let first = index / rows * params.per_split;
    let end = min(first + params.per_split, elements());
    var total = 0.0;
    for (var start = first; start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum = 0.0;
        for (var e = start; e < stop; e++) {
            sum += x[place(row, e)] - pivot;
        }
        total += sum;
    }
    part_out[index] = total;
}

@compute @workgroup_size(WORKGROUP)
fn mean_finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    let rows = params.n * params.groups;
    if row >= rows {
        return;
    }
    mean_out[row] = x[place(row, 0u)];
    mean_out[rows + row] = split_sum(row, rows, params.splits) / f32(elements());
}

@compute @workgroup_size(WORKGROUP)
fn square_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let rows = params.n * params.groups;
    if index >= params.splits * rows {
        return;
    }
    let row = index % rows;
    let pivot = mean[row];
    let offset = mean[rows + row];
    let first = index / rows * params.per_split;
    let end = min(first + params.per_split, elements());
    var total = 0.0;
    for (var start = first; start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum = 0.0;
        for (var e = start; e < stop; e++) {
            let centred = (x[place(row, e)] - pivot) - offset;
            sum += centred * centred;
        }
        total += sum;
    }
    part_out[index] = total;
}

@compute @workgroup_size(WORKGROUP)
fn rstd_finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    let rows = params.n * params.groups;
    if row >= rows {
        return;
    }
    rstd_out[row] = 1.0 / sqrt(split_sum(row, rows, params.splits) / f32(elements()) + params.eps);
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.pixels * params.c {
        return;
    }
    let c = index % params.c;
    y[index] = normalised(index, row_of(index)) * weight[c] + bias[c];
}

@compute @workgroup_size(WORKGROUP)
fn row_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let rows = params.n * params.groups;
    if index >= params.splits * rows {
        return;
    }
    let row = index % rows;
    let split = index / rows;
    let first = split * params.per_split;
    let end = min(first + params.per_split, elements());
    var total = 0.0;
    var total_hat = 0.0;
    for (var start = first; start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum = 0.0;
        var sum_hat = 0.0;
        for (var e = start; e < stop; e++) {
            let at = place(row, e);
            let weighted = dy[at] * weight[at % params.c];
            sum += weighted;
            sum_hat += weighted * normalised(at, row);
        }
        total += sum;
        total_hat += sum_hat;
    }
    part_out[split * 2u * rows + row] = total;
    part_out[(split * 2u + 1u) * rows + row] = total_hat;
}

@compute @workgroup_size(WORKGROUP)
fn channel_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.c {
        return;
    }
    let c = index % params.c;
    let first = index / params.c * params.per_split;
    let end = min(first + params.per_split, params.n * params.pixels);
    var total_w = 0.0;
    var total_b = 0.0;
    for (var start = first; start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum_w = 0.0;
        var sum_b = 0.0;
        for (var pixel = start; pixel < stop; pixel++) {
            let at = pixel * params.c + c;
            let upstream = dy[at];
            sum_w += upstream * normalised(at, row_of(at));
            sum_b += upstream;
        }
        total_w += sum_w;
        total_b += sum_b;
    }
    part_w[index] = total_w;
    part_b[index] = total_b;
}

@compute @workgroup_size(WORKGROUP)
fn grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.pixels * params.c {
        return;
    }
    let row = row_of(index);
    let count = f32(elements());
    let xhat = normalised(index, row);
    let weighted = dy[index] * weight[index % params.c];
    let slope = rstd[row] * (weighted - sums[row] / count - xhat * (sums[params.n * params.groups + row] / count));
    // One element is its own mean, whatever it is: not only up to what a fused multiply-add keeps of the product.
    y[index] = select(slope, 0.0, elements() == 1u);
}
