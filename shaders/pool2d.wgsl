// Pooling over windows of an image and over the whole image, baseline: an invocation walks along one row of the output in
// one channel, so that its place is divided out of the linear index once a row (integer division is slow on CPU adapters).
//
//   max         y[n,i,j,c]  = max_{p,q} x[n, i*s_h + p - pad_h, j*s_w + q - pad_w, c], argmax its row * w_in + column
//   max_grad    dx[n,h,w,c] = sum over the windows (i,j) whose argmax is (h,w) of dy[n,i,j,c]
//   avg         y[n,i,j,c]  = 1/D(i,j) * sum_{p,q} x[n, i*s_h + p - pad_h, j*s_w + q - pad_w, c]
//   avg_grad    dx[n,h,w,c] = sum over the windows (i,j) that hold (h,w) of dy[n,i,j,c] / D(i,j)
//   global      part[s,n,c] = 1/(h*w) * sum over the pixels of split s of x[n,h,w,c]
//               (the splits are added in order by `shaders/reduce.wgsl`)
//   global_grad dx[n,h,w,c] = dy[n,c] / (h*w)
//
// D(i,j) counts a window's cells inside the image, or inside the image and its border. A NaN wins a maximum.
// Dispatch: max, max_grad, avg, avg_grad: one invocation a row and channel (n, row, c) of the output; global, global_grad: one
// an element; folded (shared/grid.wgsl).
// Definition: src/ops/pool2d.rs. Host: src/kernels/pool2d.rs.

#import grid
#import finite

struct Params {
    n: u32,
    h_in: u32,
    w_in: u32,
    c: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32, // top
    pad_w: u32, // left
    border_h: u32, // height of the image and its border where the border counts, else 0
    border_w: u32,
    splits: u32,
    pixels_per_split: u32, // of h_in * w_in
}

const WORKGROUP: u32 = 64u;
// Terms that one accumulator may take over space.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, h_in, w_in, c]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [n, h_out, w_out, c]
@group(0) @binding(3) var<storage, read_write> argmax: array<u32>; // [n, h_out, w_out, c]
@group(0) @binding(4) var<storage, read> dy: array<f32>; // [n, h_out, w_out, c]; [n, c] for global_grad
@group(0) @binding(5) var<storage, read> places: array<u32>; // [n, h_out, w_out, c], the forward argmax
@group(0) @binding(6) var<storage, read_write> dx: array<f32>; // [n, h_in, w_in, c]
@group(0) @binding(7) var<storage, read_write> part: array<f32>; // [splits, n, c]

struct Span {
    start: u32,
    end: u32,
}

// Rows (or columns) of the image that window `out` covers: at least one, since borders are narrower than windows.
fn covered(out: u32, stride: u32, k: u32, pad: u32, len: u32) -> Span {
    let at = out * stride;
    return Span(max(at, pad) - pad, min(at + k - pad, len));
}

// Windows that cover row (or column) `i`.
fn covering(i: u32, stride: u32, k: u32, pad: u32, count: u32) -> Span {
    let at = i + pad;
    let first = (max(at + 1u, k) - k + stride - 1u) / stride;
    return Span(first, min(at / stride + 1u, count));
}

// The windows that cover column `col`, from those that cover the one before it, without a division.
fn advance(before: Span, col: u32) -> Span {
    let at = col + params.pad_w;
    var span = before;
    while span.end < params.w_out && span.end * params.stride_w <= at {
        span.end++;
    }
    while span.start * params.stride_w + params.k_w <= at {
        span.start++;
    }
    return span;
}

// Cells of window `out` along an axis: inside the image, or inside the border where that is given.
fn cells(out: u32, stride: u32, k: u32, pad: u32, len: u32, border: u32) -> u32 {
    if border > 0u {
        return min(out * stride + k, border) - out * stride;
    }
    let span = covered(out, stride, k, pad, len);
    return span.end - span.start;
}

// The divisor of the mean over window (i, j).
fn divisor(i: u32, j: u32) -> f32 {
    return f32(cells(i, params.stride_h, params.k_h, params.pad_h, params.h_in, params.border_h)
        * cells(j, params.stride_w, params.k_w, params.pad_w, params.w_in, params.border_w));
}

@compute @workgroup_size(WORKGROUP)
fn max_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.h_out * params.c {
        return;
    }
    let c = index % params.c;
    let line = index / params.c;
    let i = line % params.h_out;
    let image = line / params.h_out * params.h_in * params.w_in;
    let rows = covered(i, params.stride_h, params.k_h, params.pad_h, params.h_in);
    for (var j = 0u; j < params.w_out; j++) {
        let cols = covered(j, params.stride_w, params.k_w, params.pad_w, params.w_in);
        var place = rows.start * params.w_in + cols.start;
        var best = x[(image + place) * params.c + c];
        for (var row = rows.start; row < rows.end; row++) {
            for (var col = cols.start; col < cols.end; col++) {
                let at = row * params.w_in + col;
                let v = x[(image + at) * params.c + c];
                if v > best || is_nan(v) {
                    best = v;
                    place = at;
                }
            }
        }
        let at = (line * params.w_out + j) * params.c + c;
        y[at] = best;
        argmax[at] = place;
    }
}

@compute @workgroup_size(WORKGROUP)
fn max_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.h_in * params.c {
        return;
    }
    let c = index % params.c;
    let line = index / params.c;
    let row = line % params.h_in;
    let image = line / params.h_in * params.h_out * params.w_out;
    let across = covering(row, params.stride_h, params.k_h, params.pad_h, params.h_out);
    var along = Span(0u, 0u);
    for (var col = 0u; col < params.w_in; col++) {
        along = advance(along, col);
        var sum = 0.0;
        for (var i = across.start; i < across.end; i++) {
            for (var j = along.start; j < along.end; j++) {
                let at = (image + i * params.w_out + j) * params.c + c;
                if places[at] == row * params.w_in + col {
                    sum += dy[at];
                }
            }
        }
        dx[(line * params.w_in + col) * params.c + c] = sum;
    }
}

@compute @workgroup_size(WORKGROUP)
fn avg_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.h_out * params.c {
        return;
    }
    let c = index % params.c;
    let line = index / params.c;
    let i = line % params.h_out;
    let image = line / params.h_out * params.h_in * params.w_in;
    let rows = covered(i, params.stride_h, params.k_h, params.pad_h, params.h_in);
    for (var j = 0u; j < params.w_out; j++) {
        let cols = covered(j, params.stride_w, params.k_w, params.pad_w, params.w_in);
        var total = 0.0;
        for (var row = rows.start; row < rows.end; row++) {
            var sum = 0.0;
            for (var col = cols.start; col < cols.end; col++) {
                sum += x[(image + row * params.w_in + col) * params.c + c];
            }
            total += sum;
        }
        y[(line * params.w_out + j) * params.c + c] = total / divisor(i, j);
    }
}

@compute @workgroup_size(WORKGROUP)
fn avg_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.n * params.h_in * params.c {
        return;
    }
    let c = index % params.c;
    let line = index / params.c;
    let row = line % params.h_in;
    let image = line / params.h_in * params.h_out * params.w_out;
    let across = covering(row, params.stride_h, params.k_h, params.pad_h, params.h_out);
    var along = Span(0u, 0u);
    for (var col = 0u; col < params.w_in; col++) {
        along = advance(along, col);
        var total = 0.0;
        for (var i = across.start; i < across.end; i++) {
            var sum = 0.0;
            for (var j = along.start; j < along.end; j++) {
                sum += dy[(image + i * params.w_out + j) * params.c + c] / divisor(i, j);
            }
            total += sum;
        }
        dx[(line * params.w_in + col) * params.c + c] = total;
    }
}

@compute @workgroup_size(WORKGROUP)
fn global_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.n * params.c {
        return;
    }
    let pixels = params.h_in * params.w_in;
    let c = index % params.c;
    let n = index / params.c % params.n;
    let first = index / (params.c * params.n) * params.pixels_per_split;
    let end = min(first + params.pixels_per_split, pixels);
    var total = 0.0;
    for (var start = first; start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum = 0.0;
        for (var pixel = start; pixel < stop; pixel++) {
            sum += x[(n * pixels + pixel) * params.c + c];
        }
        total += sum;
    }
    part[index] = total / f32(pixels);
}

@compute @workgroup_size(WORKGROUP)
fn global_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let pixels = params.h_in * params.w_in;
    if index >= params.n * pixels * params.c {
        return;
    }
    dx[index] = dy[index / (pixels * params.c) * params.c + index % params.c] / f32(pixels);
}
