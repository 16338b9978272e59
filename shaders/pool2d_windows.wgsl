// Max pooling whose windows neither overlap nor leave gaps, four channels at a time: one window an invocation, which backwards
// writes all that its window covers, so that nothing is looked up twice.
//
//   forward  y[n,i,j,c] = max_{p,q} x[n, i*K_H + p, j*K_W + q, c], argmax its row * w_in + column
//   grad     dx[n, i*K_H + p, j*K_W + q, c] = dy[n,i,j,c] where argmax[n,i,j,c] is that place, else 0
//
// A window that hangs over the image (ceil_mode) ends with it; what no window covers gets 0. A NaN wins a maximum.
// Dispatch: forward: one invocation a window; grad: one a window or what would be one beyond the last; folded
// (shared/grid.wgsl).
// Definition: src/ops/pool2d.rs. Host: src/kernels/pool2d_windows.rs. c counts in fours.

#import grid

struct Params {
    n: u32,
    h_in: u32,
    w_in: u32,
    c: u32, // fours
    h_out: u32,
    w_out: u32,
    cells_h: u32, // windows that the image would fill if the last ones were let hang over
    cells_w: u32,
}

const WORKGROUP: u32 = 64u;
// Height and width of a window.
const K_H: u32 = 2u;
const K_W: u32 = 2u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [n, h_in, w_in, c]
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // [n, h_out, w_out, c]
@group(0) @binding(3) var<storage, read_write> argmax: array<vec4<u32>>; // [n, h_out, w_out, c]
@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>; // [n, h_out, w_out, c]
@group(0) @binding(5) var<storage, read> places: array<vec4<u32>>; // [n, h_out, w_out, c], the forward argmax
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>; // [n, h_in, w_in, c]

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let line = index / params.c / params.w_out;
    let n = line / params.h_out;
    if n >= params.n {
        return;
    }
    let c = index % params.c;
    let top = line % params.h_out * K_H;
    let left = index / params.c % params.w_out * K_W;
    let first = n * params.h_in * params.w_in;
    var place = vec4<u32>(top * params.w_in + left);
    var best = x[(first + place.x) * params.c + c];
    for (var row = top; row < min(top + K_H, params.h_in); row++) {
        for (var col = left; col < min(left + K_W, params.w_in); col++) {
            let at = row * params.w_in + col;
            let v = x[(first + at) * params.c + c];
            // NaN by its bits: compilers may assume that there is none.
            let is_nan = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
            let wins = (v > best) | is_nan;
            best = select(best, v, wins);
            // Not select: of integers, some GLSL compilers know none.
            place += vec4<u32>(wins) * (vec4<u32>(at) - place);
        }
    }
    y[index] = best;
    argmax[index] = place;
}

@compute @workgroup_size(WORKGROUP)
fn grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let line = index / params.c / params.cells_w;
    let n = line / params.cells_h;
    if n >= params.n {
        return;
    }
    let c = index % params.c;
    let i = line % params.cells_h;
    let j = index / params.c % params.cells_w;
    var upstream: vec4<f32>;
    var place: vec4<u32>;
    if i < params.h_out && j < params.w_out {
        let at = ((n * params.h_out + i) * params.w_out + j) * params.c + c;
        upstream = dy[at];
        place = places[at];
    }
    for (var row = i * K_H; row < min(i * K_H + K_H, params.h_in); row++) {
        for (var col = j * K_W; col < min(j * K_W + K_W, params.w_in); col++) {
            let is_it = place == vec4<u32>(row * params.w_in + col);
            dx[((n * params.h_in + row) * params.w_in + col) * params.c + c] = select(vec4<f32>(), upstream, is_it);
        }
    }
}
