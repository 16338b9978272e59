// Sums, products, copies and permutations, baseline: one element an invocation, or EACH of a sum or product.
//
//   add             y[i] = f(a[i] + b[i]), f an activation, or nothing (shared/activate.wgsl)
//   mul             y[i] = a[i] * b[i]
//   place           to[r * stride + start + e] = from[r * chunk + e]     (concat, one input a dispatch)
//   cut             to[r * chunk + e] = from[r * stride + start + e]     (slice; copy with one row)
//   flatten         y[n, c * pixels + p] = a[n, p, c]
//   flatten_grad    y[n, p, c] = a[n, c * pixels + p]
//
// Places move bits, whatever they mean: u32 values too.
// Dispatch: one invocation an element, or EACH (for place, of the input), folded (shared/grid.wgsl).
// Definition: src/ops/elementwise.rs. Host: src/kernels/elementwise.rs.

#import grid
#import activate

struct Params {
    len: u32, // elements that are computed or moved
    chunk: u32, // elements of a row of the smaller tensor
    stride: u32, // elements of a row of the larger tensor
    start: u32, // where the smaller row lies in the larger
    pixels: u32,
    c: u32,
    slope: f32, // of the activation
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [len]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [len]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [len]
@group(0) @binding(4) var<storage, read> source: array<u32>; // [rows, chunk] or [rows, stride]
@group(0) @binding(5) var<storage, read_write> destination: array<u32>; // [rows, stride] or [rows, chunk]

// Loads what an invocation adds or multiplies; beyond the last elements these again.
fn load(left: ptr<function, array<f32, EACH>>, right: ptr<function, array<f32, EACH>>, group: vec3<u32>, groups: vec3<u32>, lane: u32) {
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let at = min(spread_index(group, groups, lane, WORKGROUP, e), params.len - 1u);
        (*left)[e] = a[at];
        (*right)[e] = b[at];
    }
}

@compute @workgroup_size(WORKGROUP)
fn add(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var left: array<f32, EACH>;
    var right: array<f32, EACH>;
    load(&left, &right, group, groups, lane);
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.len {
            y[index] = activate(left[e] + right[e], params.slope);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn mul(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var left: array<f32, EACH>;
    var right: array<f32, EACH>;
    load(&left, &right, group, groups, lane);
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.len {
            y[index] = left[e] * right[e];
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn place(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.len {
        destination[index / params.chunk * params.stride + params.start + index % params.chunk] = source[index];
    }
}

@compute @workgroup_size(WORKGROUP)
fn cut(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.len {
        destination[index] = source[index / params.chunk * params.stride + params.start + index % params.chunk];
    }
}

@compute @workgroup_size(WORKGROUP)
fn flatten(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.len {
        return;
    }
    let p = index % params.pixels;
    let c = index / params.pixels % params.c;
    let n = index / (params.pixels * params.c);
    y[index] = a[(n * params.pixels + p) * params.c + c];
}

@compute @workgroup_size(WORKGROUP)
fn flatten_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.len {
        return;
    }
    let c = index % params.c;
    let p = index / params.c % params.pixels;
    let n = index / (params.pixels * params.c);
    y[index] = a[(n * params.c + c) * params.pixels + p];
}
