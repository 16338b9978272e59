// Two-dimensional convolution, baseline: one output element an invocation, any stride, padding, dilation, groups.
//
//   forward      y[n,i,j,o]  = f(b[o] + sum_{p,q,c} x[n, i*s_h + p*d_h - pad_h, j*s_w + q*d_w - pad_w, g*C + c] * w[p,q,c,o])
//                with f an activation, or nothing (shared/finish.wgsl)
//   grad_input   dx[n,h,w,c] = sum_{p,q,o} dy[n,i,j,o] * w[p,q,c,o]  over the (p,q) for which (i,j) reads (h,w),
//                and its product with a derivative where shared/finish_gradient.wgsl is linked
//   grad_weight  part[s,p,q,c,o] = sum over the pixels of split s of dy[n,i,j,o] * x[n,h,w,g*C + c]
//                (the splits are added in order by `shaders/reduce.wgsl`)
//
// Dispatch: one invocation an element of y, dx or part, folded (shared/grid.wgsl).
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d.rs.

#import grid
#import finish

struct Params {
    n: u32,
    h_in: u32,
    w_in: u32,
    c_in: u32,
    h_out: u32,
    w_out: u32,
    c_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    pad_h: u32, // top
    pad_w: u32, // left
    groups: u32,
    splits: u32,
    pixels_per_split: u32, // of n * h_out * w_out
    bias: u32, // whether b is one
    slope: f32, // of the activation
}

const WORKGROUP: u32 = 64u;
// Terms that one accumulator may take over batch and space.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, h_in, w_in, c_in]
@group(0) @binding(2) var<storage, read> w: array<f32>; // [k_h, k_w, c_in / groups, c_out]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [c_out], or anything
@group(0) @binding(4) var<storage, read> dy: array<f32>; // [n, h_out, w_out, c_out]
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [n, h_out, w_out, c_out]
@group(0) @binding(6) var<storage, read_write> dx: array<f32>; // [n, h_in, w_in, c_in]
@group(0) @binding(7) var<storage, read_write> part: array<f32>; // [splits, k_h, k_w, c_in / groups, c_out]

// The convolution at output element `index`, without bias.
fn convolve(index: u32) -> f32 {
    let o = index % params.c_out;
    let j = index / params.c_out % params.w_out;
    let i = index / (params.c_out * params.w_out) % params.h_out;
    let n = index / (params.c_out * params.w_out * params.h_out);
    let c_group = params.c_in / params.groups;
    let first = o / (params.c_out / params.groups) * c_group;
    var sum = 0.0;
    for (var p = 0u; p < params.k_h; p++) {
        // Wraps below zero to a large number, so one comparison covers both borders.
        let row = i * params.stride_h + p * params.dilation_h - params.pad_h;
        if row >= params.h_in {
            continue;
        }
        for (var q = 0u; q < params.k_w; q++) {
            let col = j * params.stride_w + q * params.dilation_w - params.pad_w;
            if col >= params.w_in {
                continue;
            }
            let x_at = ((n * params.h_in + row) * params.w_in + col) * params.c_in + first;
            let w_at = (p * params.k_w + q) * c_group * params.c_out + o;
            for (var c = 0u; c < c_group; c++) {
                sum += x[x_at + c] * w[w_at + c * params.c_out];
            }
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.h_out * params.w_out * params.c_out {
        return;
    }
    var sum = convolve(index);
    if params.bias == 1u {
        sum += b[index % params.c_out];
    }
    y[index] = finish(sum, index, params.slope);
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.h_in * params.w_in * params.c_in {
        return;
    }
    let c = index % params.c_in;
    let col = index / params.c_in % params.w_in;
    let row = index / (params.c_in * params.w_in) % params.h_in;
    let n = index / (params.c_in * params.w_in * params.h_in);
    let c_group = params.c_in / params.groups;
    let o_group = params.c_out / params.groups;
    let first = c / c_group * o_group;
    var sum = 0.0;
    for (var p = 0u; p < params.k_h; p++) {
        // The output row whose tap p reads this input row; wraps below zero to a large number.
        let shifted_row = row + params.pad_h - p * params.dilation_h;
        let i = shifted_row / params.stride_h;
        if i >= params.h_out || i * params.stride_h != shifted_row {
            continue;
        }
        for (var q = 0u; q < params.k_w; q++) {
            let shifted_col = col + params.pad_w - q * params.dilation_w;
            let j = shifted_col / params.stride_w;
            if j >= params.w_out || j * params.stride_w != shifted_col {
                continue;
            }
            let dy_at = ((n * params.h_out + i) * params.w_out + j) * params.c_out + first;
            let w_at = ((p * params.k_w + q) * c_group + c % c_group) * params.c_out + first;
            for (var o = 0u; o < o_group; o++) {
                sum += dy[dy_at + o] * w[w_at + o];
            }
        }
    }
    dx[index] = finish(sum, index, params.slope);
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let c_group = params.c_in / params.groups;
    let weights = params.k_h * params.k_w * c_group * params.c_out;
    if index >= weights * params.splits {
        return;
    }
    let split = index / weights;
    let o = index % params.c_out;
    let c = index / params.c_out % c_group;
    let q = index / (params.c_out * c_group) % params.k_w;
    let p = index / (params.c_out * c_group * params.k_w) % params.k_h;
    let channel = o / (params.c_out / params.groups) * c_group + c;
    let end = min((split + 1u) * params.pixels_per_split, params.n * params.h_out * params.w_out);
    var total = 0.0;
    for (var start = split * params.pixels_per_split; start < end; start += BLOCK) {
        var sum = 0.0;
        let stop = min(start + BLOCK, end);
        for (var pixel = start; pixel < stop; pixel++) {
            let j = pixel % params.w_out;
            let i = pixel / params.w_out % params.h_out;
            let n = pixel / (params.w_out * params.h_out);
            let row = i * params.stride_h + p * params.dilation_h - params.pad_h;
            let col = j * params.stride_w + q * params.dilation_w - params.pad_w;
            if row < params.h_in && col < params.w_in {
                sum += dy[pixel * params.c_out + o] * x[((n * params.h_in + row) * params.w_in + col) * params.c_in + channel];
            }
        }
        total += sum;
    }
    part[index] = total;
}
