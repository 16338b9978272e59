// Convolutions of few input channels, for CPU adapters: no barriers, no workgroup memory; a workgroup is one subgroup, whose
// lanes are groups of four output channels. All lanes need the same elements of x: each loads some of them, and
// subgroupBroadcast, which is free there, hands them round. A workgroup walks over a run of cells, each of CELL_H x CELL_W
// pixels of the output, and keeps its weights meanwhile.
//
//   forward      y[n,i,j,o] = f(b[o] + sum_{p,q,c} x[n, h, w, c] * w[p,q,c,o]), f an activation, or nothing (shared/activate.wgsl)
//                with h = i*STRIDE_H + p*DILATION_H - pad_h, w likewise
//   grad_weight  part[s,p,q,c,o] = sum over the pixels of the cells of split s of dy[n,i,j,o] * x[n, h, w, c], and where there
//                is a BIAS part[bias + s,o] = sum of dy[n,i,j,o] over the same
//
// What is written for a cell, and where dy comes from, says shared/cell_pixels.wgsl or what is linked in its place.
// Dispatch: one workgroup a tile of output channels and run of cells, tiles fastest.
// Definition: src/ops/conv2d.rs, src/ops/fused.rs. Host: src/kernels/conv2d_few_channels.rs. c_out counts in fours.

#import grid
#import activate
#import cell_pixels

struct Params {
    h_in: u32,
    w_in: u32,
    h_out: u32,
    w_out: u32,
    c_out: u32, // fours
    pad_h: u32,
    pad_w: u32,
    cells: u32, // n * cells_h * cells_w
    cells_h: u32,
    cells_w: u32,
    tiles: u32, // of output channels
    cells_per_run: u32,
    splits: u32,
    bias: u32, // forward: whether b is one; grad_weight: where the sums of dy begin in part
    slope: f32, // of the activation
}

const SUBGROUP: u32 = 8u;
const C_IN: u32 = 1u;
const K_H: u32 = 3u;
const K_W: u32 = 3u;
const STRIDE_H: u32 = 1u;
const STRIDE_W: u32 = 1u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const CELL_H: u32 = 2u;
const CELL_W: u32 = 2u;
// 1 where the gradient of a bias is wanted too.
const BIAS: u32 = 1u;
const PIXELS: u32 = CELL_H * CELL_W;
const TAPS: u32 = K_H * K_W * C_IN;
// What a cell needs of x: width, elements, and the loads with which a subgroup has them all.
const PATCH_H: u32 = (CELL_H - 1u) * STRIDE_H + (K_H - 1u) * DILATION_H + 1u;
const PATCH_W: u32 = (CELL_W - 1u) * STRIDE_W + (K_W - 1u) * DILATION_W + 1u;
const PATCH: u32 = PATCH_H * PATCH_W * C_IN;
const LOADS: u32 = (PATCH + SUBGROUP - 1u) / SUBGROUP;
// Terms that one accumulator may take over batch and space.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, h_in, w_in, C_IN]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>; // [K_H, K_W, C_IN, c_out]
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>; // [c_out], or anything
// 4 to 8: what is written for a cell, and where dy comes from.
@group(0) @binding(9) var<storage, read_write> part: array<vec4<f32>>; // [splits, K_H, K_W, C_IN, c_out], from `bias` on [splits, c_out]

// Element e of the patch of x whose corner is at (top, left) of image n, or zero where that lies outside of it.
fn element(e: u32, n: u32, top: u32, left: u32) -> f32 {
    // What lies before the first row or column is a large number, as it has no sign.
    let h = top + e / (PATCH_W * C_IN);
    let col = left + e / C_IN % PATCH_W;
    let inside = (h < params.h_in) & (col < params.w_in);
    let at = ((n * params.h_in + h) * params.w_in + col) * C_IN + e % C_IN;
    return select(0.0, x[select(0u, at, inside)], inside);
}

fn activate4(v: vec4<f32>) -> vec4<f32> {
    let low = vec2<f32>(activate(v.x, params.slope), activate(v.y, params.slope));
    let high = vec2<f32>(activate(v.z, params.slope), activate(v.w, params.slope));
    return vec4<f32>(low, high);
}

@compute @workgroup_size(SUBGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let o = unit % params.tiles * SUBGROUP + lane;
    // Lanes beyond the last channel compute it again, and write nothing.
    let mine = min(o, params.c_out - 1u);
    let run = unit / params.tiles;
    let end = min((run + 1u) * params.cells_per_run, params.cells);
    var weight: array<vec4<f32>, TAPS>;
    //#unroll
    for (var t = 0u; t < TAPS; t++) {
        weight[t] = w[t * params.c_out + mine];
    }
    let bias = select(vec4<f32>(), b[mine], params.bias == 1u);
    for (var cell = run * params.cells_per_run; cell < end; cell++) {
        let i = cell / params.cells_w % params.cells_h * CELL_H;
        let j = cell % params.cells_w * CELL_W;
        let n = cell / (params.cells_w * params.cells_h);
        let top = i * STRIDE_H - params.pad_h;
        let left = j * STRIDE_W - params.pad_w;
        var loaded: array<f32, LOADS>;
        //#unroll
        for (var l = 0u; l < LOADS; l++) {
            loaded[l] = element(l * SUBGROUP + lane, n, top, left);
        }
        var value: array<f32, PATCH>;
        //#unroll
        for (var e = 0u; e < PATCH; e++) {
            value[e] = subgroupBroadcast(loaded[e / SUBGROUP], e % SUBGROUP);
        }
        var best = nothing();
        //#unroll
        for (var v = 0u; v < PIXELS; v++) {
            var sum = bias;
            //#unroll
            for (var p = 0u; p < K_H; p++) {
                //#unroll
                for (var q = 0u; q < K_W; q++) {
                    //#unroll
                    for (var c = 0u; c < C_IN; c++) {
                        sum += value[((v / CELL_W * STRIDE_H + p * DILATION_H) * PATCH_W + v % CELL_W * STRIDE_W + q * DILATION_W) * C_IN + c] * weight[(p * K_W + q) * C_IN + c];
                    }
                }
            }
            let row = i + v / CELL_W;
            let col = j + v % CELL_W;
            let at = ((n * params.h_out + row) * params.w_out + col) * params.c_out + o;
            // A cell may hang over the right border, never over the lower one.
            let inside = (col < params.w_out) & (o < params.c_out);
            best = take(best, activate4(sum), v == 0u, row * params.w_out + col);
            store_pixel(at, inside, best);
        }
        if o < params.c_out {
            finish(best, cell * params.c_out + o);
        }
    }
}

@compute @workgroup_size(SUBGROUP)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let o = unit % params.tiles * SUBGROUP + lane;
    let mine = min(o, params.c_out - 1u);
    let split = unit / params.tiles;
    if split >= params.splits {
        return;
    }
    let end = min((split + 1u) * params.cells_per_run, params.cells);
    var cell = split * params.cells_per_run;
    var total: array<vec4<f32>, TAPS + BIAS>;
    while cell < end {
        // Said, since not every compiler sets to 0 anew what a loop declares.
        var acc = array<vec4<f32>, TAPS + BIAS>();
        let stop = min(cell + BLOCK / PIXELS, end);
        for (; cell < stop; cell++) {
            let i = cell / params.cells_w % params.cells_h * CELL_H;
            let j = cell % params.cells_w * CELL_W;
            let n = cell / (params.cells_w * params.cells_h);
            let top = i * STRIDE_H - params.pad_h;
            let left = j * STRIDE_W - params.pad_w;
            var loaded: array<f32, LOADS>;
            //#unroll
            for (var l = 0u; l < LOADS; l++) {
                loaded[l] = element(l * SUBGROUP + lane, n, top, left);
            }
            var value: array<f32, PATCH>;
            //#unroll
            for (var e = 0u; e < PATCH; e++) {
                value[e] = subgroupBroadcast(loaded[e / SUBGROUP], e % SUBGROUP);
            }
            let arrived = arriving(cell * params.c_out + mine);
            //#unroll
            for (var v = 0u; v < PIXELS; v++) {
                let row = i + v / CELL_W;
                let col = j + v % CELL_W;
                let at = ((n * params.h_out + row) * params.w_out + col) * params.c_out + mine;
                let upstream = share(arrived, row * params.w_out + col, at, col < params.w_out);
                //#unroll
                for (var p = 0u; p < K_H; p++) {
                    //#unroll
                    for (var q = 0u; q < K_W; q++) {
                        //#unroll
                        for (var c = 0u; c < C_IN; c++) {
                            acc[(p * K_W + q) * C_IN + c] += value[((v / CELL_W * STRIDE_H + p * DILATION_H) * PATCH_W + v % CELL_W * STRIDE_W + q * DILATION_W) * C_IN + c] * upstream;
                        }
                    }
                }
                //#unroll
                for (var r = 0u; r < BIAS; r++) {
                    acc[TAPS + r] += upstream;
                }
            }
        }
        //#unroll
        for (var t = 0u; t < TAPS + BIAS; t++) {
            total[t] += acc[t];
        }
    }
    if o < params.c_out {
        //#unroll
        for (var t = 0u; t < TAPS; t++) {
            part[(split * TAPS + t) * params.c_out + o] = total[t];
        }
        //#unroll
        for (var r = 0u; r < BIAS; r++) {
            part[params.bias + split * params.c_out + o] = total[TAPS + r];
        }
    }
}
