// The gradient of a convolution's weights along rows, for CPU adapters: no barriers, no workgroup memory; a workgroup is one
// subgroup, whose lanes are groups of four input channels in a row p of the kernel. What is loaded of x serves all taps of that row.
//
//   grad_weight  part[s,p,q,c,o] = sum over the runs of split s, each RUN pixels j of a row of y, of
//                dy[n,i,j,o] * x[n, i*stride_h + p*dilation_h - pad_h, j*STRIDE + q - pad_w, c]
//
// The sums of a split lie as the weights do (shared/partials_inputs.wgsl, or what is linked in its place).
// Dispatch: one workgroup a tile (ROWS output channels, TAPS taps, SUBGROUP columns (p, c)) and split, output channels fastest.
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_rows.rs. Channels count in fours.

#import grid
#import texel
#import chunk4
#import partials_inputs

struct Params {
    h_in: u32,
    w_in: u32,
    c_in: u32, // fours
    h_out: u32,
    w_out: u32,
    c_out: u32, // fours
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    dilation_h: u32,
    pad_h: u32,
    pad_w: u32,
    tiles_o: u32, // tiles of output channels
    tiles_q: u32, // tiles of taps of a row
    tiles_c: u32, // tiles of columns (p, c)
    runs: u32, // n * h_out * w_out / RUN
    splits: u32,
    runs_per_split: u32,
    w_row: u32, // these count as the sums are stored: in fours, or in ones
    w_tap: u32,
    w_c: u32,
    w_chunk: u32, // between the first channels of two fours
    w_o: u32,
}

const SUBGROUP: u32 = 8u;
// Output channels of an invocation, and as fours.
const ROWS: u32 = 8u;
const FOURS: u32 = ROWS / 4u;
// Taps of a row of the kernel that an invocation sums.
const TAPS: u32 = 3u;
// Pixels of a run; divides w_out.
const RUN: u32 = 4u;
const STRIDE: u32 = 1u;
// Pixels of x under a run and its taps.
const SPAN: u32 = (RUN - 1u) * STRIDE + TAPS;
// Loads with which a subgroup has all of dy that belongs to a run.
const LOADS: u32 = (RUN * FOURS + SUBGROUP - 1u) / SUBGROUP;
// Terms that one accumulator may take over batch and space.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>; // [n, h_in, w_in, c_in]
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>; // [n, h_out, w_out, c_out]

@compute @workgroup_size(SUBGROUP)
fn grad_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let first = unit % params.tiles_o * FOURS;
    let first_q = unit / params.tiles_o % params.tiles_q * TAPS;
    let tile = unit / (params.tiles_o * params.tiles_q);
    let split = tile / params.tiles_c;
    if split >= params.splits {
        return;
    }
    let column = tile % params.tiles_c * SUBGROUP + lane;
    let c = column % params.c_in;
    let p = column / params.c_in;
    // What lies before the first row or column is a large number, as it has no sign.
    let row = p * params.dilation_h - params.pad_h;
    let col = first_q - params.pad_w;
    let runs_per_row = params.w_out / RUN;
    let end = min((split + 1u) * params.runs_per_split, params.runs);
    var run = split * params.runs_per_split;
    var j = run % runs_per_row * RUN;
    var i = run / runs_per_row % params.h_out;
    var n = run / (runs_per_row * params.h_out);
    var total: array<vec4<f32>, ROWS * TAPS>;
    while run < end {
        // Said, since not every compiler sets to 0 anew what a loop declares.
        var acc = array<vec4<f32>, ROWS * TAPS>();
        let stop = min(run + BLOCK / RUN, end);
        for (; run < stop; run++) {
            var upstream: array<vec4<f32>, LOADS>;
            //#unroll
            for (var l = 0u; l < LOADS; l++) {
                let at = l * SUBGROUP + lane;
                let o = first + at % FOURS;
                let inside = (at < RUN * FOURS) & (o < params.c_out);
                upstream[l] = textureLoad(dy, texel((run * RUN + at / FOURS) * params.c_out + o, inside));
            }
            let h = i * params.stride_h + row;
            let from_col = j * STRIDE + col;
            let from_at = ((n * params.h_in + h) * params.w_in + from_col) * params.c_in + c;
            var value: array<vec4<f32>, SPAN>;
            //#unroll
            for (var s = 0u; s < SPAN; s++) {
                let inside = (h < params.h_in) & (from_col + s < params.w_in);
                value[s] = textureLoad(x, texel(from_at + s * params.c_in, inside));
            }
            // Two output channels at a time, each over the whole run: there are more sums than registers.
            //#unroll
            for (var f = 0u; f < FOURS; f++) {
                //#unroll
                for (var e = 0u; e < 4u; e += 2u) {
                    //#unroll
                    for (var q = 0u; q < TAPS; q++) {
                        //#unroll
                        for (var v = 0u; v < RUN; v++) {
                            let a = subgroupBroadcast(upstream[(v * FOURS + f) / SUBGROUP], (v * FOURS + f) % SUBGROUP);
                            acc[(4u * f + e) * TAPS + q] += a[e] * value[v * STRIDE + q];
                            acc[(4u * f + e + 1u) * TAPS + q] += a[e + 1u] * value[v * STRIDE + q];
                        }
                    }
                }
            }
            j += RUN;
            if j == params.w_out {
                j = 0u;
                i++;
                if i == params.h_out {
                    i = 0u;
                    n++;
                }
            }
        }
        //#unroll
        for (var k = 0u; k < ROWS * TAPS; k++) {
            total[k] += acc[k];
        }
    }
    if p >= params.k_h {
        return;
    }
    let len = params.k_h * params.k_w * params.c_in * params.c_out * 4u;
    let at = part_at(split * len, first * 4u) + p * params.w_row + first_q * params.w_tap + c * params.w_chunk;
    //#unroll
    for (var f = 0u; f < FOURS; f++) {
        if first + f < params.c_out {
            //#unroll
            for (var q = 0u; q < TAPS; q++) {
                if first_q + q < params.k_w {
                    let rows = array<Chunk, 4>(
                        total[(4u * f + 0u) * TAPS + q],
                        total[(4u * f + 1u) * TAPS + q],
                        total[(4u * f + 2u) * TAPS + q],
                        total[(4u * f + 3u) * TAPS + q],
                    );
                    store_part(at + row_at(4u * f) + q * params.w_tap, 4u, rows, true);
                }
            }
        }
    }
}
