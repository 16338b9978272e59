// Convolution for GPUs: implicit GEMM through workgroup memory, a tile a workgroup, 4 x 4 outputs an invocation. A tile has 64 x 64
// outputs, or for problems that would keep too few workgroups busy 32 x 32 or 16 x 16, of which 4 or 16 invocations each sum a slice of
// the terms; these sums are added up in the end, in order.
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
#import tile_walk
#import tile_sums
#import finish
#import pixel
#import bias
#import arriving_pixels
#import source_image
#import image_plain
#import no_moments

const THREADS: u32 = 256u;
// Terms that one accumulator may take over batch and space; a multiple of 16.
const BLOCK: u32 = 256u;
// Whether a split of grad_weight may have more of them than its slices take.
const LONG: bool = false;
// Height and width of the windows whose maxima gather writes.
const WINDOW_H: u32 = 1u;
const WINDOW_W: u32 = 1u;
const WINDOW: u32 = WINDOW_H * WINDOW_W;

@group(0) @binding(1) var<storage, read> src: array<f32>; // [n, h_src, w_src, c_src]
@group(0) @binding(2) var<storage, read> w: array<f32>; // weights, strided by w_tap, w_c, w_o
@group(0) @binding(4) var<storage, read_write> dst: array<f32>; // [pixels, c_dst]
// 3: b; 5, 7, 8: where dy comes from; 11: argmax, where there are windows; 12: what is saved of an activation; 13: moments of what is
// written (shared/moments.wgsl); 14: the table of what is read normalised (shared/image_normalised.wgsl).
@group(0) @binding(6) var<storage, read_write> part: array<f32>; // [splits, as the weights]
@group(0) @binding(9) var<storage, read_write> part_b: array<f32>; // [splits, c_dst]

// Element e of four columns: neighbours are those of neighbouring invocations, as memory is read best. Windows are stored in fours.
fn column_of(p: Params, column: u32, e: u32) -> u32 {
    if WINDOW > 1u {
        return column * 4u + e;
    }
    return column + e * p.fours;
}

// Fours of columns whose moments are taken together.
fn fours_across(p: Params) -> u32 {
    return p.fours;
}

// src at a pixel, channel c; 0 outside.
fn load_src(p: Params, at: Read, c: u32, channel: Reading) -> f32 {
    return select(0.0, image_value(select(0u, at.index, at.inside) * p.c_src + c, channel, p.slope), at.inside);
}

// Four columns of B in one row of it; 0 outside.
fn load_weights(p: Params, at: Column, n0: u32, mine: u32) -> vec4<f32> {
    let first = weight_of(p, at);
    let there = exists(p, at);
    var weights: vec4<f32>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        let o = n0 + column_of(p, mine, e);
        let inside = there & (o < p.c_dst);
        weights[e] = select(0.0, w[select(0u, first + o * p.w_o, inside)], inside);
    }
    return weights;
}

fn gather_tile(p: Params, unit: u32, lane: u32) {
    let fours = p.fours;
    let pitch = fours + 1u;
    let deep = TERMS / fours;
    let n0 = unit % p.tiles_n * fours * 4u;
    let m0 = unit / p.tiles_n * fours * 4u;
    let depth = p.k_h * p.k_w * p.c_src;
    let at = spot(fours, lane);
    // Of A this invocation loads a column of four rows: neighbours take what lies side by side in memory.
    let row_loaded = lane / deep;
    var rows: array<Pixel, 4>;
    var windows = place_at(p, min(m0 + row_loaded * 4u, p.pixels - 1u) / WINDOW);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        // What is beyond the last pixel repeats it.
        if r % WINDOW == 0u && r > 0u && m0 + row_loaded * 4u + r < p.pixels {
            windows = next_place(p, windows, vec3<u32>(0u, 0u, 1u));
        }
        rows[r] = pixel_at(p, windows.x, windows.y * WINDOW_H + r % WINDOW / WINDOW_W, windows.z * WINDOW_W + r % WINDOW_W);
    }
    // Of B, four columns of a row, likewise: columns or rows lie side by side.
    let by_columns = p.w_o == 1u;
    let k_weights = select(lane % deep, lane / fours, by_columns);
    let o_loaded = select(lane / deep, lane % fours, by_columns);
    let on = Column(p.on_p, p.on_q, p.on_c);
    var column = column_at(p, lane % deep);
    var weight_column = column_at(p, k_weights);
    var acc: array<vec4<f32>, 4>;
    // A turn more than there are depths: each multiplies what the one before has loaded.
    let end = select(0u, depth + deep, depth > 0u);
    for (var k0 = 0u; k0 < end; k0 += deep) {
        let loaded_a = load_rows(p, &rows, column);
        let loaded_b = load_weights(p, weight_column, n0, o_loaded);
        column = next_column(p, column, on);
        weight_column = next_column(p, weight_column, on);
        if k0 > 0u {
            multiply(&acc, at, fours);
        }
        workgroupBarrier();
        tile_a[lane % deep * pitch + row_loaded] = loaded_a;
        tile_b[k_weights * pitch + o_loaded] = loaded_b;
        workgroupBarrier();
    }
    let mine = collect(&acc, at, fours, lane, WINDOW > 1u || IN_FOURS);
    store_moments(p, m0, n0, at, &acc);
    store_tile(p, m0 + at.row * 4u, mine / WINDOW, n0, at.column, &acc);
}

// Writes windows mine.x to mine.y of four rows, the first of them m, of four columns.
fn store_tile(p: Params, m: u32, mine: vec2<u32>, n0: u32, column: u32, acc: ptr<function, array<vec4<f32>, 4>>) {
    var place = place_at(p, m / WINDOW + mine.x);
    // No unrolled loop: small problems wait for their code.
    for (var s = mine.x; s < mine.y; s++) {
        let i = place.y;
        let j = place.z;
        let row = place.x * p.h_full + p.first_h + i * p.stride_h;
        let to = (row * p.w_full + p.first_w + j * p.stride_w) * p.c_dst;
        let corner = i * WINDOW_H * p.w_between + j * WINDOW_W;
        place = next_place(p, place, vec3<u32>(0u, 0u, 1u));
        if m + s * WINDOW < p.pixels && n0 + column_of(p, column, 0u) < p.c_dst {
            // There may be fewer than four columns.
            let last = p.c_dst - 1u;
            var best = nothing();
            //#unroll
            for (var v = 0u; v < WINDOW; v++) {
                var value: vec4<f32>;
                //#unroll
                for (var e = 0u; e < 4u; e++) {
                    let o = min(n0 + column_of(p, column, e), last);
                    value[e] = finish((*acc)[v][e] + bias(o), to + o, p.slope);
                }
                best = take(best, value, v == 0u, corner + v / WINDOW_W * p.w_between + v % WINDOW_W);
            }
            //#unroll
            for (var e = 0u; e < 4u; e++) {
                let o = n0 + column_of(p, column, e);
                if o <= last {
                    dst[to + o] = best.value[e];
                }
            }
            store_place(to + n0 + column * 4u, best);
        }
        // What comes next is what comes first now.
        //#unroll
        for (var v = 0u; v < 4u - WINDOW; v++) {
            (*acc)[v] = (*acc)[v + WINDOW];
        }
    }
}

fn weight_tile(unit: u32, lane: u32) {
    let fours = params.fours;
    let pitch = fours + 1u;
    let deep = TERMS / fours;
    let n0 = unit % params.tiles_n * fours * 4u;
    let m0 = unit / params.tiles_n % params.tiles_m * fours * 4u;
    let split = unit / (params.tiles_n * params.tiles_m);
    let rows = params.k_h * params.k_w * params.c_src;
    let start = split * params.pixels_per_split;
    let end = min(start + params.pixels_per_split, params.pixels);
    let at = spot(fours, lane);
    var total: array<vec4<f32>, 4>;
    var acc: array<vec4<f32>, 4>;
    // Of the columns of B, in the first row.
    let sums_b = params.bias == 1u && m0 == 0u && at.row == 0u;
    var total_b = vec4<f32>(0.0);
    var acc_b = vec4<f32>(0.0);
    // Terms that these accumulators may still take, `fours` in each turn.
    var room = BLOCK;
    // This invocation loads of pixels `deep` apart always the same four rows of A and columns of B.
    let mine = lane % fours;
    let k_mine = lane / fours;
    let apart = Column(params.fours_p, params.fours_q, params.fours_c);
    var shifts: array<Shift, 4>;
    var channels: array<Reading, 4>;
    var cs: vec4<u32>;
    var column = column_at(params, m0 + mine);
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        shifts[e] = shift_of(params, column);
        channels[e] = reading(column.c);
        cs[e] = column.c;
        column = next_column(params, column, apart);
    }
    var pixel = start + k_mine;
    var place = place_at(params, pixel);
    let on = vec3<u32>(params.on_n, params.on_i, params.on_j);
    // A turn more than there are pixels: each multiplies what the one before has loaded.
    for (var k0 = start; k0 < end + deep; k0 += deep) {
        var a: vec4<f32>;
        var b: vec4<f32>;
        let inside = pixel < end;
        let source = pixel_at(params, place.x, place.y, place.z);
        //#unroll
        for (var e = 0u; e < 4u; e++) {
            let read = shifted(params, source, shifts[e]);
            a[e] = load_src(params, Read(read.h, read.w, read.index, read.inside & inside), cs[e], channels[e]);
            let o = n0 + column_of(params, mine, e);
            let there = inside & (o < params.c_dst);
            let upstream = arriving(select(0u, pixel, there), select(0u, place.x, there), place.y, place.z, select(0u, o, there));
            b[e] = select(0.0, upstream, there);
        }
        pixel += deep;
        place = next_place(params, place, on);
        if k0 > start {
            multiply(&acc, at, fours);
            if sums_b {
                for (var k = at.slice * fours; k < at.slice * fours + fours; k++) {
                    acc_b += tile_b[k * pitch + at.column];
                }
            }
            room -= fours;
            if LONG && room == 0u {
                room = BLOCK;
                //#unroll
                for (var r = 0u; r < 4u; r++) {
                    total[r] += acc[r];
                    acc[r] = vec4<f32>(0.0);
                }
                total_b += acc_b;
                acc_b = vec4<f32>(0.0);
            }
        }
        workgroupBarrier();
        tile_a[k_mine * pitch + mine] = a;
        tile_b[k_mine * pitch + mine] = b;
        workgroupBarrier();
    }
    if LONG {
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            acc[r] += total[r];
        }
        acc_b += total_b;
    }
    let stored = collect(&acc, at, fours, lane, false);
    if split >= params.splits {
        return;
    }
    let first = split * rows * params.c_dst;
    column = column_at(params, m0 + at.row + stored.x * fours);
    for (var r = stored.x; r < stored.y; r++) {
        //#unroll
        for (var s = 0u; s < 4u; s++) {
            let o = n0 + column_of(params, at.column, s);
            if exists(params, column) & (o < params.c_dst) {
                part[first + weight_of(params, column) + o * params.w_o] = acc[0][s];
            }
        }
        column = next_column(params, column, apart);
        // What comes next is what comes first now.
        //#unroll
        for (var v = 0u; v < 3u; v++) {
            acc[v] = acc[v + 1u];
        }
    }
    if params.bias == 1u && m0 == 0u {
        store_bias(acc_b, at, fours, lane, n0, split);
    }
}

// Adds up the sums of the first row's spots over all slices and stores them.
fn store_bias(mine: vec4<f32>, at: Spot, fours: u32, lane: u32, n0: u32, split: u32) {
    // All have left what the tiles held.
    tile_a[lane] = mine;
    workgroupBarrier();
    if at.row > 0u || at.slice > 0u {
        return;
    }
    var sum = mine;
    for (var other = lane + fours * fours; other < THREADS; other += fours * fours) {
        sum += tile_a[other];
    }
    //#unroll
    for (var s = 0u; s < 4u; s++) {
        let o = n0 + column_of(params, at.column, s);
        if o < params.c_dst {
            part_b[split * params.c_dst + o] = sum[s];
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
