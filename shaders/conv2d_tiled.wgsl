// Convolution for GPUs: implicit GEMM through workgroup memory, a 64 x 64 tile a workgroup, 4 x 4 outputs an invocation.
//
//   gather       dst[n,i,j,o] = f(b[o] + sum_{p,q,c} src[n,h,w,c] * w[w_first + p*w_row + q*w_tap + c*w_c + o*w_o])
//                with h = i*mul_h + off_h + p*step_h where that lies inside, w likewise; (i,j) lie at first + (i,j) * stride of
//                the image that is written: the gradient of the input has a problem for each remainder by the stride;
//                f is an activation, or nothing (shared/finish.wgsl), or the product with a derivative (shared/finish_gradient.wgsl),
//                and the maximum of each WINDOW_H x WINDOW_W such pixels, with its place, takes their place where
//                shared/window_maximum.wgsl is linked for shared/pixel.wgsl
//   grad_weight  part[s, p*w_row + q*w_tap + c*w_c + o*w_o] = sum over the pixels of split s of dy[n,i,j,o] * src[n,h,w,c],
//                part_b[s,o] = sum of dy[n,i,j,o] over the same; shared/arriving_pixels.wgsl, or what is linked in its place, says
//                where dy comes from
//   grads        both gradients of a layer of stride 1: grad_weight, and the gather of dy through the same taps into dst, which
//                src is the image of; shared/source_arriving.wgsl and shared/no_bias.wgsl are linked
//
// As matrices: gather is A [pixels, (p,q,c)] times B [(p,q,c), o]; grad_weight is A [(p,q,c), pixels] times B [pixels, o]. The pixels
// of a window are neighbours among the rows of A, so that one invocation has them all.
// Dispatch: one workgroup a tile; the tile of columns is fastest, then rows, then splits, and then those of the gather (grads).
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_tiled.rs.

#import grid
#import tile_problem
#import finish
#import pixel
#import bias
#import arriving_pixels
#import source_image
#import image_plain
#import no_moments

// Rows and columns of a tile, and how much of the common dimension is in workgroup memory at a time.
const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
const THREADS: u32 = 256u;
// Rows of the shared tiles, in fours, are padded against bank conflicts.
const PITCH: u32 = 17u;
// Terms that one accumulator may take over batch and space; a multiple of DEPTH.
const BLOCK: u32 = 256u;
// Height and width of the windows whose maxima gather writes, and windows of an invocation.
const WINDOW_H: u32 = 1u;
const WINDOW_W: u32 = 1u;
const WINDOW: u32 = WINDOW_H * WINDOW_W;
const WINDOWS: u32 = 4u / WINDOW;

@group(0) @binding(1) var<storage, read> src: array<f32>; // [n, h_src, w_src, c_src]
@group(0) @binding(2) var<storage, read> w: array<f32>; // weights, strided by w_tap, w_c, w_o
@group(0) @binding(4) var<storage, read_write> dst: array<f32>; // [pixels, c_dst]
// 3: b; 5, 7, 8: where dy comes from; 11: argmax, where there are windows; 12: what is saved of an activation; 13: moments of what is
// written (shared/moments.wgsl); 14: the table of what is read normalised (shared/image_normalised.wgsl).
@group(0) @binding(6) var<storage, read_write> part: array<f32>; // [splits, as the weights]
@group(0) @binding(9) var<storage, read_write> part_b: array<f32>; // [splits, c_dst]

// Four neighbours at a time, which the invocations load and multiply together.
var<workgroup> tile_b: array<vec4<f32>, DEPTH * PITCH>; // [depth, column / 4]
var<workgroup> tile_a: array<vec4<f32>, DEPTH * PITCH>; // [depth, row / 4]

// src at the pixel of image n that tap and channel k reach from there; 0 outside.
fn load_src(p: Params, n: u32, row: i32, col: i32, k: u32, channel: Reading) -> f32 {
    let at = reach(p, row, col, k);
    if !at.inside {
        return 0.0;
    }
    return image_value(((n * p.h_src + at.h) * p.w_src + at.w) * p.c_src + k % p.c_src, channel, p.slope);
}

// Adds the products of what both tiles hold to the 4 x 4 sums from this row and column (in fours) on.
fn multiply(acc: ptr<function, array<vec4<f32>, 4>>, row: u32, column: u32) {
    for (var k = 0u; k < DEPTH; k++) {
        let a = tile_a[k * PITCH + row];
        let bs = tile_b[k * PITCH + column];
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            (*acc)[r] += a[r] * bs;
        }
    }
}

fn gather_tile(p: Params, unit: u32, lane: u32) {
    let n0 = unit % p.tiles_n * TILE;
    let m0 = unit / p.tiles_n * TILE;
    let depth = p.k_h * p.k_w * p.c_src;
    // Of A this invocation loads column lane % 16 of the four rows that it computes.
    let row_fours = lane / 16u;
    let column_fours = lane % 16u;
    let k_mine = lane % DEPTH;
    var image: array<u32, 4>;
    var row: array<i32, 4>;
    var col: array<i32, 4>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let pixel = min(m0 + row_fours * 4u + r, p.pixels - 1u);
        let place = pixel / WINDOW;
        let line = place / p.w_dst;
        image[r] = line / p.h_dst;
        row[r] = i32(line % p.h_dst * WINDOW_H + pixel % WINDOW / WINDOW_W) * p.mul_h + p.off_h;
        col[r] = i32(place % p.w_dst * WINDOW_W + pixel % WINDOW_W) * p.mul_w + p.off_w;
    }
    // Of B, four columns of a row: neighbouring invocations take what lies side by side in memory, columns or rows.
    let by_columns = p.w_o == 1u;
    let k_weights = select(lane % DEPTH, lane / 16u, by_columns);
    let o_fours = select(lane / 16u, lane % 16u, by_columns);
    var acc: array<vec4<f32>, 4>;
    for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
        tile_a[k_mine * PITCH + row_fours] = load_rows(p, &image, &row, &col, k0 + k_mine);
        let first = weight_at(p, k0 + k_weights);
        var weights = vec4<f32>(0.0);
        //#unroll
        for (var e = 0u; e < 4u; e++) {
            let o = n0 + o_fours * 4u + e;
            if (k0 + k_weights < depth) & (o < p.c_dst) {
                weights[e] = w[first + o * p.w_o];
            }
        }
        tile_b[k_weights * PITCH + o_fours] = weights;
        workgroupBarrier();
        multiply(&acc, row_fours, column_fours);
        workgroupBarrier();
    }
    store_moments(p, m0, n0, row_fours, column_fours, &acc);
    let m_out = row_fours * 4u;
    let n_out = column_fours * 4u;
    //#unroll
    for (var s = 0u; s < WINDOWS; s++) {
        let place = (m0 + m_out) / WINDOW + s;
        let line = place / p.w_dst;
        let i = line % p.h_dst;
        let j = place % p.w_dst;
        let row = line / p.h_dst * p.h_full + p.first_h + i * p.stride_h;
        let to = (row * p.w_full + p.first_w + j * p.stride_w) * p.c_dst + n0 + n_out;
        let corner = i * WINDOW_H * p.w_between + j * WINDOW_W;
        if place * WINDOW < p.pixels && n0 + n_out < p.c_dst {
            // There may be fewer than four.
            let last = p.c_dst - 1u - n0 - n_out;
            var best = nothing();
            //#unroll
            for (var v = 0u; v < WINDOW; v++) {
                var value: vec4<f32>;
                //#unroll
                for (var e = 0u; e < 4u; e++) {
                    let o = min(e, last);
                    value[e] = finish(acc[s * WINDOW + v][e] + bias(n0 + n_out + o), to + o, p.slope);
                }
                best = take(best, value, v == 0u, corner + v / WINDOW_W * p.w_between + v % WINDOW_W);
            }
            //#unroll
            for (var e = 0u; e < 4u; e++) {
                if e <= last {
                    dst[to + e] = best.value[e];
                }
            }
            store_place(to, best);
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
    // Both as loaded, of pixel lane / 16, and as computed, in fours.
    let mine = lane % 16u;
    let row_fours = lane / 16u;
    var total: array<vec4<f32>, 4>;
    var acc: array<vec4<f32>, 4>;
    // Of four columns of B, in the first 16 invocations.
    let sums_b = params.bias == 1u && m0 == 0u && lane < 16u;
    var total_b = vec4<f32>(0.0);
    var acc_b = vec4<f32>(0.0);
    // The four channels of A stay the same.
    var channels: array<Reading, 4>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        channels[e] = reading((m0 + mine * 4u + e) % params.c_src);
    }
    for (var k0 = start; k0 < end; k0 += DEPTH) {
        let k = lane / 16u;
        let pixel = k0 + k;
        var a = vec4<f32>(0.0);
        var upstream = vec4<f32>(0.0);
        if pixel < end {
            let line = pixel / params.w_dst;
            let n = line / params.h_dst;
            let i = line % params.h_dst;
            let j = pixel % params.w_dst;
            let row = i32(i) * params.mul_h + params.off_h;
            let col = i32(j) * params.mul_w + params.off_w;
            //#unroll
            for (var e = 0u; e < 4u; e++) {
                a[e] = load_src(params, n, row, col, m0 + mine * 4u + e, channels[e]);
                let o = n0 + mine * 4u + e;
                if o < params.c_dst {
                    upstream[e] = arriving(pixel, n, i, j, o);
                }
            }
        }
        tile_a[k * PITCH + mine] = a;
        tile_b[k * PITCH + mine] = upstream;
        workgroupBarrier();
        multiply(&acc, row_fours, mine);
        if sums_b {
            //#unroll
            for (var k = 0u; k < DEPTH; k++) {
                acc_b += tile_b[k * PITCH + lane];
            }
        }
        if (k0 - start + DEPTH) % BLOCK == 0u {
            //#unroll
            for (var r = 0u; r < 4u; r++) {
                total[r] += acc[r];
                acc[r] = vec4<f32>(0.0);
            }
            total_b += acc_b;
            acc_b = vec4<f32>(0.0);
        }
        workgroupBarrier();
    }
    let len = rows * params.c_dst;
    //#unroll
    for (var s = 0u; s < 4u; s++) {
        let o = n0 + mine * 4u + s;
        if o < params.c_dst && split < params.splits {
            if sums_b {
                part_b[split * params.c_dst + o] = total_b[s] + acc_b[s];
            }
            //#unroll
            for (var r = 0u; r < 4u; r++) {
                let m = m0 + row_fours * 4u + r;
                if m < rows {
                    part[split * len + weight_at(params, m) + o * params.w_o] = total[r][s] + acc[r][s];
                }
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
