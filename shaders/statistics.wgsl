// What can be told of a tensor while a network trains, baseline: records of its parts, and the records of parts as one.
//
//   part         the record of elements start + l, start + l + 64, ... of row r of the table, for lane l; and how many of the
//                sampled magnitudes of the row lie in bin l
//   merge_rows   record[s,l] = the records [row,l] of the rows of tensor s as one, bins[s,l] = sum over these rows of bins[row,l]
//   merge_lanes  record[s]   = the records [s,l] of all lanes l as one
//   alive        out[s,c]    = 1 where x[row,c] != 0 in a row of split s, else 0
//
// A record has the counts: bits of the largest normal magnitude, zeros, subnormals, NaN and infinities, what is out of bounds; and
// the figures sum (x/u)^2 and sum |x|/u over its normal elements, where u = 2^(exponent of the largest - 1), so that the scale of
// a tensor costs no digits. Elements are told apart by their bits: devices flush subnormals and fold tests for NaN away.
// Dispatch: part one workgroup a row of the table; merge_rows one invocation a tensor and lane, merge_lanes one a tensor, alive
// one a split and channel; folded (shared/grid.wgsl).
// Definition: src/ops/statistics.rs. Host: src/kernels/statistics.rs.

#import grid
#import random

struct Params {
    rows: u32, // of the table, or of x
    subtract: u32, // whether x - before is looked at
    histogram: u32, // whether magnitudes are counted in bins
    low: f32, // what is below this ...
    high: f32, // ... or above this is out of bounds
    c: u32, // channels
    splits: u32,
    rows_per_split: u32,
}

const WORKGROUP: u32 = 64u;
const BLOCK: u32 = 256u;
const HELD: u32 = 8u; // elements that an invocation looks at together
const SAMPLE: u32 = 16u;
const DRAWN: u32 = 8u; // samples that one random number places
const LOWEST: u32 = 15u; // the exponent field with which bins begin
const COUNTS: u32 = 5u;
const LEAST_NORMAL: u32 = 0x00800000u;
const INFINITE: u32 = 0x7f800000u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [len], or [rows, c]
@group(0) @binding(2) var<storage, read> before: array<f32>; // [len]
@group(0) @binding(3) var<storage, read> table: array<vec2<u32>>; // [rows]: first element or row, and how many
@group(0) @binding(4) var<storage, read> figures: array<vec2<f32>>; // [rows, 64]
@group(0) @binding(5) var<storage, read> counts: array<u32>; // [rows, 64, 5]
@group(0) @binding(6) var<storage, read> bins: array<u32>; // [rows, 64]
@group(0) @binding(7) var<storage, read_write> figures_out: array<vec2<f32>>; // [rows, 64], or [tensors]
@group(0) @binding(8) var<storage, read_write> counts_out: array<u32>; // [rows, 64, 5], or [tensors, 5]
@group(0) @binding(9) var<storage, read_write> bins_out: array<u32>; // [rows, 64]
@group(0) @binding(10) var<storage, read_write> out: array<f32>; // [splits, c]

// How many sampled magnitudes of the row lie in each bin.
var<workgroup> tally: array<atomic<u32>, WORKGROUP>;

// The element at i.
fn load(i: u32) -> f32 {
    if params.subtract != 0u {
        return x[i] - before[i];
    }
    return x[i];
}

fn magnitude(value: f32) -> u32 {
    return bitcast<u32>(value) & 0x7fffffffu;
}

// The exponent field of a magnitude, at least that of the smallest normal number.
fn exponent(bits: u32) -> u32 {
    return max(bits >> 23u, 1u);
}

// What turns the figures of a record whose largest magnitude is `own` into units of one whose largest is `all`.
fn rescale(own: u32, all: u32) -> vec2<f32> {
    let less = exponent(all) - exponent(own);
    // So much smaller counts for nothing, and its square would be subnormal.
    let ratio = select(bitcast<f32>((127u - min(less, 60u)) << 23u), 0.0, less > 60u);
    return vec2<f32>(ratio * ratio, ratio);
}

// The bin of a magnitude: two octaves each, all smaller ones in the first bin and all larger ones in the last.
fn bin(bits: u32) -> u32 {
    return min((max(bits >> 23u, LOWEST) - LOWEST) / 2u, WORKGROUP - 1u);
}

@compute @workgroup_size(WORKGROUP)
fn part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_group(group, groups);
    if row >= params.rows {
        return;
    }
    let start = table[row].x;
    let len = table[row].y;
    let end = start + len;
    var largest = 0u;
    var zeros = 0u;
    var below = 0u; // the smallest normal number
    var broken = 0u;
    var outside = 0u;
    var total = vec2<f32>(0.0, 0.0);
    for (var first = start + lane; first < end; first += BLOCK * WORKGROUP) {
        let stop = min(first + BLOCK * WORKGROUP, end);
        var top = 0u;
        var sum = vec2<f32>(0.0, 0.0);
        for (var next = first; next < stop; next += HELD * WORKGROUP) {
            var held: array<f32, HELD>;
            var above = top;
            //#unroll
            for (var e = 0u; e < HELD; e++) {
                let i = next + e * WORKGROUP;
                let inside = i < stop;
                let value = load(min(i, stop - 1u));
                let bits = magnitude(value);
                let normal = inside & (bits >= LEAST_NORMAL) & (bits < INFINITE);
                held[e] = select(0.0, abs(value), normal);
                above = max(above, select(0u, bits, normal));
                zeros += select(0u, 1u, inside & (bits == 0u));
                below += select(0u, 1u, inside & (bits < LEAST_NORMAL));
                broken += select(0u, 1u, inside & (bits >= INFINITE));
                outside += select(0u, 1u, inside & (bits < INFINITE) & ((value < params.low) | (value > params.high)));
            }
            // One over the unit: 2^(128 - exponent).
            let factor = bitcast<f32>((255u - exponent(above)) << 23u);
            sum *= rescale(top, above);
            top = above;
            //#unroll
            for (var e = 0u; e < HELD; e++) {
                let scaled = held[e] * factor;
                sum += vec2<f32>(scaled * scaled, scaled);
            }
        }
        let all = max(largest, top);
        total = total * rescale(largest, all) + sum * rescale(top, all);
        largest = all;
    }
    var inside = 0u;
    if params.histogram != 0u {
        atomicStore(&tally[lane], 0u);
        workgroupBarrier();
        let samples = (len + SAMPLE - 1u) / SAMPLE;
        for (var j = lane; j < samples; j += WORKGROUP) {
            let places = pcg(j / DRAWN) >> (4u * (j % DRAWN));
            let bits = magnitude(load(start + min(SAMPLE * j + places % SAMPLE, len - 1u)));
            if (bits != 0u) & (bits < INFINITE) {
                atomicAdd(&tally[bin(bits)], 1u);
            }
        }
        workgroupBarrier();
        inside = atomicLoad(&tally[lane]);
    }
    let at = row * WORKGROUP + lane;
    figures_out[at] = total;
    counts_out[at * COUNTS] = largest;
    counts_out[at * COUNTS + 1u] = zeros;
    counts_out[at * COUNTS + 2u] = below - zeros;
    counts_out[at * COUNTS + 3u] = broken;
    counts_out[at * COUNTS + 4u] = outside;
    bins_out[at] = inside;
}

// Writes `many` records, from `first` on and `stride` apart, as one.
fn merge(first: u32, stride: u32, many: u32, to: u32) {
    var largest = 0u;
    var zeros = 0u;
    var subnormals = 0u;
    var broken = 0u;
    var outside = 0u;
    for (var k = 0u; k < many; k++) {
        let at = (first + k * stride) * COUNTS;
        largest = max(largest, counts[at]);
        zeros += counts[at + 1u];
        subnormals += counts[at + 2u];
        broken += counts[at + 3u];
        outside += counts[at + 4u];
    }
    var total = vec2<f32>(0.0, 0.0);
    for (var start = 0u; start < many; start += BLOCK) {
        let stop = min(start + BLOCK, many);
        var sum = vec2<f32>(0.0, 0.0);
        for (var k = start; k < stop; k++) {
            let at = first + k * stride;
            sum += figures[at] * rescale(counts[at * COUNTS], largest);
        }
        total += sum;
    }
    figures_out[to] = total;
    counts_out[to * COUNTS] = largest;
    counts_out[to * COUNTS + 1u] = zeros;
    counts_out[to * COUNTS + 2u] = subnormals;
    counts_out[to * COUNTS + 3u] = broken;
    counts_out[to * COUNTS + 4u] = outside;
}

@compute @workgroup_size(WORKGROUP)
fn merge_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    let tensor = index / WORKGROUP;
    if tensor >= params.rows {
        return;
    }
    let first = table[tensor].x * WORKGROUP + lane;
    let many = table[tensor].y;
    merge(first, WORKGROUP, many, index);
    var inside = 0u;
    for (var k = 0u; k < many; k++) {
        inside += bins[first + k * WORKGROUP];
    }
    bins_out[index] = inside;
}

@compute @workgroup_size(WORKGROUP)
fn merge_lanes(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tensor = linear_index(group, groups, lane, WORKGROUP);
    if tensor < params.rows {
        merge(tensor * WORKGROUP, 1u, WORKGROUP, tensor);
    }
}

@compute @workgroup_size(WORKGROUP)
fn alive(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.c {
        return;
    }
    let c = index % params.c;
    let first = index / params.c * params.rows_per_split;
    let end = min(first + params.rows_per_split, params.rows);
    var found = false;
    for (var row = first; row < end && !found; row++) {
        found = magnitude(x[row * params.c + c]) != 0u;
    }
    out[index] = select(0.0, 1.0, found);
}
