// What steers a plan from inside: the step counter, the flag that stops all writes, and the records of a run.
//
//   guard              control.flag = 1 when the loss or the gradient's norm is not finite, or norm[1] says that an element is not
//   count_hits         hits[n] = whether the largest logit of row n (the first of equals) is its label
//   record_step        losses[step % s] = loss, norms[step % s] = norm, corrects[step % s] = sum_n hits[n],
//                      added to what is there where adds says so; unless flagged
//   record_evaluation  losses[step * n + r] = row_loss[r], classes[step * n + r] = place of row r's largest logit
//   advance            control.step += 1, unless flagged
//
// Dispatch: one invocation a row (hits, record_evaluation), folded (shared/grid.wgsl), or one workgroup in all.
// Definition: src/ops/control.rs. Host: src/kernels/control.rs.

#import grid
#import finite
#import largest

struct Params {
    rows: u32, // n
    k: u32, // classes
    len: u32, // places of the records
    adds: u32,
}

const WORKGROUP: u32 = 64u;
const STEP: u32 = 0u;
const FLAG: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(2) var<storage, read_write> control_out: array<u32>; // [4]
@group(0) @binding(3) var<storage, read> loss: array<f32>; // [1]
@group(0) @binding(4) var<storage, read> norm: array<f32>; // [2]
@group(0) @binding(5) var<storage, read> logits: array<f32>; // [rows, k]
@group(0) @binding(6) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(7) var<storage, read_write> hits_out: array<u32>; // [rows]
@group(0) @binding(8) var<storage, read> hits: array<u32>; // [rows]
@group(0) @binding(9) var<storage, read_write> losses: array<f32>; // [len]
@group(0) @binding(10) var<storage, read_write> norms: array<f32>; // [len]
@group(0) @binding(11) var<storage, read_write> corrects: array<u32>; // [len]
@group(0) @binding(12) var<storage, read> row_loss: array<f32>; // [rows]
@group(0) @binding(13) var<storage, read_write> classes: array<u32>; // [len]

@compute @workgroup_size(WORKGROUP)
fn guard(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u && (!is_finite(loss[0]) || !is_finite(norm[0]) || norm[1] != 0.0) {
        control_out[FLAG] = 1u;
    }
}

@compute @workgroup_size(WORKGROUP)
fn count_hits(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    if row < params.rows {
        hits_out[row] = select(0u, 1u, largest(row) == labels[row]);
    }
}

@compute @workgroup_size(WORKGROUP)
fn record_step(@builtin(local_invocation_index) lane: u32) {
    if lane != 0u || control[FLAG] != 0u {
        return;
    }
    let place = control[STEP] % params.len;
    losses[place] = loss[0];
    norms[place] = norm[0];
    var sum = select(0u, corrects[place], params.adds != 0u);
    for (var row = 0u; row < params.rows; row++) {
        sum += hits[row];
    }
    corrects[place] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn record_evaluation(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = linear_index(group, groups, lane, WORKGROUP);
    // The second test keeps step * rows from wrapping.
    if row >= params.rows || control[STEP] > params.len / params.rows {
        return;
    }
    let place = control[STEP] * params.rows + row;
    if place < params.len {
        losses[place] = row_loss[row];
        classes[place] = largest(row);
    }
}

@compute @workgroup_size(WORKGROUP)
fn advance(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u && control_out[FLAG] == 0u {
        control_out[STEP] += 1u;
    }
}
