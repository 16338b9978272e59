// The last layer of a classifier, its loss and the gradient of the loss, a workgroup a row of the batch.
//
//   joined       logits[n,o] = b[o] + sum_{p,c} x[n,p,c] * w[o,c,p], and of these row_loss and dlogits as loss.wgsl has them
//   joined_grad  the same, dx[n,p,c] = f(sum_o dlogits[n,o] * w[o,c,p]) with what shared/finish.wgsl, or
//                shared/finish_gradient.wgsl or shared/finish_hidden.wgsl in its place, makes of a sum, and for each row dw[n,o,c,p] = dlogits[n,o] * x[n,p,c],
//                db[n,o] = dlogits[n,o]; shared/head_hidden.wgsl computes x before that
//
// `share` lanes sum the products of one class, as many classes at once as that leaves; k is at most CLASSES.
// x is an image, channels fastest, whose elements the weights count pixels fastest, or rows: images of one pixel.
// Dispatch: one workgroup a row; folded (shared/grid.wgsl).
// Definition: src/ops/fused/head.rs. Host: src/kernels/linear_cross_entropy.rs.

#import grid
#import finite
#import exponential
#import cross_entropy
#import finish
#import head_input

struct Params {
    rows: u32, // n
    pixels: u32,
    channels: u32,
    k: u32, // classes
    share: u32, // lanes of a class, a power of two
    bias: u32, // whether b is one
    smoothing: f32, // s
    rest: f32, // 1 - s
    even: f32, // s / k
    sums_b: u32, // joined_grad: whether db is wanted
    slope: f32, // of the activation
    pixels1: u32, // of what the layer before reads, where that is computed too (shared/head_hidden.wgsl), and its channels
    channels1: u32,
    bias1: u32, // whether b1 is one
    share1: u32, // lanes of a channel, a power of two
}

const LANES: u32 = 256u;
const BLOCK: u32 = 256u;
const CLASSES: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
// 1: x
@group(0) @binding(2) var<storage, read> w: array<f32>; // [k, channels, pixels]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [k], or anything
@group(0) @binding(4) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(5) var<storage, read> dloss: array<f32>; // [1]
@group(0) @binding(6) var<storage, read_write> logits: array<f32>; // [rows, k]
@group(0) @binding(7) var<storage, read_write> row_loss: array<f32>; // [rows]
@group(0) @binding(8) var<storage, read_write> dlogits: array<f32>; // [rows, k]
@group(0) @binding(9) var<storage, read_write> dw: array<f32>; // [rows, k, channels, pixels]
@group(0) @binding(10) var<storage, read_write> db: array<f32>; // [rows, k], or anything
@group(0) @binding(11) var<storage, read_write> dx: array<f32>; // as x
// 12: what is saved of an activation

// What each lane has summed.
var<workgroup> parts: array<f32, LANES>;
// The row's logits.
var<workgroup> scores: array<f32, CLASSES>;

// The logit of class j in the workgroup's row.
fn logit(row: u32, j: u32) -> f32 {
    return scores[j];
}

// A row has one label.
fn other_share(row: u32) -> f32 {
    return 0.0;
}

fn other_label(row: u32) -> u32 {
    return labels[row];
}

// The logits of a row, its loss and the gradient of that.
fn score_row(row: u32, lane: u32) {
    let inputs = params.pixels * params.channels;
    let member = lane % params.share;
    for (var o = 0u; o < params.k; o += LANES / params.share) {
        let place = o + lane / params.share;
        var sum = 0.0;
        if place < params.k {
            for (var i = member; i < inputs; i += params.share) {
                sum += x[row * inputs + i] * w[place * inputs + i % params.channels * params.pixels + i / params.channels];
            }
        }
        parts[lane] = sum;
        workgroupBarrier();
        if (member == 0u) & (place < params.k) {
            var score = 0.0;
            for (var s = 0u; s < params.share; s++) {
                score += parts[lane + s];
            }
            if params.bias == 1u {
                score += b[place];
            }
            scores[place] = score;
            logits[row * params.k + place] = score;
        }
        workgroupBarrier();
    }
    let norm = normaliser(row);
    if lane == 0u {
        row_loss[row] = loss_of(row, norm);
    }
    store_gradient(row, norm, lane, LANES);
}

@compute @workgroup_size(LANES)
fn joined(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_group(group, groups);
    if row >= params.rows {
        return;
    }
    score_row(row, lane);
}

@compute @workgroup_size(LANES)
fn joined_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_group(group, groups);
    if row >= params.rows {
        return;
    }
    prepare(row, lane);
    score_row(row, lane);
    // Every lane reads what all have stored.
    storageBarrier();
    let inputs = params.pixels * params.channels;
    for (var i = lane; i < inputs; i += LANES) {
        let at = row * inputs + i;
        let value = x[at];
        let weight = i % params.channels * params.pixels + i / params.channels;
        var sum = 0.0;
        for (var o = 0u; o < params.k; o++) {
            let slope = dlogits[row * params.k + o];
            sum += slope * w[o * inputs + weight];
            dw[(row * params.k + o) * inputs + weight] = slope * value;
        }
        dx[at] = finish(sum, at, params.slope);
    }
    if params.sums_b == 1u {
        for (var o = lane; o < params.k; o += LANES) {
            db[row * params.k + o] = dlogits[row * params.k + o];
        }
    }
}
