// Convolution for CPU adapters: no barriers, no workgroup memory; a workgroup is one subgroup, each lane loads a part of
// what all need and subgroupBroadcast, which is free there, hands it round.
//
//   gather       dst[n,i,j,o] = f(b[o] + sum_{p,q,c} src[n,h,w,c] * w[p,q,c,o])   lanes are pixels, first over images
//                with h = i*mul_h + off_h + p*step_h where that lies inside, w likewise; (i,j) lie at first + (i,j) * stride of
//                the image that is written: the gradient of the input has a problem for each remainder by the stride;
//                f is an activation, or nothing (shared/finish.wgsl), or the product with a derivative (shared/finish_gradient.wgsl),
//                and the maximum of each WINDOW_H x WINDOW_W such pixels, with its place, takes their place where
//                shared/window_maximum.wgsl is linked for shared/pixel.wgsl
//   grad_weight  part[s,p,q,c,o] = sum over the pixels of split s of dy[n,i,j,o] * src[n,h,w,c]   lanes are columns (p,q,c)
//
// Weights lie in their own order, w[p,q,c,o] at w_first + p*w_row + q*w_tap + c*w_c + o*w_o, and are read and written four at a time where
// that is possible: shared/weights_inputs.wgsl and shared/weights_outputs.wgsl say how, shared/operands_buffers.wgsl, or what is
// linked in its place, where operands lie, and shared/partials_inputs.wgsl how sums are written.
// Dispatch: one workgroup a tile, output-channel tile fastest.
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_broadcast.rs. c_src counts in chunks of CHUNK channels.

#import grid
#import finish
#import chunk1
#import pixel
#import operands_buffers
#import weights_inputs
#import partials_inputs
#import store1

struct Params {
    pixels: u32, // of dst (gather: or windows) or dy (grad_weight): n * h_dst * w_dst
    h_dst: u32,
    w_dst: u32,
    c_dst: u32,
    h_src: u32,
    w_src: u32,
    c_src: u32, // chunks
    k_h: u32,
    k_w: u32,
    mul_h: i32,
    mul_w: i32,
    off_h: i32,
    off_w: i32,
    step_h: i32,
    step_w: i32,
    bias: u32, // whether b is one
    tiles_c: u32, // tiles of output channels
    tiles_q: u32, // tiles of columns
    splits: u32,
    pixels_per_split: u32,
    h_full: u32, // the image that gather writes
    w_full: u32,
    first_h: u32,
    first_w: u32,
    stride_h: u32,
    stride_w: u32,
    w_first: u32, // these count as the weights are loaded and stored: in fours, or in ones
    w_row: u32,
    w_tap: u32,
    w_c: u32,
    w_chunk: u32, // between the first channels of two chunks
    w_o: u32,
    slope: f32, // of the activation
    w_windows: u32, // pixels in a row of what windows are taken of
}

const SUBGROUP: u32 = 8u;
// Output channels and pixels of an invocation.
const CHANNELS: u32 = 16u;
const PIXELS: u32 = 4u;
// Height and width of the windows whose maxima gather writes, and windows of an invocation.
const WINDOW_H: u32 = 1u;
const WINDOW_W: u32 = 1u;
const WINDOW: u32 = WINDOW_H * WINDOW_W;
const WINDOWS: u32 = PIXELS / WINDOW;
// Output channels of an invocation of grad_weight.
const ROWS: u32 = 32u;
// Loads of weights with which a subgroup has all that belong to a chunk.
const LOADS: u32 = CHANNELS / SUBGROUP;
// Output channels of an invocation, as fours.
const FOURS: u32 = CHANNELS / 4u;
// Places of the image, beyond the first, at which an invocation of gather looks for taps to leave out.
const MOST_PLACES: u32 = 3u;
// Terms that one accumulator may take over batch and space.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
// 1, 2: src and w, where a variant has its operands; 4: dst, so many channels at a time; 6: part, as weights are stored;
// 11: argmax, where there are windows.
@group(0) @binding(3) var<storage, read> b: array<f32>; // [c_dst], or anything
@group(0) @binding(5) var<storage, read> dy: array<f32>; // [pixels, c_dst]

@compute @workgroup_size(SUBGROUP)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let first = unit % params.tiles_c * CHANNELS;
    let base_pixel = unit / params.tiles_c * (WINDOWS * SUBGROUP);
    if base_pixel >= params.pixels {
        return;
    }
    let start = base_pixel + lane;
    // Images are the fastest: lanes then are at one place of different images, and agree on which taps lie inside.
    let images = params.pixels / (params.h_dst * params.w_dst);
    var image: array<u32, PIXELS>;
    var row: array<i32, PIXELS>;
    var col: array<i32, PIXELS>;
    //#unroll
    for (var v = 0u; v < PIXELS; v++) {
        let at = start + v / WINDOW * SUBGROUP;
        let place = at / images;
        image[v] = at % images;
        row[v] = i32(place / params.w_dst * WINDOW_H + v % WINDOW / WINDOW_W) * params.mul_h + params.off_h;
        col[v] = i32(place % params.w_dst * WINDOW_W + v % WINDOW_W) * params.mul_w + params.off_w;
    }
    // The taps that lie inside of the image at one of the places: numbers that are the same for all lanes, since what broadcasts
    // must be reached by all of them. Small batches have many places, and take all taps, as windows do.
    let from_place = base_pixel / images;
    let to_place = min(base_pixel + WINDOWS * SUBGROUP - 1u, params.pixels - 1u) / images;
    let many = (to_place > from_place + MOST_PLACES) | (WINDOW > 1u);
    var tops = vec2<u32>(params.k_h, 0u);
    for (var p = 0u; p < params.k_h; p++) {
        var any = many;
        for (var place = from_place; place <= to_place && !many; place++) {
            let h = i32(place / params.w_dst) * params.mul_h + params.off_h + i32(p) * params.step_h;
            any |= u32(h) < params.h_src;
        }
        tops = select(tops, vec2<u32>(min(tops.x, p), p + 1u), any);
    }
    var sides = vec2<u32>(params.k_w, 0u);
    for (var q = 0u; q < params.k_w; q++) {
        var any = many;
        for (var place = from_place; place <= to_place && !many; place++) {
            let x = i32(place % params.w_dst) * params.mul_w + params.off_w + i32(q) * params.step_w;
            any |= u32(x) < params.w_src;
        }
        sides = select(sides, vec2<u32>(min(sides.x, q), q + 1u), any);
    }
    var acc: array<f32, CHANNELS * PIXELS>;
    var weight_at: array<u32, LOADS>;
    //#unroll
    for (var r = 0u; r < LOADS; r++) {
        weight_at[r] = first_weight(first, r * SUBGROUP + lane);
    }
    for (var p = tops.x; p < tops.y; p++) {
        for (var q = sides.x; q < sides.y; q++) {
            var base: array<u32, PIXELS>;
            var inside: array<bool, PIXELS>;
            //#unroll
            for (var v = 0u; v < PIXELS; v++) {
                let h = row[v] + i32(p) * params.step_h;
                let x = col[v] + i32(q) * params.step_w;
                // Not &&: a chain of branches in each unrolled load keeps one software driver compiling for seconds.
                // What lies before the first row or column is a large number once it has no sign.
                inside[v] = (u32(h) < params.h_src) & (u32(x) < params.w_src);
                base[v] = ((image[v] * params.h_src + u32(h)) * params.w_src + u32(x)) * params.c_src;
            }
            let tap = params.w_first + p * params.w_row + q * params.w_tap;
            for (var c = 0u; c < params.c_src; c++) {
                var weight: array<Chunk, LOADS>;
                //#unroll
                for (var r = 0u; r < LOADS; r++) {
                    weight[r] = load_weight(weight_at[r] + tap + c * params.w_chunk);
                }
                var value: array<Chunk, PIXELS>;
                //#unroll
                for (var v = 0u; v < PIXELS; v++) {
                    value[v] = load_src(base[v] + c, inside[v]);
                }
                multiply(&acc, &weight, &value);
            }
        }
    }
    //#unroll
    for (var r = 0u; r < LOADS; r++) {
        let bias = select(0.0, b[min(first + r * SUBGROUP + lane, params.c_dst - 1u)], params.bias == 1u);
        //#unroll
        for (var o = 0u; o < SUBGROUP; o++) {
            let a = subgroupBroadcast(bias, o);
            //#unroll
            for (var v = 0u; v < PIXELS; v++) {
                acc[(r * SUBGROUP + o) * PIXELS + v] += a;
            }
        }
    }
    //#unroll
    for (var s = 0u; s < WINDOWS; s++) {
        let at = start + s * SUBGROUP;
        if at < params.pixels {
            let place = at / images;
            let i = place / params.w_dst;
            let j = place % params.w_dst;
            let line = at % images * params.h_full + params.first_h + i * params.stride_h;
            let to = (line * params.w_full + params.first_w + j * params.stride_w) * params.c_dst + first;
            let corner = i * WINDOW_H * params.w_windows + j * WINDOW_W;
            //#unroll
            for (var o = 0u; o < CHANNELS; o += 4u) {
                if first + o < params.c_dst {
                    var best = nothing();
                    //#unroll
                    for (var v = 0u; v < WINDOW; v++) {
                        var value: vec4<f32>;
                        //#unroll
                        for (var e = 0u; e < 4u; e++) {
                            // There may be fewer than four.
                            let at = to + o + min(e, params.c_dst - first - o - 1u);
                            value[e] = finish(acc[(o + e) * PIXELS + s * WINDOW + v], at, params.slope);
                        }
                        best = take(best, value, v == 0u, corner + v / WINDOW_W * params.w_windows + v % WINDOW_W);
                    }
                    store_dst(to + o, params.c_dst - first - o, best.value);
                    store_place(to + o, best);
                }
            }
        }
    }
}

@compute @workgroup_size(SUBGROUP)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let first = unit % params.tiles_c * ROWS;
    // Beyond the last split there are no pixels.
    let split = unit / (params.tiles_c * params.tiles_q);
    let columns = params.k_h * params.k_w * params.c_src;
    let column = unit / params.tiles_c % params.tiles_q * SUBGROUP + lane;
    let c = column % params.c_src;
    let q = column / params.c_src % params.k_w;
    let p = column / (params.c_src * params.k_w);
    let row = params.off_h + i32(p) * params.step_h;
    let col = params.off_w + i32(q) * params.step_w;
    let end = min((split + 1u) * params.pixels_per_split, params.pixels);
    var pixel = split * params.pixels_per_split;
    var j = pixel % params.w_dst;
    var i = pixel / params.w_dst % params.h_dst;
    var n = pixel / (params.w_dst * params.h_dst);
    let at = part_at(split * (columns * params.c_dst), first) + p * params.w_row + q * params.w_tap + c * params.w_chunk;
    for (var block = 0u; pixel < end; block++) {
        // Said, since not every compiler sets to 0 anew what a loop declares.
        var acc = array<Chunk, ROWS>();
        let stop = min(pixel + BLOCK, end);
        for (; pixel < stop; pixel++) {
            var upstream: array<f32, ROWS / SUBGROUP>;
            //#unroll
            for (var r = 0u; r < ROWS / SUBGROUP; r++) {
                upstream[r] = dy[pixel * params.c_dst + min(first + r * SUBGROUP + lane, params.c_dst - 1u)];
            }
            let h = i32(i) * params.mul_h + row;
            let x = i32(j) * params.mul_w + col;
            let inside = (u32(h) < params.h_src) & (u32(x) < params.w_src);
            let from_at = ((n * params.h_src + u32(h)) * params.w_src + u32(x)) * params.c_src + c;
            let value = load_src(from_at, inside);
            //#unroll
            for (var o = 0u; o < ROWS; o++) {
                acc[o] += subgroupBroadcast(upstream[o / SUBGROUP], o % SUBGROUP) * value;
            }
            j++;
            if j == params.w_dst {
                j = 0u;
                i++;
                if i == params.h_dst {
                    i = 0u;
                    n++;
                }
            }
        }
        if column < columns {
            //#unroll
            for (var o = 0u; o < ROWS; o += 4u) {
                if first + o < params.c_dst {
                    let rows = array<Chunk, 4>(acc[o], acc[o + 1u], acc[o + 2u], acc[o + 3u]);
                    store_part(at + row_at(o), params.c_dst - first - o, rows, block == 0u);
                }
            }
        }
    }
}
