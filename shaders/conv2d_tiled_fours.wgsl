// Convolution for GPUs, channels in fours: implicit GEMM as in conv2d_tiled.wgsl, with a tile of 128 rows and 64 columns a workgroup and
// 8 x 8 outputs an invocation, in four squares of 4 x 4 that lie 64 rows or 32 columns apart: for each multiply-add less is read from
// workgroup memory. Four neighbours are loaded at a time, and those of the next turn while the last are multiplied. The formulas of gather, grad_weight and grads stand there; there are no windows, and
// nothing behind dy.
//
// Dispatch: one workgroup a tile; the tile of columns is fastest, then rows, then splits, and then those of the gather (grads).
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_tiled.rs.

#import grid
#import tile_problem
#import tile_walk
#import finish
#import bias
#import source_fours
#import fours_plain
#import no_moments

// Rows of a tile, columns, and how much of the common dimension is in workgroup memory at a time.
const TILE_ROWS: u32 = 128u;
const TILE_COLUMNS: u32 = 64u;
const DEPTH: u32 = 8u;
const THREADS: u32 = 128u;
// The shared tiles, in fours, are padded against bank conflicts.
const PITCH_A: u32 = 33u;
const PITCH_B: u32 = 17u;
const SIZE_A: u32 = DEPTH * PITCH_A;
const SIZE_B: u32 = DEPTH * PITCH_B;
// Terms that one accumulator may take over batch and space; a multiple of DEPTH.
const BLOCK: u32 = 256u;

@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [n, h_src, w_src, c_src / 4]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>; // weights; w_o or w_c is 1
@group(0) @binding(4) var<storage, read_write> dst: array<vec4<f32>>; // [pixels, c_dst / 4]
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>; // [pixels, c_dst / 4]
// 3: b; 12: what is saved of an activation; 13: moments of what is written; 14: the table of what is read normalised.
@group(0) @binding(6) var<storage, read_write> part: array<vec4<f32>>; // [splits, as the weights]
@group(0) @binding(9) var<storage, read_write> part_b: array<vec4<f32>>; // [splits, c_dst / 4]

// What one turn stores is multiplied in the next, which stores beside it.
var<workgroup> tile_b: array<vec4<f32>, 2u * SIZE_B>; // [2, depth, column / 4]
var<workgroup> tile_a: array<vec4<f32>, 2u * SIZE_A>; // [2, depth, row / 4]

// Which of a tile an invocation computes: fours of rows and of columns, the first of two each.
struct Spot {
    row: u32,
    column: u32,
    slice: u32, // one alone
}

fn spot(lane: u32) -> Spot {
    // Rows and columns take turns in the bits of the lane, so that neighbours read few fours of either operand at a time.
    return Spot((lane & 1u) | ((lane >> 1u) & 2u) | ((lane >> 3u) & 12u), ((lane >> 1u) & 1u) | ((lane >> 2u) & 6u), 0u);
}

// Element e of four columns.
fn column_of(p: Params, column: u32, e: u32) -> u32 {
    return column * 4u + e;
}

// Fours of columns whose moments are taken together.
fn fours_across(p: Params) -> u32 {
    return 8u;
}

// src at a pixel, four channels from c on; 0 outside.
fn load_image(p: Params, at: Read, c: u32, channels: Readings) -> vec4<f32> {
    return select(vec4<f32>(0.0), image_fours(select(0u, at.index, at.inside) * p.c_src + c, channels, p.slope), at.inside);
}

// Adds the products of what both tiles hold since the turn before this to the four squares of sums of a spot.
fn multiply(acc: ptr<function, array<vec4<f32>, 16>>, at: Spot, turn: u32) {
    let rows = turn % 2u * SIZE_A + at.row;
    let columns = turn % 2u * SIZE_B + at.column;
    // Written out: GPUs wait for each term by itself if it stands in a loop.
    //#unroll
    for (var k = 0u; k < DEPTH; k++) {
        let above = tile_a[rows + k * PITCH_A];
        let below = tile_a[rows + k * PITCH_A + 16u];
        let left = tile_b[columns + k * PITCH_B];
        let right = tile_b[columns + k * PITCH_B + 8u];
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            (*acc)[r] += above[r] * left;
            (*acc)[4u + r] += above[r] * right;
            (*acc)[8u + r] += below[r] * left;
            (*acc)[12u + r] += below[r] * right;
        }
    }
}

// Four fours of B, in the third subset of 32 invocations: of four columns at depths that lie two apart, or of four depths and columns.
fn load_weights(p: Params, found: ptr<function, array<vec4<f32>, 4>>, first: Column, n0: u32, mine: u32) {
    let by_columns = p.w_o == 1u;
    let two = Column(p.fours_p, p.fours_q, p.fours_c);
    var column = first;
    //#unroll
    for (var j = 0u; j < 4u; j++) {
        let o = n0 + select(mine / 2u * 4u + j, mine % 16u * 4u, by_columns);
        let inside = exists(p, column) & (o < p.c_dst);
        (*found)[j] = select(vec4<f32>(0.0), w[select(0u, (weight_of(p, column) + o * p.w_o) / 4u, inside)], inside);
        if by_columns {
            column = next_column(p, column, two);
        }
    }
}

fn gather_tile(p: Params, unit: u32, lane: u32) {
    let n0 = unit % p.tiles_n * TILE_COLUMNS;
    let m0 = unit / p.tiles_n * TILE_ROWS;
    let depth = p.k_h * p.k_w * p.c_src;
    let at = spot(lane);
    // The first 64 invocations load A, four rows at four depths, and the next 32 load B.
    let loads_a = lane < 64u;
    let loads_b = lane / 32u == 2u;
    let by_columns = p.w_o == 1u;
    let mine = lane % 32u;
    let slot = lane % 64u / 2u;
    var rows: array<Pixel, 4>;
    var place = place_at(p, min(m0 + slot * 4u, p.pixels - 1u));
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        rows[r] = pixel_at(p, place.x, place.y, place.z);
        // What is beyond the last pixel repeats it.
        if m0 + slot * 4u + r + 1u < p.pixels {
            place = next_place(p, place, vec3<u32>(0u, 0u, 1u));
        }
    }
    // By columns, depths mine / 16, and those two, four and six further on.
    let on = Column(p.on_p, p.on_q, p.on_c);
    var column = column_at(p, select(lane % 2u * 4u, mine / 16u, loads_b & by_columns));
    var acc: array<vec4<f32>, 16>;
    var found: array<vec4<f32>, 4>;
    // A turn more than there are depths, but none where no tap reads this remainder of the pixels.
    let turns = select(0u, (depth + DEPTH - 1u) / DEPTH + 1u, depth > 0u);
    for (var turn = 0u; turn < turns; turn++) {
        if loads_a {
            load_rows(p, &found, &rows, column);
        } else if loads_b {
            load_weights(p, &found, column, n0, mine);
        }
        column = next_column(p, column, on);
        if turn > 0u {
            multiply(&acc, at, turn - 1u);
        }
        let to_a = turn % 2u * SIZE_A;
        let to_b = turn % 2u * SIZE_B;
        let turned = transpose(mat4x4<f32>(found[0], found[1], found[2], found[3]));
        //#unroll
        for (var e = 0u; e < 4u; e++) {
            if loads_a {
                tile_a[to_a + (lane % 2u * 4u + e) * PITCH_A + slot] = turned[e];
            } else if loads_b && by_columns {
                tile_b[to_b + (mine / 16u + e * 2u) * PITCH_B + mine % 16u] = found[e];
            } else if loads_b {
                tile_b[to_b + (mine % 2u * 4u + e) * PITCH_B + mine / 2u] = turned[e];
            }
        }
        workgroupBarrier();
    }
    //#unroll
    for (var square = 0u; square < 4u; square++) {
        let m = m0 + square / 2u * 64u;
        let n = n0 + square % 2u * 32u;
        var sums: array<vec4<f32>, 4>;
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            sums[r] = acc[square * 4u + r];
        }
        store_moments(p, m, n, at, &sums);
        let o = n + at.column * 4u;
        var pixel = place_at(p, m + at.row * 4u);
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            if m + at.row * 4u + r < p.pixels && o < p.c_dst {
                let row = pixel.x * p.h_full + p.first_h + pixel.y * p.stride_h;
                let to = (row * p.w_full + p.first_w + pixel.z * p.stride_w) * p.c_dst + o;
                var value: vec4<f32>;
                //#unroll
                for (var e = 0u; e < 4u; e++) {
                    value[e] = finish(sums[r][e] + bias(o + e), to + e, p.slope);
                }
                dst[to / 4u] = value;
            }
            pixel = next_place(p, pixel, vec3<u32>(0u, 0u, 1u));
        }
    }
}

// Stores a tile's sums over so many terms, or adds them to those of the terms before.
fn store_sums(acc: ptr<function, array<vec4<f32>, 16>>, m0: u32, n0: u32, split: u32, at: Spot, fresh: bool) {
    let first = split * params.k_h * params.k_w * params.c_src * params.c_dst;
    //#unroll
    for (var square = 0u; square < 4u; square++) {
        let o = n0 + square % 2u * 32u + at.column * 4u;
        var row = column_at(params, m0 + square / 2u * 64u + at.row * 4u);
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            if exists(params, row) & (o < params.c_dst) {
                let to = (first + weight_of(params, row) + o) / 4u;
                part[to] = select(part[to], vec4<f32>(0.0), vec4<bool>(fresh)) + (*acc)[square * 4u + r];
            }
            (*acc)[square * 4u + r] = vec4<f32>(0.0);
            // The next of the four channels.
            row.c += 1u;
        }
    }
}

fn weight_tile(unit: u32, lane: u32) {
    let n0 = unit % params.tiles_n * TILE_COLUMNS;
    let m0 = unit / params.tiles_n % params.tiles_m * TILE_ROWS;
    let split = unit / (params.tiles_n * params.tiles_m);
    let start = split * params.pixels_per_split;
    let end = min(start + params.pixels_per_split, params.pixels);
    let at = spot(lane);
    var acc: array<vec4<f32>, 16>;
    // Of four columns of B, in the first 16 invocations.
    let sums_b = params.bias == 1u && m0 == 0u && lane < 16u;
    var total_b = vec4<f32>(0.0);
    var acc_b = vec4<f32>(0.0);
    // As loaded, in fours: of A the same row of pixels lane / 32 and four further on, of B a column of pixel lane / 16.
    let slot_a = lane % 32u;
    let slot_b = lane % 16u;
    let column = column_at(params, m0 + slot_a * 4u);
    let shift = shift_of(params, column);
    let channels = readings(column.c);
    let on = vec3<u32>(params.on_n, params.on_i, params.on_j);
    var place = place_at(params, start + lane / 32u);
    var turn = 0u;
    for (var k0 = start; k0 < end + DEPTH; k0 += DEPTH) {
        var a: array<vec4<f32>, 2>;
        //#unroll
        for (var j = 0u; j < 2u; j++) {
            let read = shifted(params, pixel_at(params, place.x, place.y, place.z), shift);
            let there = read.inside & (k0 + lane / 32u + j * 4u < end);
            a[j] = load_image(params, Read(read.h, read.w, read.index, there), column.c, channels);
            // Half a turn on.
            place = next_place(params, place, on);
        }
        let pixel = k0 + lane / 16u;
        let there = (pixel < end) & (n0 + slot_b * 4u < params.c_dst);
        let upstream = select(vec4<f32>(0.0), dy[select(0u, (pixel * params.c_dst + n0) / 4u + slot_b, there)], there);
        if k0 > start {
            multiply(&acc, at, turn - 1u);
            if sums_b {
                for (var k = 0u; k < DEPTH; k++) {
                    acc_b += tile_b[(turn - 1u) % 2u * SIZE_B + k * PITCH_B + lane];
                }
            }
            if (k0 - start) % BLOCK == 0u || k0 >= end {
                store_sums(&acc, m0, n0, split, at, k0 - start <= BLOCK);
                total_b += acc_b;
                acc_b = vec4<f32>(0.0);
            }
        }
        let to_a = turn % 2u * SIZE_A + slot_a;
        tile_a[to_a + lane / 32u * PITCH_A] = a[0];
        tile_a[to_a + (lane / 32u + 4u) * PITCH_A] = a[1];
        tile_b[turn % 2u * SIZE_B + lane / 16u * PITCH_B + slot_b] = upstream;
        workgroupBarrier();
        turn += 1u;
    }
    if sums_b && n0 + lane * 4u < params.c_dst {
        part_b[(split * params.c_dst + n0) / 4u + lane] = total_b;
    }
}

@compute @workgroup_size(THREADS)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    gather_tile(params, linear_group(group, groups), lane);
}

@compute @workgroup_size(THREADS)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    weight_tile(linear_group(group, groups), lane);
}

@compute @workgroup_size(THREADS)
fn grads(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let of_weights = params.tiles_n * params.tiles_m * params.splits;
    if unit < of_weights {
        weight_tile(unit, lane);
    } else {
        gather_tile(transposed(), unit - of_weights, lane);
    }
}
