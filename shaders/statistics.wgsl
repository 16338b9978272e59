// What can be told of a tensor while a network trains, baseline: records of its parts, and the records of parts as one.
//
//   part         the record of quads l, l + 64, ... of row r of the table, for lane l: of four elements each; and how many of the
//                sampled magnitudes of the row lie in bin l
//   merge_rows   record[s,l] = the records [row,l] of the rows of tensor s as one, bins[s,l] = sum over these rows of bins[row,l],
//                seen[s,l] = what counts 5 is in record[s,l]
//   merge_lanes  record[s]   = the records [s,l] of all lanes l as one
//
// A record has the counts: bits of the largest normal magnitude, zeros, subnormals, NaN and infinities, what is out of bounds, and
// a bit for each place in a quad, set where an element there was not zero; and the figures sum (x/u)^2 and sum |x|/u over its
// normal elements, where u = 2^(exponent of the largest - 1), so that the scale of a tensor costs no digits. Elements are told
// apart by their bits: devices flush subnormals and fold tests for NaN away.
// Where all rows begin and end at multiples of four, shared/quads_whole.wgsl stands in for shared/quads_apart.wgsl.
// Dispatch: part one workgroup a row of the table; merge_rows one invocation a tensor and lane, merge_lanes one a tensor; folded
// (shared/grid.wgsl).
// Definition: src/ops/statistics.rs. Host: src/kernels/statistics.rs.

#import grid
#import quads_apart
#import random

struct Params {
    rows: u32, // of the table
    subtract: u32, // whether x - before is looked at
    histogram: u32, // whether magnitudes are counted in bins
    low: f32, // what is below this ...
    high: f32, // ... or above this is out of bounds
}

const WORKGROUP: u32 = 64u;
const QUAD: u32 = 4u;
// Terms that one accumulator may take.
const BLOCK: u32 = 256u;
const HELD: u32 = 2u; // quads that an invocation looks at together
const SAMPLE: u32 = 16u;
const DRAWN: u32 = 8u; // samples that one random number places
const LOWEST: u32 = 15u; // the exponent field with which bins begin
const COUNTS: u32 = 6u;
const LEAST_NORMAL: i32 = 0x00800000;
const INFINITE: i32 = 0x7f800000;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> table: array<vec2<u32>>; // [rows]: first element or row, and how many
@group(0) @binding(4) var<storage, read> figures: array<vec2<f32>>; // [rows, 64]
@group(0) @binding(5) var<storage, read> counts: array<u32>; // [rows, 64, 6]
@group(0) @binding(6) var<storage, read> bins: array<u32>; // [rows, 64]
@group(0) @binding(7) var<storage, read_write> figures_out: array<vec2<f32>>; // [rows, 64], or [tensors]
@group(0) @binding(8) var<storage, read_write> counts_out: array<u32>; // [rows, 64, 6], or [tensors, 6]
@group(0) @binding(9) var<storage, read_write> bins_out: array<u32>; // [rows, 64]
@group(0) @binding(10) var<storage, read_write> seen_out: array<u32>; // [tensors, 64]

// How many sampled magnitudes of the row lie in each bin.
var<workgroup> tally: array<atomic<u32>, WORKGROUP>;

// The bits of magnitudes, as integers with a sign, which processors compare sooner.
fn magnitudes(value: vec4<f32>) -> vec4<i32> {
    return bitcast<vec4<i32>>(value) & vec4<i32>(0x7fffffff);
}

// How many of four are so.
fn count(are: vec4<bool>) -> u32 {
    let ones = select(vec4<f32>(0.0), vec4<f32>(1.0), are);
    return u32(ones.x + ones.y + ones.z + ones.w);
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
    let quads = (len + QUAD - 1u) / QUAD;
    var largest = 0u;
    var zeros = 0u;
    var below = 0u; // the smallest normal number
    var broken = 0u;
    var outside = 0u;
    var seen = vec4<i32>(0);
    var total = vec2<f32>(0.0, 0.0);
    for (var first = lane; first < quads; first += BLOCK / QUAD * WORKGROUP) {
        let stop = min(first + BLOCK / QUAD * WORKGROUP, quads);
        var top = 0u;
        var sum = vec2<f32>(0.0, 0.0);
        for (var next = first; next < stop; next += HELD * WORKGROUP) {
            var held: array<vec4<f32>, HELD>;
            var above = 0;
            //#unroll
            for (var e = 0u; e < HELD; e++) {
                // Beyond the last quad, the first of these once more.
                let there = (e == 0u) | (next + e * WORKGROUP < stop);
                let i = start + select(next, next + e * WORKGROUP, there) * QUAD;
                let own = within(i, end);
                let value = quad(i, end);
                let bits = magnitudes(value);
                let inside = own & vec4<bool>(there);
                let finite = inside & (bits < vec4<i32>(INFINITE));
                let normal = finite & (bits >= vec4<i32>(LEAST_NORMAL));
                held[e] = select(vec4<f32>(0.0), abs(value), normal);
                let all = bitcast<vec4<i32>>(held[e]);
                above = max(above, max(max(all.x, all.y), max(all.z, all.w)));
                seen |= bitcast<vec4<i32>>(select(vec4<f32>(0.0), bitcast<vec4<f32>>(bits), own));
                zeros += count(inside & (bits == vec4<i32>(0)));
                below += count(inside & (bits < vec4<i32>(LEAST_NORMAL)));
                broken += count(inside & (bits >= vec4<i32>(INFINITE)));
                outside += count(finite & ((value < vec4<f32>(params.low)) | (value > vec4<f32>(params.high))));
            }
            // One over the unit: 2^(128 - exponent).
            let all = max(top, u32(above));
            let factor = bitcast<f32>((255u - exponent(all)) << 23u);
            sum *= rescale(top, all);
            top = all;
            //#unroll
            for (var e = 0u; e < HELD; e++) {
                // One after the other: a driver may take the factor out of a sum of products, and what it then adds overflows.
                //#unroll
                for (var k = 0u; k < QUAD; k++) {
                    let scaled = held[e][k] * factor;
                    sum += vec2<f32>(scaled * scaled, scaled);
                }
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
        let samples = (quads + SAMPLE - 1u) / SAMPLE;
        for (var j = lane; j < samples; j += WORKGROUP) {
            let places = pcg(j / DRAWN) >> (4u * (j % DRAWN));
            let i = start + min(SAMPLE * j + places % SAMPLE, quads - 1u) * QUAD;
            let bits = magnitudes(quad(i, end));
            let counted = within(i, end) & (bits > vec4<i32>(0)) & (bits < vec4<i32>(INFINITE));
            //#unroll
            for (var k = 0u; k < QUAD; k++) {
                if counted[k] {
                    atomicAdd(&tally[bin(u32(bits[k]))], 1u);
                }
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
    let bits = select(vec4<f32>(0.0), vec4<f32>(1.0, 2.0, 4.0, 8.0), seen != vec4<i32>(0));
    counts_out[at * COUNTS + 5u] = u32(bits.x + bits.y + bits.z + bits.w);
    bins_out[at] = inside;
}

// Writes `many` records, from `first` on and `stride` apart, as one; answers which places were seen in them.
fn merge(first: u32, stride: u32, many: u32, to: u32) -> u32 {
    var largest = 0u;
    var zeros = 0u;
    var subnormals = 0u;
    var broken = 0u;
    var outside = 0u;
    var seen = 0u;
    for (var k = 0u; k < many; k++) {
        let at = (first + k * stride) * COUNTS;
        largest = max(largest, counts[at]);
        zeros += counts[at + 1u];
        subnormals += counts[at + 2u];
        broken += counts[at + 3u];
        outside += counts[at + 4u];
        seen |= counts[at + 5u];
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
    counts_out[to * COUNTS + 5u] = seen;
    return seen;
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
    seen_out[index] = merge(first, WORKGROUP, many, index);
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
        _ = merge(tensor * WORKGROUP, 1u, WORKGROUP, tensor);
    }
}
