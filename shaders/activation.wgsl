// Functions of one element and their derivatives, baseline: EACH elements an invocation, so that as many loads are under way.
//
//   forward  y[i]  = f(x[i])
//   grad     dx[i] = f'(saved[i]) * dy[i]   (saved is f(x) for KIND up to TANH, x for the rest)
//
// f and f' are chosen by the constant KIND (shared/activate.wgsl, shared/derivative.wgsl).
// Dispatch: one invocation EACH elements, folded (shared/grid.wgsl).
// Definition: src/ops/activation.rs. Host: src/kernels/activation.rs.

#import grid
#import activate
#import derivative

struct Params {
    len: u32,
    slope: f32, // leaky_relu's slope, elu's alpha
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [len]
@group(0) @binding(3) var<storage, read> saved: array<f32>; // [len]
@group(0) @binding(4) var<storage, read> dy: array<f32>; // [len]
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // [len]

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var values: array<f32, EACH>;
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        values[e] = x[min(spread_index(group, groups, lane, WORKGROUP, e), params.len - 1u)];
    }
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.len {
            y[index] = activate(values[e], params.slope);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var values: array<f32, EACH>;
    var upstream: array<f32, EACH>;
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let at = min(spread_index(group, groups, lane, WORKGROUP, e), params.len - 1u);
        values[e] = saved[at];
        upstream[e] = dy[at];
    }
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.len {
            let v = values[e];
            if KIND > TANH && is_nan(v) {
                dx[index] = v;
            } else {
                dx[index] = derivative(v, params.slope) * upstream[e];
            }
        }
    }
}
