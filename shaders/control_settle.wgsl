// What stands between the gradients of a step and its update, in two dispatches.
//
//   settle_part  part[s] = (sum of g^2, how many g are not finite) over the elements of split s, and from rows_at on
//                part[rows_at + r] = (sum of row_loss, how many largest logits are labels) over the rows r, r + row_parts, ...
//   settle       loss = sum of the latter / rows, norm[0] = sqrt(sum_s part[s]), norm[1] = (an element is not finite),
//                rates_now = rates[step % steps], control.flag = 1 where loss, norm or an element is not finite; unless flagged
//                losses[step % s] = loss, norms[step % s] = norm, corrects[step % s] = hits, control.step += 1
//
// Which logit is the largest beside a NaN nobody asks: that row's loss is one too, and sets the flag.
// Dispatch: one invocation a split and a part of the rows, folded (shared/grid.wgsl); one workgroup in all (settle). Large
// gradients come in several dispatches, a range each; split s takes the elements s, s + splits, s + 2 splits ... of its range.
// Definition: src/ops/fused/step.rs. Host: src/kernels/control_settle.rs.

#import grid
#import finite
#import elements1
#import squares
#import largest

struct Params {
    len: u32, // `Elements` in this range
    splits: u32,
    first_split: u32, // where this range's splits begin in part
    rows: u32, // n, or 0 where they are left out
    k: u32, // classes
    row_parts: u32,
    rows_at: u32,
    steps: u32, // rows of the table of rates
    places: u32, // of the records
}

const WORKGROUP: u32 = 64u;
const STEP: u32 = 0u;
const FLAG: u32 = 1u;
// Terms that one accumulator may take.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> grad: array<Elements>; // [len]
@group(0) @binding(2) var<storage, read> row_loss: array<f32>; // [rows]
@group(0) @binding(3) var<storage, read> logits: array<f32>; // [rows, k]
@group(0) @binding(4) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(5) var<storage, read_write> part_out: array<vec2<f32>>; // [splits and row_parts]
@group(0) @binding(6) var<storage, read> part: array<vec2<f32>>; // [splits and row_parts]
@group(0) @binding(7) var<storage, read> rates: array<f32>; // [steps, 4]
@group(0) @binding(8) var<storage, read_write> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(9) var<storage, read_write> norm: array<f32>; // [2]
@group(0) @binding(10) var<storage, read_write> rates_now: array<f32>; // [4]
@group(0) @binding(11) var<storage, read_write> losses: array<f32>; // [places]
@group(0) @binding(12) var<storage, read_write> norms: array<f32>; // [places]
@group(0) @binding(13) var<storage, read_write> corrects: array<u32>; // [places]

@compute @workgroup_size(WORKGROUP)
fn settle_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = linear_index(group, groups, lane, WORKGROUP);
    if index < params.splits {
        part_out[params.first_split + index] = squares(index);
        return;
    }
    let first = index - params.splits;
    if first >= params.row_parts {
        return;
    }
    // Never more than BLOCK of them.
    var sums = vec2<f32>(0.0);
    for (var row = first; row < params.rows; row += params.row_parts) {
        sums += vec2<f32>(row_loss[row], select(0.0, 1.0, largest(row) == labels[row]));
    }
    part_out[params.rows_at + first] = sums;
}

// The sum of `count` elements of part, in order, in blocks of BLOCK.
fn part_sum(first: u32, count: u32) -> vec2<f32> {
    var total = vec2<f32>(0.0);
    for (var start = 0u; start < count; start += BLOCK) {
        let stop = min(start + BLOCK, count);
        var sum = vec2<f32>(0.0);
        for (var s = start; s < stop; s++) {
            sum += part[first + s];
        }
        total += sum;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn settle(@builtin(local_invocation_index) lane: u32) {
    if lane != 0u {
        return;
    }
    let squares = part_sum(0u, params.splits);
    let scores = part_sum(params.rows_at, params.row_parts);
    let loss = scores.x / f32(params.rows);
    let root = sqrt(squares.x);
    let broken = squares.y > 0.0;
    norm[0] = root;
    norm[1] = select(0.0, 1.0, broken);
    let step = control[STEP];
    //#unroll
    for (var column = 0u; column < 4u; column++) {
        rates_now[column] = rates[step % params.steps * 4u + column];
    }
    if !is_finite(loss) || !is_finite(root) || broken {
        control[FLAG] = 1u;
    }
    if control[FLAG] != 0u {
        return;
    }
    let place = step % params.places;
    losses[place] = loss;
    norms[place] = root;
    corrects[place] = u32(scores.y);
    control[STEP] = step + 1u;
}
