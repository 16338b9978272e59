// Sums over rows, baseline, in two stages: partial sums of blocks of rows, then the blocks in order.
//
//   sum_rows    part[s,c] = sum over the rows of split s of x[row, c]
//   sum_splits  out[i]    = sum_s part[s, i], in blocks of BLOCK splits
//   sum_both    the same, and out2[i] = sum_s part2[s, i]
//
// Neighbouring columns may come four at a time, as a Term (shared/split_sum.wgsl).
// Dispatch: one invocation a term of part or out, folded (shared/grid.wgsl); neighbours take neighbouring columns.
// Definition: src/ops/reduce.rs. Host: src/kernels/reduce.rs.

#import grid
#import split_sum

struct Params {
    rows: u32,
    len: u32, // columns, as terms
    len2: u32, // of part2
    splits: u32,
    rows_per_split: u32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Term>; // [rows, len]
@group(0) @binding(2) var<storage, read> part: array<Term>; // [splits, len]
@group(0) @binding(3) var<storage, read_write> out: array<Term>; // [splits, len] or [len]
@group(0) @binding(4) var<storage, read> part2: array<Term>; // [splits, len2]
@group(0) @binding(5) var<storage, read_write> out2: array<Term>; // [len2]

@compute @workgroup_size(WORKGROUP)
fn sum_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.splits * params.len {
        return;
    }
    let c = index % params.len;
    let first = index / params.len * params.rows_per_split;
    let end = min(first + params.rows_per_split, params.rows);
    var total = Term(0.0);
    for (var start = first; start < end; start += BLOCK) {
        let stop = min(start + BLOCK, end);
        var sum = Term(0.0);
        for (var row = start; row < stop; row++) {
            sum += x[row * params.len + c];
        }
        total += sum;
    }
    out[index] = total;
}

@compute @workgroup_size(WORKGROUP)
fn sum_splits(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index >= params.len {
        return;
    }
    out[index] = split_sum(index, params.len, params.splits);
}

@compute @workgroup_size(WORKGROUP)
fn sum_both(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.len {
        out[index] = split_sum(index, params.len, params.splits);
        return;
    }
    let index2 = index - params.len;
    if index2 >= params.len2 {
        return;
    }
    var total = Term(0.0);
    for (var start = 0u; start < params.splits; start += BLOCK) {
        let stop = min(start + BLOCK, params.splits);
        var sum = Term(0.0);
        for (var s = start; s < stop; s++) {
            sum += part2[s * params.len2 + index2];
        }
        total += sum;
    }
    out2[index2] = total;
}
