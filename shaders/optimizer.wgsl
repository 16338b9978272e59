// The end of a step over the flat buffers of a network, baseline: one element an invocation.
//
//   sgd       g += wd * w; w -= lr * g
//   momentum  g += wd * w; v <- mu * v + g; w -= lr * (nesterov ? g + mu * v : v)
//   adam      g += wd * w; m <- m + (1 - b1) * (g - m); v <- b2 * v + (1 - b2) * g^2;
//             w -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   adamw     as adam, but w <- w * (1 - lr * wd) instead of g += wd * w
//   rmsprop   g += wd * w; v <- b2 * v + (1 - b2) * g^2; w -= lr * g / (sqrt(v) + eps)
//   rmsprop_momentum  b <- mu * b + g / (sqrt(v) + eps); w -= lr * b
//   square_part  part[s,0] = sum over the elements of split s of g^2, part[s,1] = how many of them are not finite
//   norm_finish  norm[0] = sqrt(sum_s part[s,0]), norm[1] = (sum_s part[s,1] > 0)
//   clip_norm    g *= min(1, max_norm / (norm + 1e-6)); a NaN where the norm is one
//   clip_value   w <- min(max(w, -limit), limit)
//
// An element whose new weight or moments would overflow keeps the old ones: what is saved is always finite.
// lr, 1 - b1^t and sqrt(1 - b2^t) come from row step % steps of the table of rates. Nothing is written while the control
// flag is set (the norms and clip_norm do not look at it). Large buffers come in several dispatches, a range each.
// Dispatch: one invocation an element or a split (square_part), folded (shared/grid.wgsl); one workgroup in all (norm_finish).
// Definition: src/ops/optimizer.rs. Host: src/kernels/optimizer.rs.

#import grid
#import finite
#import split_sum

struct Params {
    len: u32, // elements in this range
    steps: u32, // rows of the table of rates
    splits: u32,
    first_split: u32, // where this range's splits begin in part
    nesterov: u32,
    weight_decay: f32,
    momentum: f32, // mu
    rest1: f32, // 1 - b1
    share2: f32, // b2, or rmsprop's alpha
    rest2: f32, // 1 - b2
    eps: f32,
    limit: f32, // or max_norm
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> param: array<f32>; // [len]; the gradient for the clips
@group(0) @binding(2) var<storage, read> grad: array<f32>; // [len]
@group(0) @binding(3) var<storage, read> rates: array<f32>; // [steps, 4]: lr, 1 - b1^t, sqrt(1 - b2^t), 0
@group(0) @binding(4) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(5) var<storage, read_write> moment: array<f32>; // [len]: adam's m, else v
@group(0) @binding(6) var<storage, read_write> moment2: array<f32>; // [len]: adam's v, rmsprop's b
@group(0) @binding(7) var<storage, read_write> part_out: array<f32>; // [splits of all ranges, 2]
@group(0) @binding(8) var<storage, read> part: array<f32>; // [splits, 2]
@group(0) @binding(9) var<storage, read> norm: array<f32>; // [2]
@group(0) @binding(10) var<storage, read_write> norm_out: array<f32>; // [2]

fn rate(column: u32) -> f32 {
    return rates[control[0] % params.steps * 4u + column];
}

// Whether this element must stay as it is.
fn idle(index: u32) -> bool {
    return index >= params.len || control[1] != 0u;
}

@compute @workgroup_size(WORKGROUP)
fn sgd(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let new_w = w - rate(0u) * (grad[index] + params.weight_decay * w);
    if is_finite(new_w) {
        param[index] = new_w;
    }
}

@compute @workgroup_size(WORKGROUP)
fn momentum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let g = grad[index] + params.weight_decay * w;
    let v = params.momentum * moment[index] + g;
    let new_w = w - rate(0u) * select(v, g + params.momentum * v, params.nesterov != 0u);
    // Where v is not finite, w is not either.
    if is_finite(new_w) {
        moment[index] = v;
        param[index] = new_w;
    }
}

// The step of adam from weight w with gradient g; updates the moments.
fn adam_step(index: u32, w: f32, g: f32) {
    let old = moment[index];
    let m = old + params.rest1 * (g - old);
    let v = params.share2 * moment2[index] + params.rest2 * g * g;
    let new_w = w - rate(0u) / rate(1u) * m / (sqrt(v) / rate(2u) + params.eps);
    // Where m is not finite, w is not either.
    if is_finite(v) && is_finite(new_w) {
        moment[index] = m;
        moment2[index] = v;
        param[index] = new_w;
    }
}

@compute @workgroup_size(WORKGROUP)
fn adam(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    adam_step(index, w, grad[index] + params.weight_decay * w);
}

@compute @workgroup_size(WORKGROUP)
fn adamw(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    adam_step(index, param[index] * (1.0 - rate(0u) * params.weight_decay), grad[index]);
}

// The new mean square, and the step before momentum and learning rate.
fn rmsprop_step(index: u32, w: f32) -> vec2<f32> {
    let g = grad[index] + params.weight_decay * w;
    let v = params.share2 * moment[index] + params.rest2 * g * g;
    return vec2<f32>(v, g / (sqrt(v) + params.eps));
}

@compute @workgroup_size(WORKGROUP)
fn rmsprop(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let step = rmsprop_step(index, w);
    let new_w = w - rate(0u) * step.y;
    if is_finite(step.x) && is_finite(new_w) {
        moment[index] = step.x;
        param[index] = new_w;
    }
}

@compute @workgroup_size(WORKGROUP)
fn rmsprop_momentum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let w = param[index];
    let step = rmsprop_step(index, w);
    let b = params.momentum * moment2[index] + step.y;
    let new_w = w - rate(0u) * b;
    // Where b is not finite, w is not either.
    if is_finite(step.x) && is_finite(new_w) {
        moment[index] = step.x;
        moment2[index] = b;
        param[index] = new_w;
    }
}

// Split s takes the elements s, s + splits, s + 2 splits ... of the range.
@compute @workgroup_size(WORKGROUP)
fn square_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let split = linear_index(group, groups, lane, WORKGROUP);
    if split >= params.splits {
        return;
    }
    var total = 0.0;
    var broken = 0.0;
    for (var start = split; start < params.len; start += BLOCK * params.splits) {
        var sum = 0.0;
        let stop = min(start + BLOCK * params.splits, params.len);
        for (var i = start; i < stop; i += params.splits) {
            let g = grad[i];
            sum += g * g;
            broken += select(1.0, 0.0, is_finite(g));
        }
        total += sum;
    }
    let at = (params.first_split + split) * 2u;
    part_out[at] = total;
    part_out[at + 1u] = broken;
}

@compute @workgroup_size(WORKGROUP)
fn norm_finish(@builtin(local_invocation_index) lane: u32) {
    if lane < 2u {
        let sum = split_sum(lane, 2u, params.splits);
        norm_out[lane] = select(select(0.0, 1.0, sum > 0.0), sqrt(sum), lane == 0u);
    }
}

@compute @workgroup_size(WORKGROUP)
fn clip_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.len {
        param[index] *= select(min(1.0, params.limit / (norm[0] + 1e-6)), norm[0], is_nan(norm[0]));
    }
}

@compute @workgroup_size(WORKGROUP)
fn clip_value(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if idle(index) {
        return;
    }
    let v = param[index];
    if v > params.limit {
        param[index] = params.limit;
    } else if v < -params.limit {
        param[index] = -params.limit;
    }
}
