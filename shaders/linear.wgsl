// Linear layer, baseline: one output element an invocation.
//
//   forward      y[n,o]  = f(b[o] + sum_i x[n,i] * w[o,i]) with f an activation, or nothing (shared/activate.wgsl)
//   grad_input   dx[n,i] = sum_o dy[n,o] * w[o,i]
//   grad_weight  part[s,o,i] = sum over the rows of split s of dy[n,o] * x[n,i]
//                (the splits are added in order by `shaders/reduce.wgsl`)
//
// Dispatch: one invocation an element of y, dx or part, folded (shared/grid.wgsl).
// Definition: src/ops/linear.rs. Host: src/kernels/linear.rs.

#import grid
#import activate

struct Params {
    n: u32,
    inputs: u32,
    outputs: u32,
    splits: u32,
    rows_per_split: u32,
    slope: f32, // of the activation
}

const WORKGROUP: u32 = 64u;
// Terms that one accumulator may take over the batch.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, inputs]
@group(0) @binding(2) var<storage, read> w: array<f32>; // [outputs, inputs]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [outputs]
@group(0) @binding(4) var<storage, read> dy: array<f32>; // [n, outputs]
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [n, outputs]
@group(0) @binding(6) var<storage, read_write> dx: array<f32>; // [n, inputs]
@group(0) @binding(7) var<storage, read_write> part: array<f32>; // [splits, outputs, inputs]

fn product(n: u32, o: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < params.inputs; i++) {
        sum += x[n * params.inputs + i] * w[o * params.inputs + i];
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.n * params.outputs {
        y[index] = activate(product(index / params.outputs, index % params.outputs), params.slope);
    }
}

@compute @workgroup_size(WORKGROUP)
fn forward_bias(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.n * params.outputs {
        let o = index % params.outputs;
        y[index] = activate(product(index / params.outputs, o) + b[o], params.slope);
    }
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.inputs {
        return;
    }
    let i = index % params.inputs;
    let n = index / params.inputs;
    var sum = 0.0;
    for (var o = 0u; o < params.outputs; o++) {
        sum += dy[n * params.outputs + o] * w[o * params.inputs + i];
    }
    dx[index] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let weights = params.outputs * params.inputs;
    if index >= weights * params.splits {
        return;
    }
    let split = index / weights;
    let i = index % params.inputs;
    let o = index / params.inputs % params.outputs;
    let end = min((split + 1u) * params.rows_per_split, params.n);
    var total = 0.0;
    for (var start = split * params.rows_per_split; start < end; start += BLOCK) {
        var sum = 0.0;
        let stop = min(start + BLOCK, end);
        for (var n = start; n < stop; n++) {
            sum += dy[n * params.outputs + o] * x[n * params.inputs + i];
        }
        total += sum;
    }
    part[index] = total;
}
