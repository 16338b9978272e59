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
//
// As matrices: gather is A [pixels, (p,q,c)] times B [(p,q,c), o]; grad_weight is A [(p,q,c), pixels] times B [pixels, o]. The pixels
// of a window are neighbours among the rows of A, so that one invocation has them all.
// Dispatch: one workgroup a tile; the tile of columns is fastest, then rows, then splits.
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_tiled.rs.

#import grid
#import finish
#import pixel
#import arriving_pixels

struct Params {
    pixels: u32, // of what gather sums, or of dy (grad_weight)
    h_dst: u32, // of the image that is written (gather: in pixels or windows), or of dy
    w_dst: u32,
    c_dst: u32,
    h_src: u32,
    w_src: u32,
    c_src: u32,
    k_h: u32,
    k_w: u32,
    mul_h: i32,
    mul_w: i32,
    off_h: i32,
    off_w: i32,
    step_h: i32,
    step_w: i32,
    bias: u32, // gather: whether b is one; grad_weight: whether part_b is wanted
    tiles_n: u32,
    tiles_m: u32,
    splits: u32,
    pixels_per_split: u32,
    h_full: u32, // the image that gather writes
    w_full: u32,
    first_h: u32,
    first_w: u32,
    stride_h: u32,
    stride_w: u32,
    w_first: u32,
    w_row: u32,
    w_tap: u32,
    w_c: u32,
    w_o: u32,
    slope: f32, // of the activation
    w_between: u32, // gather: pixels in a row of what windows are taken of
    h_windows: u32, // grad_weight: windows of the max pool, down and across, and their size
    w_windows: u32,
    window_h: u32,
    window_w: u32,
}

// Rows and columns of a tile, and how much of the common dimension is in workgroup memory at a time.
const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
const THREADS: u32 = 256u;
// Rows of the shared tiles are padded against bank conflicts.
const PITCH: u32 = 68u;
// Terms that one accumulator may take over batch and space; a multiple of DEPTH.
const BLOCK: u32 = 256u;
// Height and width of the windows whose maxima gather writes, and windows of an invocation.
const WINDOW_H: u32 = 1u;
const WINDOW_W: u32 = 1u;
const WINDOW: u32 = WINDOW_H * WINDOW_W;
const WINDOWS: u32 = 4u / WINDOW;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [n, h_src, w_src, c_src]
@group(0) @binding(2) var<storage, read> w: array<f32>; // weights, strided by w_tap, w_c, w_o
@group(0) @binding(3) var<storage, read> b: array<f32>; // [c_dst], or anything
@group(0) @binding(4) var<storage, read_write> dst: array<f32>; // [pixels, c_dst]
// 5, 7, 8: where dy comes from; 11: argmax, where there are windows; 12: what is saved of an activation.
@group(0) @binding(6) var<storage, read_write> part: array<f32>; // [splits, as the weights]
@group(0) @binding(9) var<storage, read_write> part_b: array<f32>; // [splits, c_dst]

var<workgroup> tile_b: array<f32, DEPTH * PITCH>; // [depth, column]
var<workgroup> tile_a: array<f32, DEPTH * PITCH>; // [depth, row]

// src at the pixel (image n, scaled row and column of tap 0) and matrix column k = (p, q, c); 0 outside.
fn load_src(n: u32, row: i32, col: i32, k: u32) -> f32 {
    let tap = k / params.c_src;
    let h = row + i32(tap / params.k_w) * params.step_h;
    let x = col + i32(tap % params.k_w) * params.step_w;
    // Not &&: a chain of branches in each unrolled load keeps one software driver compiling for minutes.
    // What lies before the first row or column is a large number once it has no sign.
    let inside = (u32(h) < params.h_src) & (u32(x) < params.w_src) & (k < params.k_h * params.k_w * params.c_src);
    if !inside {
        return 0.0;
    }
    return src[((n * params.h_src + u32(h)) * params.w_src + u32(x)) * params.c_src + k % params.c_src];
}

fn weight_at(k: u32, o: u32) -> u32 {
    let tap = k / params.c_src;
    return params.w_first + tap / params.k_w * params.w_row + tap % params.k_w * params.w_tap + k % params.c_src * params.w_c + o * params.w_o;
}

@compute @workgroup_size(THREADS)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let n0 = unit % params.tiles_n * TILE;
    let m0 = unit / params.tiles_n * TILE;
    let depth = params.k_h * params.k_w * params.c_src;
    // This invocation loads column lane % 16 of the rows lane / 16 + {0, 16, 32, 48}.
    let k_mine = lane % DEPTH;
    let r_mine = lane / DEPTH;
    var image: array<u32, 4>;
    var row: array<i32, 4>;
    var col: array<i32, 4>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let pixel = min(m0 + r_mine + r * 16u, params.pixels - 1u);
        let place = pixel / WINDOW;
        let line = place / params.w_dst;
        image[r] = line / params.h_dst;
        row[r] = i32(line % params.h_dst * WINDOW_H + pixel % WINDOW / WINDOW_W) * params.mul_h + params.off_h;
        col[r] = i32(place % params.w_dst * WINDOW_W + pixel % WINDOW_W) * params.mul_w + params.off_w;
    }
    let m_out = lane / 16u * 4u;
    let n_out = lane % 16u * 4u;
    var acc: array<vec4<f32>, 4>;
    for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            tile_a[k_mine * PITCH + r_mine + r * 16u] = load_src(image[r], row[r], col[r], k0 + k_mine);
        }
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            // Neighbouring invocations take neighbouring output channels.
            let k = lane / TILE + r * 4u;
            let o = n0 + lane % TILE;
            var weight = 0.0;
            if (k0 + k < depth) & (o < params.c_dst) {
                weight = w[weight_at(k0 + k, o)];
            }
            tile_b[k * PITCH + lane % TILE] = weight;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let at = k * PITCH + n_out;
            let bs = vec4<f32>(tile_b[at], tile_b[at + 1u], tile_b[at + 2u], tile_b[at + 3u]);
            //#unroll
            for (var r = 0u; r < 4u; r++) {
                acc[r] += tile_a[k * PITCH + m_out + r] * bs;
            }
        }
        workgroupBarrier();
    }
    //#unroll
    for (var s = 0u; s < WINDOWS; s++) {
        let place = (m0 + m_out) / WINDOW + s;
        let line = place / params.w_dst;
        let i = line % params.h_dst;
        let j = place % params.w_dst;
        let row = line / params.h_dst * params.h_full + params.first_h + i * params.stride_h;
        let to = (row * params.w_full + params.first_w + j * params.stride_w) * params.c_dst + n0 + n_out;
        let corner = i * WINDOW_H * params.w_between + j * WINDOW_W;
        if place * WINDOW < params.pixels && n0 + n_out < params.c_dst {
            // There may be fewer than four.
            let last = params.c_dst - 1u - n0 - n_out;
            var best = nothing();
            //#unroll
            for (var v = 0u; v < WINDOW; v++) {
                var value: vec4<f32>;
                //#unroll
                for (var e = 0u; e < 4u; e++) {
                    let o = min(e, last);
                    let sum = acc[s * WINDOW + v][e] + select(0.0, b[n0 + n_out + o], params.bias == 1u);
                    value[e] = finish(sum, to + o, params.slope);
                }
                best = take(best, value, v == 0u, corner + v / WINDOW_W * params.w_between + v % WINDOW_W);
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

@compute @workgroup_size(THREADS)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let n0 = unit % params.tiles_n * TILE;
    let m0 = unit / params.tiles_n % params.tiles_m * TILE;
    let split = unit / (params.tiles_n * params.tiles_m);
    let rows = params.k_h * params.k_w * params.c_src;
    let start = split * params.pixels_per_split;
    let end = min(start + params.pixels_per_split, params.pixels);
    let m_out = lane / 16u * 4u;
    let n_out = lane % 16u * 4u;
    var total: array<vec4<f32>, 4>;
    var acc: array<vec4<f32>, 4>;
    // Of column lane of B, in the first 64 invocations.
    let sums_b = params.bias == 1u && m0 == 0u && lane < TILE;
    var total_b = 0.0;
    var acc_b = 0.0;
    for (var k0 = start; k0 < end; k0 += DEPTH) {
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            let k = lane / TILE + r * 4u;
            let pixel = k0 + k;
            let o = n0 + lane % TILE;
            var a = 0.0;
            var upstream = 0.0;
            if pixel < end {
                let line = pixel / params.w_dst;
                let n = line / params.h_dst;
                let i = line % params.h_dst;
                let j = pixel % params.w_dst;
                let row = i32(i) * params.mul_h + params.off_h;
                let col = i32(j) * params.mul_w + params.off_w;
                a = load_src(n, row, col, m0 + lane % TILE);
                if o < params.c_dst {
                    upstream = arriving(pixel, n, i, j, o);
                }
            }
            tile_a[k * PITCH + lane % TILE] = a;
            tile_b[k * PITCH + lane % TILE] = upstream;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let at = k * PITCH + n_out;
            let bs = vec4<f32>(tile_b[at], tile_b[at + 1u], tile_b[at + 2u], tile_b[at + 3u]);
            //#unroll
            for (var r = 0u; r < 4u; r++) {
                acc[r] += tile_a[k * PITCH + m_out + r] * bs;
            }
        }
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
            acc_b = 0.0;
        }
        workgroupBarrier();
    }
    if sums_b && n0 + lane < params.c_dst && split < params.splits {
        part_b[split * params.c_dst + n0 + lane] = total_b + acc_b;
    }
    let len = rows * params.c_dst;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let m = m0 + m_out + r;
        //#unroll
        for (var s = 0u; s < 4u; s++) {
            let o = n0 + n_out + s;
            if m < rows && o < params.c_dst && split < params.splits {
                part[split * len + weight_at(m, o)] = total[r][s] + acc[r][s];
            }
        }
    }
}
