// Other views of a batch's images, and mixtures of them, baseline.
//
//   draw     table[r] = (z g, f z s, -z s, f z g, dy, dx, k, t, cy, cx) from random(seed, step, 9 (first + r) + j) with j = 0 .. 8
//   augment  y[r,i,j] = min(max(k * sample(x[r], p, q) + t, 0), 1), or fill in the square round (cy, cx), with
//            p = a v + b u + dy + (h-1)/2, q = c v + d u + dx + (w-1)/2, v = i - (h-1)/2, u = j - (w-1)/2; bilinear
//   mixup    y[r] = x[r] + m (x[o] - x[r]), others[r] = labels[o], shares[r] = m with o = (r+1) mod n, m drawn from a table
//
// Dispatch: one invocation an image (draw), a pixel of y (augment) or an element of y (mixup); folded (shared/grid.wgsl).
// Definition: src/ops/augment.rs. Host: src/kernels/augment.rs.

#import grid
#import finite
#import random

struct Params {
    n: u32,
    h: u32,
    w: u32,
    c: u32,
    seed: u32,
    first: u32, // place of the first image in the whole batch
    rows: u32, // of the table of turns, or of shares
    flip: u32,
    crop: u32, // pixels
    scale: f32,
    contrast: f32,
    brightness: f32,
    cutout: u32, // pixels
    outside: f32, // what stands outside of an image, and in the square
}

const WORKGROUP: u32 = 64u;
const DRAWS: u32 = 9u;
const COLUMNS: u32 = 10u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(2) var<storage, read> turns: array<f32>; // [rows, 2]: cosine and sine
@group(0) @binding(3) var<storage, read_write> table_out: array<f32>; // [n, 10]
@group(0) @binding(4) var<storage, read> table: array<f32>; // [n, 10]
@group(0) @binding(5) var<storage, read> x: array<f32>; // [n, h, w, c]
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // [n, h, w, c]
@group(0) @binding(7) var<storage, read> labels: array<u32>; // [n]
@group(0) @binding(8) var<storage, read> shares_of: array<f32>; // [rows]
@group(0) @binding(9) var<storage, read_write> others: array<u32>; // [n]
@group(0) @binding(10) var<storage, read_write> shares: array<f32>; // [n]

// A number from -1 to 1, 1 excluded.
fn unit(bits: u32) -> f32 {
    return f32(bits >> 8u) / 8388608.0 - 1.0;
}

// A whole number from -crop to crop.
fn moved(bits: u32) -> f32 {
    return f32(bits % (2u * params.crop + 1u)) - f32(params.crop);
}

@compute @workgroup_size(WORKGROUP)
fn draw(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let image = linear_index(group, groups, lane, WORKGROUP);
    if image >= params.n {
        return;
    }
    let step = control[0];
    let first = (params.first + image) * DRAWS;
    let f = select(1.0, -1.0, (random(params.seed, step, first) & params.flip) == 1u);
    let turn = random(params.seed, step, first + 1u) % params.rows * 2u;
    let z = 1.0 + params.scale * unit(random(params.seed, step, first + 2u));
    let zg = z * turns[turn];
    let zs = z * turns[turn + 1u];
    let contrast = params.contrast * unit(random(params.seed, step, first + 5u));
    let to = image * COLUMNS;
    table_out[to] = zg;
    table_out[to + 1u] = f * zs;
    table_out[to + 2u] = -zs;
    table_out[to + 3u] = f * zg;
    table_out[to + 4u] = moved(random(params.seed, step, first + 3u));
    table_out[to + 5u] = moved(random(params.seed, step, first + 4u));
    table_out[to + 6u] = 1.0 + contrast;
    table_out[to + 7u] = params.brightness * unit(random(params.seed, step, first + 6u)) - 0.5 * contrast;
    table_out[to + 8u] = f32(random(params.seed, step, first + 7u) % params.h);
    table_out[to + 9u] = f32(random(params.seed, step, first + 8u) % params.w);
}

// Whether a pixel so far from the middle of the square lies in it, along one axis.
fn cuts(from_middle: f32) -> bool {
    let half = f32(params.cutout / 2u);
    return from_middle >= -half && from_middle < f32(params.cutout) - half;
}

// A pixel of an image, or what stands outside of it.
fn pixel(image: u32, row: i32, column: i32, channel: u32) -> f32 {
    // Below zero it wraps to a large number.
    let inside = u32(row) < params.h && u32(column) < params.w;
    let at = ((image * params.h + u32(row)) * params.w + u32(column)) * params.c + channel;
    return select(params.outside, x[select(0u, at, inside)], inside);
}

// Between a and b: a itself where both are equal, or where b has no share, though b may be a NaN.
fn between(a: f32, b: f32, share: f32) -> f32 {
    return select(a + share * (b - a), a, share == 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn augment(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.h * params.w {
        return;
    }
    let image = index / params.w / params.h;
    let i = f32(index / params.w % params.h);
    let j = f32(index % params.w);
    let at = image * COLUMNS;
    let cut = cuts(i - table[at + 8u]) && cuts(j - table[at + 9u]);
    let mid_h = f32(params.h - 1u) * 0.5;
    let mid_w = f32(params.w - 1u) * 0.5;
    let v = i - mid_h;
    let u = j - mid_w;
    let p = table[at] * v + table[at + 1u] * u + table[at + 4u] + mid_h;
    let q = table[at + 2u] * v + table[at + 3u] * u + table[at + 5u] + mid_w;
    let down = p - floor(p);
    let right = q - floor(q);
    let row = i32(floor(p));
    let column = i32(floor(q));
    for (var channel = 0u; channel < params.c; channel++) {
        let above = between(pixel(image, row, column, channel), pixel(image, row, column + 1, channel), right);
        let below = between(pixel(image, row + 1, column, channel), pixel(image, row + 1, column + 1, channel), right);
        let value = table[at + 6u] * between(above, below, down) + table[at + 7u];
        // A clamp need not pass a NaN on, and a compiler may make one of comparisons.
        let held = select(clamp(value, 0.0, 1.0), value, is_nan(value));
        y[index * params.c + channel] = select(held, params.outside, cut);
    }
}

@compute @workgroup_size(WORKGROUP)
fn mixup(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let size = params.h * params.w * params.c;
    if index >= params.n * size {
        return;
    }
    let image = index / size;
    let other = (image + 1u) % params.n;
    let share = shares_of[random(params.seed, control[0], params.first + image) % params.rows];
    let own = x[index];
    y[index] = own + share * (x[other * size + index % size] - own);
    if index % size == 0u {
        others[image] = labels[other];
        shares[image] = share;
    }
}
