// Softmax and its logarithm along an axis, baseline: one row an invocation.
//
//   softmax           y_i  = e^(x_i - m) / sum_j e^(x_j - m)    with m = max_j x_j
//   softmax_grad      dx_i = y_i * ((dy_i - dy_k) - sum_j y_j * (dy_j - dy_k))    with k the place of the largest y
//   log_softmax       y_i  = (x_i - m) - ln sum_j e^(x_j - m)
//   log_softmax_grad  dx_i = dy_i - e^(y_i) * sum_j dy_j
//
// Saturated rows keep their digits: the term of the largest element is 1 exactly and stays out of the sums.
// Dispatch: one invocation a row (outer, inner), folded (shared/grid.wgsl); neighbours take neighbouring inner places.
// Definition: src/ops/softmax.rs. Host: src/kernels/softmax.rs.

#import grid
#import finite
#import exponential

struct Params {
    rows: u32, // outer * inner
    len: u32, // elements of a row
    inner: u32, // distance between neighbours of a row
}

const WORKGROUP: u32 = 64u;
// Terms that one accumulator may take.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [outer, len, inner]; y in the gradients
@group(0) @binding(2) var<storage, read> dy: array<f32>; // [outer, len, inner]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [outer, len, inner]; dx in the gradients

// Where a row begins.
fn row_start(row: u32) -> u32 {
    return row / params.inner * params.len * params.inner + row % params.inner;
}

struct Largest {
    value: f32,
    i: u32,
}

// The largest element of x in the row at `first`, the first of equals; a NaN wins, and an infinity is one: its own term, e^(m - m),
// is no number.
fn largest(first: u32) -> Largest {
    var best = Largest(x[first], 0u);
    for (var i = 1u; i < params.len; i++) {
        let v = x[first + i * params.inner];
        if v > best.value || is_nan(v) {
            best = Largest(v, i);
        }
    }
    best.value = finite_or_nan(best.value);
    return best;
}

// sum_{j != k} e^(x_j - m): the whole sum is 1 more.
fn sum_of_others(first: u32, m: f32, k: u32) -> f32 {
    var total = 0.0;
    for (var start = 0u; start < params.len; start += BLOCK) {
        var sum = 0.0;
        let stop = min(start + BLOCK, params.len);
        for (var i = start; i < stop; i++) {
            let e = exp(x[first + i * params.inner] - m);
            sum += select(e, 0.0, i == k);
        }
        total += sum;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn softmax(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row >= params.rows {
        return;
    }
    let first = row_start(row);
    let best = largest(first);
    let sum = 1.0 + sum_of_others(first, best.value, best.i);
    for (var i = 0u; i < params.len; i++) {
        let at = first + i * params.inner;
        let share = exp(x[at] - best.value) / sum;
        y[at] = select(share, best.value, is_nan(best.value));
    }
}

@compute @workgroup_size(WORKGROUP)
fn softmax_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row >= params.rows {
        return;
    }
    let first = row_start(row);
    let pivot = dy[first + largest(first).i * params.inner];
    var total = 0.0;
    for (var start = 0u; start < params.len; start += BLOCK) {
        var sum = 0.0;
        let stop = min(start + BLOCK, params.len);
        for (var i = start; i < stop; i++) {
            let at = first + i * params.inner;
            sum += x[at] * (dy[at] - pivot);
        }
        total += sum;
    }
    for (var i = 0u; i < params.len; i++) {
        let at = first + i * params.inner;
        y[at] = x[at] * ((dy[at] - pivot) - total);
    }
}

@compute @workgroup_size(WORKGROUP)
fn log_softmax(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row >= params.rows {
        return;
    }
    let first = row_start(row);
    let best = largest(first);
    let log_sum = log1p(sum_of_others(first, best.value, best.i));
    for (var i = 0u; i < params.len; i++) {
        let at = first + i * params.inner;
        y[at] = (x[at] - best.value) - log_sum;
    }
}

// e^x. One driver's exponential of a NaN is infinite.
fn exp_or_nan(x: f32) -> f32 {
    return select(exp(x), x, is_nan(x));
}

@compute @workgroup_size(WORKGROUP)
fn log_softmax_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row >= params.rows {
        return;
    }
    let first = row_start(row);
    let k = largest(first).i;
    var others = 0.0; // sum_{j != k} dy_j
    for (var start = 0u; start < params.len; start += BLOCK) {
        var sum = 0.0;
        let stop = min(start + BLOCK, params.len);
        for (var i = start; i < stop; i++) {
            sum += select(dy[first + i * params.inner], 0.0, i == k);
        }
        others += sum;
    }
    let top = first + k * params.inner;
    let all = others + dy[top];
    for (var i = 0u; i < params.len; i++) {
        let at = first + i * params.inner;
        if i != k {
            y[at] = dy[at] - exp_or_nan(x[at]) * all;
        }
    }
    // dy_k - e^(y_k) * (dy_k + others), without the difference of two almost equal numbers.
    y[top] = -dy[top] * expm1(x[top]) - exp_or_nan(x[top]) * others;
}
