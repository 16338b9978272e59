// Functions of one element and their derivatives, baseline: one element an invocation.
//
//   forward  y[i]  = f(x[i])
//   grad     dx[i] = f'(saved[i]) * dy[i]   (saved is f(x) for KIND up to TANH, x for the rest)
//
// f and f' are chosen by the constant KIND (shared/activate.wgsl).
// Dispatch: one invocation an element, folded (shared/grid.wgsl).
// Definition: src/ops/activation.rs. Host: src/kernels/activation.rs.

#import grid
#import activate

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

fn derivative(saved: f32) -> f32 {
    if KIND == RELU {
        return select(1.0, 0.0, saved <= 0.0);
    } else if KIND == LEAKY_RELU {
        return select(params.slope, 1.0, saved > 0.0);
    } else if KIND == ELU {
        return select(saved + params.slope, 1.0, saved > 0.0);
    } else if KIND == SIGMOID {
        return saved * (1.0 - saved);
    } else if KIND == TANH {
        return (1.0 - saved) * (1.0 + saved);
    } else if KIND == SILU {
        return sigmoid(saved) * (1.0 + saved * sigmoid(-saved));
    } else if KIND == GELU {
        let z = clamp(saved, -20.0, 20.0);
        return normal_below(z) + z * exp(-0.5 * z * z) * 0.3989422804;
    } else if KIND == GELU_TANH {
        let z = clamp(saved, -16.0, 16.0);
        let u = gelu_argument(z);
        let slope = 1.5957691216 * (1.0 + 0.134145 * z * z);
        return sigmoid(u) * (1.0 + z * sigmoid(-u) * slope);
    } else if KIND == SOFTPLUS {
        return sigmoid(saved);
    } else {
        return select(select(saved / 3.0 + 0.5, 0.0, saved <= -3.0), 1.0, saved >= 3.0);
    }
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.len {
        return;
    }
    y[index] = activate(x[index], params.slope);
}

@compute @workgroup_size(WORKGROUP)
fn grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.len {
        return;
    }
    let v = saved[index];
    if KIND > TANH && is_nan(v) {
        dx[index] = v;
    } else {
        dx[index] = derivative(v) * dy[index];
    }
}
