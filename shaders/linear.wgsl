// Linear layer, baseline: one output element an invocation.
//
//   forward      y[n,o]  = f(b[o] + sum_{p,c} x[n,p,c] * w[o,c,p]) with f an activation, or nothing (shared/finish.wgsl)
//   grad_input   dx[n,p,c] = sum_o dy[n,o] * w[o,c,p], and its product with a derivative where shared/finish_gradient.wgsl is linked
//   grad_weight  part[s,o,c,p] = sum over the rows of split s of dy[n,o] * x[n,p,c]
//                (the splits are added in order by `shaders/reduce.wgsl`)
//
// x is an image, channels fastest, whose elements the weights count pixels fastest, or rows: images of one pixel.
// Dispatch: one invocation an element of y, dx or part, folded (shared/grid.wgsl).
// Definition: src/ops/linear.rs. Host: src/kernels/linear.rs.

#import grid
#import finish

struct Params {
    n: u32,
    pixels: u32,
    channels: u32,
    outputs: u32,
    splits: u32,
    rows_per_split: u32,
    bias: u32, // whether b is one
    slope: f32, // of the activation
}

const WORKGROUP: u32 = 64u;
// Terms that one accumulator may take over the batch.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, pixels, channels]
@group(0) @binding(2) var<storage, read> w: array<f32>; // [outputs, channels, pixels]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [outputs], or anything
@group(0) @binding(4) var<storage, read> dy: array<f32>; // [n, outputs]
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [n, outputs]
@group(0) @binding(6) var<storage, read_write> dx: array<f32>; // [n, pixels, channels]
@group(0) @binding(7) var<storage, read_write> part: array<f32>; // [splits, outputs, channels, pixels]

fn product(n: u32, o: u32) -> f32 {
    let inputs = params.pixels * params.channels;
    var sum = 0.0;
    for (var p = 0u; p < params.pixels; p++) {
        for (var c = 0u; c < params.channels; c++) {
            sum += x[n * inputs + p * params.channels + c] * w[o * inputs + c * params.pixels + p];
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.n * params.outputs {
        let o = index % params.outputs;
        var sum = product(index / params.outputs, o);
        if params.bias == 1u {
            sum += b[o];
        }
        y[index] = finish(sum, index, params.slope);
    }
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let inputs = params.pixels * params.channels;
    if index >= params.n * inputs {
        return;
    }
    let i = index % params.channels * params.pixels + index / params.channels % params.pixels;
    let n = index / inputs;
    var sum = 0.0;
    for (var o = 0u; o < params.outputs; o++) {
        sum += dy[n * params.outputs + o] * w[o * inputs + i];
    }
    dx[index] = finish(sum, index, params.slope);
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let inputs = params.pixels * params.channels;
    let weights = params.outputs * inputs;
    if index >= weights * params.splits {
        return;
    }
    let split = index / weights;
    let at = index % params.pixels * params.channels + index / params.pixels % params.channels;
    let o = index / inputs % params.outputs;
    let end = min((split + 1u) * params.rows_per_split, params.n);
    var total = 0.0;
    for (var start = split * params.rows_per_split; start < end; start += BLOCK) {
        var sum = 0.0;
        let stop = min(start + BLOCK, end);
        for (var n = start; n < stop; n++) {
            sum += dy[n * params.outputs + o] * x[n * inputs + at];
        }
        total += sum;
    }
    part[index] = total;
}
