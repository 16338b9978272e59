// Convolution for GPUs, channels in fours: implicit GEMM as in conv2d_tiled.wgsl, with a 128 x 128 tile a workgroup and 8 x 8 outputs an
// invocation, in four blocks of 4 x 4 that lie 64 rows or columns apart. Four neighbours are loaded at a time, and those of the next step
// while the last are multiplied. The formulas of gather, grad_weight and grads stand there; there are no windows, and nothing behind dy.
//
// Dispatch: one workgroup a tile; the tile of columns is fastest, then rows, then splits, and then those of the gather (grads).
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_tiled.rs.

#import grid
#import tile_problem
#import finish
#import bias
#import source_fours
#import fours_plain
#import no_moments

// Rows and columns of a tile, and how much of the common dimension is in workgroup memory at a time.
const TILE: u32 = 128u;
const DEPTH: u32 = 8u;
const THREADS: u32 = 256u;
// Rows of the shared tiles, in fours, are padded against bank conflicts.
const PITCH: u32 = 33u;
// Terms that one accumulator may take over batch and space; a multiple of DEPTH.
const BLOCK: u32 = 256u;

@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [n, h_src, w_src, c_src / 4]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>; // weights; w_o or w_c is 1
@group(0) @binding(4) var<storage, read_write> dst: array<vec4<f32>>; // [pixels, c_dst / 4]
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>; // [pixels, c_dst / 4]
// 3: b; 12: what is saved of an activation; 13: moments of what is written; 14: the table of what is read normalised.
@group(0) @binding(6) var<storage, read_write> part: array<vec4<f32>>; // [splits, as the weights]
@group(0) @binding(9) var<storage, read_write> part_b: array<vec4<f32>>; // [splits, c_dst / 4]

var<workgroup> tile_b: array<vec4<f32>, DEPTH * PITCH>; // [depth, column / 4]
var<workgroup> tile_a: array<vec4<f32>, DEPTH * PITCH>; // [depth, row / 4]

// Element e of four columns.
fn column_of(p: Params, column: u32, e: u32) -> u32 {
    return column * 4u + e;
}

// src at the pixel of image n that tap and channels k to k + 3 reach from there; 0 outside.
fn load_image(p: Params, n: u32, row: i32, col: i32, k: u32, channels: Readings) -> vec4<f32> {
    let at = reach(p, row, col, k);
    if !at.inside {
        return vec4<f32>(0.0);
    }
    return image_fours(((n * p.h_src + at.h) * p.w_src + at.w) * p.c_src + k % p.c_src, channels, p.slope);
}

// Adds the products of what both tiles hold to the four blocks of sums from this row and column (in fours) on.
fn multiply(acc: ptr<function, array<vec4<f32>, 16>>, row: u32, column: u32) {
    for (var k = 0u; k < DEPTH; k++) {
        let a = tile_a[k * PITCH + row];
        let below = tile_a[k * PITCH + row + 16u];
        let b = tile_b[k * PITCH + column];
        let beside = tile_b[k * PITCH + column + 16u];
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            (*acc)[r] += a[r] * b;
            (*acc)[4u + r] += a[r] * beside;
            (*acc)[8u + r] += below[r] * b;
            (*acc)[12u + r] += below[r] * beside;
        }
    }
}

// Four fours of B from depth k0 on, in the second 64 invocations: of one depth and four columns each, or of four depths and one column.
fn load_weights(p: Params, found: ptr<function, array<vec4<f32>, 4>>, n0: u32, k0: u32, mine: u32) {
    let by_columns = p.w_o == 1u;
    let k = k0 + select(mine % 2u * 4u, mine / 8u, by_columns);
    let first = weight_at(p, k);
    //#unroll
    for (var j = 0u; j < 4u; j++) {
        let o = n0 + select(mine / 2u * 4u + j, (mine % 8u + j * 8u) * 4u, by_columns);
        (*found)[j] = vec4<f32>(0.0);
        if (k < p.k_h * p.k_w * p.c_src) & (o < p.c_dst) {
            (*found)[j] = w[(first + o * p.w_o) / 4u];
        }
    }
}

fn gather_tile(p: Params, unit: u32, lane: u32) {
    let n0 = unit % p.tiles_n * TILE;
    let m0 = unit / p.tiles_n * TILE;
    let depth = p.k_h * p.k_w * p.c_src;
    // The first 64 invocations load A, four rows at four depths, and the next 64 load B.
    let mine = lane % 64u;
    let loads_a = lane < 64u;
    let loads_b = lane / 64u == 1u;
    var image: array<u32, 4>;
    var row: array<i32, 4>;
    var col: array<i32, 4>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let pixel = min(m0 + mine / 2u * 4u + r, p.pixels - 1u);
        let line = pixel / p.w_dst;
        image[r] = line / p.h_dst;
        row[r] = i32(line % p.h_dst) * p.mul_h + p.off_h;
        col[r] = i32(pixel % p.w_dst) * p.mul_w + p.off_w;
    }
    let row_fours = lane / 16u;
    let column_fours = lane % 16u;
    var acc: array<vec4<f32>, 16>;
    var found: array<vec4<f32>, 4>;
    // A turn more than there are depths, but none where no tap reads this remainder of the pixels.
    let end = select(0u, depth + DEPTH, depth > 0u);
    for (var k0 = 0u; k0 < end; k0 += DEPTH) {
        // What was found in the last turn.
        let turned = transpose(mat4x4<f32>(found[0], found[1], found[2], found[3]));
        if k0 > 0u {
            //#unroll
            for (var e = 0u; e < 4u; e++) {
                if loads_a {
                    tile_a[(mine % 2u * 4u + e) * PITCH + mine / 2u] = turned[e];
                } else if loads_b && p.w_o == 1u {
                    tile_b[mine / 8u * PITCH + mine % 8u + e * 8u] = found[e];
                } else if loads_b {
                    tile_b[(mine % 2u * 4u + e) * PITCH + mine / 2u] = turned[e];
                }
            }
        }
        workgroupBarrier();
        if loads_a {
            load_rows(p, &found, &image, &row, &col, k0 + mine % 2u * 4u);
        } else if loads_b {
            load_weights(p, &found, n0, k0, mine);
        }
        if k0 > 0u {
            multiply(&acc, row_fours, column_fours);
        }
        workgroupBarrier();
    }
    //#unroll
    for (var block = 0u; block < 4u; block++) {
        let m = m0 + block / 2u * 64u;
        let n = n0 + block % 2u * 64u;
        var sums: array<vec4<f32>, 4>;
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            sums[r] = acc[block * 4u + r];
        }
        store_moments(p, m, n, row_fours, column_fours, &sums);
        let o = n + column_fours * 4u;
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            let pixel = m + row_fours * 4u + r;
            if pixel < p.pixels && o < p.c_dst {
                let line = pixel / p.w_dst;
                let row = line / p.h_dst * p.h_full + p.first_h + line % p.h_dst * p.stride_h;
                let to = (row * p.w_full + p.first_w + pixel % p.w_dst * p.stride_w) * p.c_dst + o;
                var value: vec4<f32>;
                //#unroll
                for (var e = 0u; e < 4u; e++) {
                    value[e] = finish(sums[r][e] + bias(o + e), to + e, p.slope);
                }
                dst[to / 4u] = value;
            }
        }
    }
}

fn weight_tile(unit: u32, lane: u32) {
    let n0 = unit % params.tiles_n * TILE;
    let m0 = unit / params.tiles_n % params.tiles_m * TILE;
    let split = unit / (params.tiles_n * params.tiles_m);
    let rows = params.k_h * params.k_w * params.c_src;
    let start = split * params.pixels_per_split;
    let end = min(start + params.pixels_per_split, params.pixels);
    // As loaded, in fours, of pixel lane / 32; and as computed.
    let mine = lane % 32u;
    let row_fours = lane / 16u;
    let column_fours = lane % 16u;
    var total: array<vec4<f32>, 16>;
    var acc: array<vec4<f32>, 16>;
    // Of four columns of B, in the first 32 invocations.
    let sums_b = params.bias == 1u && m0 == 0u && lane < 32u;
    var total_b = vec4<f32>(0.0);
    var acc_b = vec4<f32>(0.0);
    var a = vec4<f32>(0.0);
    var upstream = vec4<f32>(0.0);
    // The four channels of A stay the same.
    let channels = readings((m0 + mine * 4u) % params.c_src);
    for (var k0 = start; k0 < end + DEPTH; k0 += DEPTH) {
        if k0 > start {
            // What was found in the last turn.
            tile_a[lane / 32u * PITCH + mine] = a;
            tile_b[lane / 32u * PITCH + mine] = upstream;
        }
        workgroupBarrier();
        let pixel = k0 + lane / 32u;
        a = vec4<f32>(0.0);
        upstream = vec4<f32>(0.0);
        if pixel < end {
            let line = pixel / params.w_dst;
            let row = i32(line % params.h_dst) * params.mul_h + params.off_h;
            let col = i32(pixel % params.w_dst) * params.mul_w + params.off_w;
            a = load_image(params, line / params.h_dst, row, col, m0 + mine * 4u, channels);
            if n0 + mine * 4u < params.c_dst {
                upstream = dy[(pixel * params.c_dst + n0) / 4u + mine];
            }
        }
        if k0 > start {
            multiply(&acc, row_fours, column_fours);
            if sums_b {
                //#unroll
                for (var k = 0u; k < DEPTH; k++) {
                    acc_b += tile_b[k * PITCH + lane];
                }
            }
            if (k0 - start) % BLOCK == 0u {
                //#unroll
                for (var r = 0u; r < 16u; r++) {
                    total[r] += acc[r];
                    acc[r] = vec4<f32>(0.0);
                }
                total_b += acc_b;
                acc_b = vec4<f32>(0.0);
            }
        }
        workgroupBarrier();
    }
    if split >= params.splits {
        return;
    }
    if sums_b && n0 + mine * 4u < params.c_dst {
        part_b[(split * params.c_dst + n0) / 4u + mine] = total_b + acc_b;
    }
    //#unroll
    for (var block = 0u; block < 4u; block++) {
        let o = n0 + block % 2u * 64u + column_fours * 4u;
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            let m = m0 + block / 2u * 64u + row_fours * 4u + r;
            if m < rows && o < params.c_dst {
                let to = split * rows * params.c_dst + weight_at(params, m) + o;
                part[to / 4u] = total[block * 4u + r] + acc[block * 4u + r];
            }
        }
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
