// Depthwise convolution, a filter for each channel: four channels an invocation, without barriers or workgroup memory.
//
//   gather       dst[n,i,j,c] = f(b[c] + sum_{p,q} src[n,h,x,c] * w[p,q,c])   RUN pixels j of a row an invocation
//                with h = i*mul_h + off_h + p*step_h and x = j*STRIDE + off_w + q where they lie inside; (i,j) lie at
//                first + (i,j) * stride of the image that is written: the gradient of the input has a problem for each remainder by
//                the stride; f is an activation, or nothing (shared/finish.wgsl), or the product with a derivative
//                (shared/finish_gradient.wgsl)
//   grad_weight  part[s,p,q,c] = sum over the rows i of split s, and their pixels j, of dy[n,i,j,c] * src[n,h,x,c]   TAPS taps q
//                an invocation, which keeps what of a row lies under them: each pixel is loaded once
//
// Weight w[p,q,c] lies at w_first + p*w_row + q*w_tap + c; the host turns taps round so that neighbours read neighbouring pixels.
// shared/fours_buffers.wgsl, or what is linked in its place, says where operands lie.
// Dispatch: one invocation a run of four channels, or four channels of TAPS taps and a split; channels fastest, folded (shared/grid.wgsl).
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_depthwise.rs. Channels count in fours.

#import grid
#import finish
#import fours_buffers

struct Params {
    n: u32,
    h_dst: u32,
    w_dst: u32,
    h_src: u32,
    w_src: u32,
    c: u32, // fours
    k_h: u32,
    k_w: u32,
    mul_h: i32,
    off_h: i32,
    off_w: i32,
    step_h: i32,
    bias: u32, // whether b is one
    splits: u32,
    rows_per_split: u32, // of n * h_dst
    h_full: u32, // the image that gather writes
    w_full: u32,
    first_h: u32,
    first_w: u32,
    stride_h: u32,
    stride_w: u32,
    w_first: u32, // these count fours, and wrap where the host turned taps round
    w_row: u32,
    w_tap: u32,
    slope: f32, // of the activation
}

const WORKGROUP: u32 = 64u;
// Pixels of a row of dst that an invocation of gather computes.
const RUN: u32 = 4u;
// Taps of a row of the kernel at a time; divides k_w.
const TAPS: u32 = 3u;
// Pixels of src between neighbours of a row.
const STRIDE: u32 = 1u;
// Pixels of src under a run and its taps.
const SPAN: u32 = (RUN - 1u) * STRIDE + TAPS;
// Pixels of src that stay under the taps from one pixel of dy to the next: TAPS - STRIDE, or none.
const KEPT: u32 = 2u;
// Terms that one accumulator may take over batch and space.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
// 1, 2, 3: src, w and dy, where a variant has its operands
@group(0) @binding(4) var<storage, read> b: array<vec4<f32>>; // [c], or anything
@group(0) @binding(5) var<storage, read_write> dst: array<vec4<f32>>; // [n, h_full, w_full, c]
@group(0) @binding(6) var<storage, read_write> part: array<vec4<f32>>; // [splits, k_h, k_w, c]

@compute @workgroup_size(WORKGROUP)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let runs = (params.w_dst + RUN - 1u) / RUN;
    let line = index / (params.c * runs);
    let n = line / params.h_dst;
    if n >= params.n {
        return;
    }
    let c = index % params.c;
    let j = index / params.c % runs * RUN;
    let i = line % params.h_dst;
    var start = vec4<f32>(0.0);
    if params.bias != 0u {
        start = b[c];
    }
    var acc: array<vec4<f32>, RUN>;
    //#unroll
    for (var v = 0u; v < RUN; v++) {
        acc[v] = start;
    }
    for (var p = 0u; p < params.k_h; p++) {
        // What lies before the first row or column is a large number, as it has no sign.
        let h = u32(i32(i) * params.mul_h + params.off_h + i32(p) * params.step_h);
        if h >= params.h_src {
            continue;
        }
        let row = (n * params.h_src + h) * params.w_src;
        for (var q = 0u; q < params.k_w; q += TAPS) {
            let col = u32(i32(j * STRIDE + q) + params.off_w);
            var value: array<vec4<f32>, SPAN>;
            //#unroll
            for (var s = 0u; s < SPAN; s++) {
                value[s] = load_src((row + col + s) * params.c + c, col + s < params.w_src);
            }
            let weight_at = params.w_first + p * params.w_row + q * params.w_tap + c;
            //#unroll
            for (var t = 0u; t < TAPS; t++) {
                let weight = load_weight(weight_at + t * params.w_tap);
                //#unroll
                for (var v = 0u; v < RUN; v++) {
                    acc[v] += value[v * STRIDE + t] * weight;
                }
            }
        }
    }
    let full_row = (n * params.h_full + params.first_h + i * params.stride_h) * params.w_full + params.first_w;
    //#unroll
    for (var v = 0u; v < RUN; v++) {
        if j + v < params.w_dst {
            let at = (full_row + (j + v) * params.stride_w) * params.c + c;
            dst[at] = vec4<f32>(
                finish(acc[v].x, 4u * at, params.slope),
                finish(acc[v].y, 4u * at + 1u, params.slope),
                finish(acc[v].z, 4u * at + 2u, params.slope),
                finish(acc[v].w, 4u * at + 3u, params.slope),
            );
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let tiles = params.k_w / TAPS;
    let c = index % params.c;
    let q = index / params.c % tiles * TAPS;
    let p = index / (params.c * tiles) % params.k_h;
    let split = index / (params.c * tiles * params.k_h);
    if split >= params.splits {
        return;
    }
    let rows = params.n * params.h_dst;
    let end = min((split + 1u) * params.rows_per_split, rows);
    var total: array<vec4<f32>, TAPS>;
    var acc: array<vec4<f32>, TAPS>;
    var terms = 0u;
    for (var line = split * params.rows_per_split; line < end; line++) {
        let h = u32(i32(line % params.h_dst) * params.mul_h + params.off_h + i32(p) * params.step_h);
        if h >= params.h_src {
            continue;
        }
        let row = (line / params.h_dst * params.h_src + h) * params.w_src;
        var col = u32(i32(q) + params.off_w);
        // The first taps of the first pixel; later ones have them from the pixel before.
        var value: array<vec4<f32>, TAPS>;
        //#unroll
        for (var t = 0u; t < KEPT; t++) {
            value[t] = load_src((row + col + t) * params.c + c, col + t < params.w_src);
        }
        for (var j = 0u; j < params.w_dst; j++) {
            //#unroll
            for (var t = KEPT; t < TAPS; t++) {
                value[t] = load_src((row + col + t) * params.c + c, col + t < params.w_src);
            }
            let upstream = load_upstream((line * params.w_dst + j) * params.c + c);
            //#unroll
            for (var t = 0u; t < TAPS; t++) {
                acc[t] += upstream * value[t];
            }
            //#unroll
            for (var t = 0u; t < KEPT; t++) {
                value[t] = value[t + STRIDE];
            }
            col += STRIDE;
            terms++;
            if terms == BLOCK {
                terms = 0u;
                //#unroll
                for (var t = 0u; t < TAPS; t++) {
                    total[t] += acc[t];
                    acc[t] = vec4<f32>(0.0);
                }
            }
        }
    }
    let at = ((split * params.k_h + p) * params.k_w + q) * params.c + c;
    //#unroll
    for (var t = 0u; t < TAPS; t++) {
        part[at + t * params.c] = total[t] + acc[t];
    }
}
