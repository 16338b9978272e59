// The end of a step over the flat buffers of a network, baseline: as many elements an invocation as shared/elements1.wgsl, or
// what is linked in its place, says.
//
//   sgd       g += wd * w; w -= lr * g
//   momentum  g += wd * w; v <- mu * v + g; w -= lr * (nesterov ? g + mu * v : v)
//   adam      g += wd * w; m <- m + (1 - b1) * (g - m); v <- b2 * v + (1 - b2) * g^2;
//             w -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   adamw     as adam, but w <- w * (1 - lr * wd) instead of g += wd * w
//   rmsprop   g += wd * w; v <- b2 * v + (1 - b2) * g^2; w -= lr * g / (sqrt(v) + eps)
//   rmsprop_momentum  b <- mu * b + g / (sqrt(v) + eps); w -= lr * b
//
// where before all that g is clipped to [-clip_value, clip_value] and multiplied with min(1, max_norm / (norm + 1e-6)), and the new w
// is clipped to [-clip_parameters, clip_parameters], each of them unless it is 0.
//
// An element whose new weight or moments would overflow keeps the old ones: what is saved is always finite.
// lr, 1 - b1^t and sqrt(1 - b2^t) come from row step % steps of the table of rates. Nothing is written while the control
// flag is set. Large buffers come in several dispatches, a range each.
// Dispatch: one invocation `Elements`, folded (shared/grid.wgsl).
// Definition: src/ops/optimizer.rs. Host: src/kernels/optimizer.rs.

#import grid
#import norm_scale
#import elements1

struct Params {
    len: u32, // `Elements` in this range
    steps: u32, // rows of the table of rates
    nesterov: u32,
    weight_decay: f32,
    momentum: f32, // mu
    rest1: f32, // 1 - b1
    share2: f32, // b2, or rmsprop's alpha
    rest2: f32, // 1 - b2
    eps: f32,
    clip_value: f32, // or 0, as the next two
    max_norm: f32,
    clip_parameters: f32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> param: array<Elements>; // [len]
@group(0) @binding(2) var<storage, read> grad: array<Elements>; // [len]
@group(0) @binding(3) var<storage, read> rates: array<f32>; // [steps, 4]: lr, 1 - b1^t, sqrt(1 - b2^t), 0
@group(0) @binding(4) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(5) var<storage, read_write> moment: array<Elements>; // [len]: adam's m, else v
@group(0) @binding(6) var<storage, read_write> moment2: array<Elements>; // [len]: adam's v, rmsprop's b
@group(0) @binding(7) var<storage, read> norm: array<f32>; // [2], or anything where there is no max_norm

fn rate(column: u32) -> f32 {
    return rates[control[0] % params.steps * 4u + column];
}

// Whether these elements must stay as they are.
fn idle(index: u32) -> bool {
    return index >= params.len || control[1] != 0u;
}

// These elements within a limit, where there is one; NaN stays.
fn within(v: Elements, limit: f32) -> Elements {
    if limit == 0.0 {
        return v;
    }
    let most = Elements(limit);
    // A compiler may make a minimum and a maximum of this, which turn a NaN into a number.
    return select(select(select(v, -most, v < -most), most, v > most), v, is_no_number(v));
}

// The gradient as it is clipped.
fn gradient(index: u32) -> Elements {
    let g = within(grad[index], params.clip_value);
    if params.max_norm == 0.0 {
        return g;
    }
    return g * norm_scale(norm[0], params.max_norm);
}

// Writes new weights where they are kept, and clips all of them.
fn store(index: u32, w: Elements, new_w: Elements, keeps: Mask) {
    param[index] = within(select(w, new_w, keeps), params.clip_parameters);
}

@compute @workgroup_size(WORKGROUP)
fn sgd(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let new_w = w - rate(0u) * (gradient(index) + params.weight_decay * w);
    store(index, w, new_w, finite(new_w));
}

@compute @workgroup_size(WORKGROUP)
fn momentum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let old = moment[index];
    let g = gradient(index) + params.weight_decay * w;
    let v = params.momentum * old + g;
    let new_w = w - rate(0u) * select(v, g + params.momentum * v, params.nesterov != 0u);
    // Where v is not finite, w is not either.
    moment[index] = select(old, v, finite(new_w));
    store(index, w, new_w, finite(new_w));
}

// The step of adam from weights from_w with gradients g; updates the moments, and the weights, which were w.
fn adam_step(index: u32, w: Elements, from_w: Elements, g: Elements) {
    let old = moment[index];
    let old2 = moment2[index];
    let m = old + params.rest1 * (g - old);
    let v = params.share2 * old2 + params.rest2 * g * g;
    let new_w = from_w - rate(0u) / rate(1u) * m / (sqrt(v) / rate(2u) + params.eps);
    // Where m is not finite, w is not either.
    let keeps = finite(v) & finite(new_w);
    moment[index] = select(old, m, keeps);
    moment2[index] = select(old2, v, keeps);
    store(index, w, new_w, keeps);
}

@compute @workgroup_size(WORKGROUP)
fn adam(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    adam_step(index, w, w, gradient(index) + params.weight_decay * w);
}

@compute @workgroup_size(WORKGROUP)
fn adamw(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    adam_step(index, w, w * (1.0 - rate(0u) * params.weight_decay), gradient(index));
}

@compute @workgroup_size(WORKGROUP)
fn rmsprop(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let old = moment[index];
    let g = gradient(index) + params.weight_decay * w;
    let v = params.share2 * old + params.rest2 * g * g;
    let new_w = w - rate(0u) * (g / (sqrt(v) + params.eps));
    let keeps = finite(v) & finite(new_w);
    moment[index] = select(old, v, keeps);
    store(index, w, new_w, keeps);
}

@compute @workgroup_size(WORKGROUP)
fn rmsprop_momentum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let old = moment[index];
    let old2 = moment2[index];
    let g = gradient(index) + params.weight_decay * w;
    let v = params.share2 * old + params.rest2 * g * g;
    let b = params.momentum * old2 + g / (sqrt(v) + params.eps);
    let new_w = w - rate(0u) * b;
    // Where b is not finite, w is not either.
    let keeps = finite(v) & finite(new_w);
    moment[index] = select(old, v, keeps);
    moment2[index] = select(old2, b, keeps);
    store(index, w, new_w, keeps);
}
