// Batch normalisation in pieces, for images whose statistics a convolution took of what it wrote.
//
//   finish  from the moments of the tiles, m = first value, s1 and s2 = sums of x - m and (x - m)^2 over the n rows of a tile:
//           pivot[c] = x[0,c], offset[c] = sum (n * (m - pivot) + s1) / rows
//           var = sum (s2 + 2 * s1 * d + n * d^2) / rows with d = (m - pivot) - offset
//           mean, rstd and var_unbiased follow as in batch_norm2d.wgsl, and the table
//   affine  table[0,c] = pivot, table[1,c] = offset, table[2,c] = rstd * weight, table[3,c] = bias
//   apply   y[row,c] = f(((x - pivot) - offset) * table[2,c] + table[3,c] + residual), f an activation, or nothing
//
// Dispatch: finish, one workgroup a channel; affine, one invocation a channel; apply, one EACH elements; folded (shared/grid.wgsl).
// Definition: src/ops/fused/normalised.rs. Host: src/kernels/batch_norm2d_apply.rs.

#import grid
#import fold
#import activate
#import normal
#import residual

struct Params {
    rows: u32, // n * h * w
    c: u32,
    tiles: u32,
    tile: u32, // rows of one; the last has what is left
    eps: f32,
    slope: f32, // of the activation
}

const WORKGROUP: u32 = 64u;
// Terms that one accumulator may take over batch and space.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, c]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [c]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>; // [2, c]: pivot, offset
@group(0) @binding(5) var<storage, read> rstd: array<f32>; // [c]
@group(0) @binding(7) var<storage, read_write> y: array<f32>; // [rows, c]
@group(0) @binding(8) var<storage, read> moments: array<f32>; // [c, 3, tiles]
@group(0) @binding(9) var<storage, read_write> table_out: array<f32>; // [4, c]
@group(0) @binding(10) var<storage, read_write> mean_out: array<f32>; // [2, c]
@group(0) @binding(11) var<storage, read_write> rstd_out: array<f32>; // [c]
@group(0) @binding(12) var<storage, read_write> var_unbiased: array<f32>; // [c]

// What tile t of channel c adds to the sum of the deviations from a pivot, and to the sum of the squares of those from it and an offset.
fn deviations(c: u32, t: u32, pivot: f32, offset: f32) -> vec2<f32> {
    let at = c * 3u * params.tiles + t;
    let n = f32(min(params.tile, params.rows - t * params.tile));
    let first = moments[at + params.tiles];
    let d = (moments[at] - pivot) - offset;
    return vec2<f32>(n * d + first, moments[at + 2u * params.tiles] + d * (2.0 * first + n * d));
}

// The sums of those over the tiles, in blocks of BLOCK an invocation.
fn tile_sums(lane: u32, c: u32, pivot: f32, offset: f32) -> vec2<f32> {
    var total = vec2<f32>(0.0);
    for (var start = lane; start < params.tiles; start += BLOCK * WORKGROUP) {
        let stop = min(start + BLOCK * WORKGROUP, params.tiles);
        var sum = vec2<f32>(0.0);
        for (var t = start; t < stop; t += WORKGROUP) {
            sum += deviations(c, t, pivot, offset);
        }
        total += sum;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, place: Place) {
    let c = linear_group(group, groups);
    if c >= params.c {
        return;
    }
    let rows = f32(params.rows);
    let pivot = x[c];
    let offset = fold(place, tile_sums(place.lane, c, pivot, 0.0)).x / rows;
    let squares = fold(place, tile_sums(place.lane, c, pivot, offset)).y;
    if place.lane != 0u {
        return;
    }
    let scale = 1.0 / sqrt(squares / rows + params.eps);
    mean_out[c] = pivot;
    mean_out[params.c + c] = offset;
    rstd_out[c] = scale;
    var_unbiased[c] = squares / f32(params.rows - 1u);
    store_table(c, pivot, offset, scale);
}

fn store_table(c: u32, pivot: f32, offset: f32, scale: f32) {
    table_out[c] = pivot;
    table_out[params.c + c] = offset;
    table_out[2u * params.c + c] = scale * weight[c];
    table_out[3u * params.c + c] = bias[c];
}

@compute @workgroup_size(WORKGROUP)
fn affine(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = linear_index(group, groups, lane, WORKGROUP);
    if c < params.c {
        store_table(c, mean[c], mean[params.c + c], rstd[c]);
    }
}

@compute @workgroup_size(WORKGROUP)
fn apply(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    //#unroll
    for (var e = 0u; e < EACH; e++) {
        let index = spread_index(group, groups, lane, WORKGROUP, e);
        if index < params.rows * params.c {
            y[index] = activate(normal(x[index], reading_of(index % params.c, params.c)) + residual_at(index), params.slope);
        }
    }
}
