// What stands between the gradients of a step and its update, in two dispatches.
//
//   settle_part  part[g] = (sum of g^2, how many g are not finite) over what the invocations of workgroup g square, and from rows_at
//                on part[rows_at + g] = (sum of row_loss, how many largest logits are labels) over as many rows as it has invocations
//   settle       loss = sum of the latter / rows, norm[0] = sqrt(sum_g part[g]), norm[1] = (an element is not finite),
//                rates_now = rates[step % steps], control.flag = 1 where loss, norm or an element is not finite; unless flagged
//                losses[step % s] = loss, norms[step % s] = norm, corrects[step % s] = hits, control.step += 1
//
// Which logit is the largest beside a NaN nobody asks: that row's loss is one too, and sets the flag.
// Dispatch: the workgroups of the gradient, then those of the rows, folded (shared/grid.wgsl); one workgroup in all (settle). Large
// gradients come in several dispatches, a range each; invocation s of all that square takes the elements s, s + splits,
// s + 2 splits ... of its range.
// Where some of the gradient lies in partial sums (shared/gradient_parts.wgsl), these are added up and written to their places on the way.
// Definition: src/ops/fused/step.rs. Host: src/kernels/control_settle.rs.

#import grid
#import finite
#import elements1
#import squares
#import fold
#import largest

struct Params {
    len: u32, // `Elements` in this range
    splits: u32, // invocations that square, a multiple of WORKGROUP
    first_group: u32, // where this range's workgroups begin in part
    rows: u32, // n
    k: u32, // classes
    row_groups: u32, // workgroups of the rows, or 0 where they are left out
    rows_at: u32, // where they begin in part; all before it are of the gradient
    steps: u32, // rows of the table of rates
    places: u32, // of the records
    first: u32, // element of the gradient with which this range begins
}

const WORKGROUP: u32 = 64u;
const STEP: u32 = 0u;
const FLAG: u32 = 1u;
// Terms that one accumulator may take.
const BLOCK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
// 1: the gradient; 14, 15: its partial sums and where they are
@group(0) @binding(2) var<storage, read> row_loss: array<f32>; // [rows]
@group(0) @binding(3) var<storage, read> logits: array<f32>; // [rows, k]
@group(0) @binding(4) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(5) var<storage, read_write> part_out: array<vec2<f32>>; // [workgroups]
@group(0) @binding(6) var<storage, read> part: array<vec2<f32>>; // [workgroups]
@group(0) @binding(7) var<storage, read> rates: array<f32>; // [steps, 4]
@group(0) @binding(8) var<storage, read_write> control: array<u32>; // [4]: step, flag, 0, 0
@group(0) @binding(9) var<storage, read_write> norm: array<f32>; // [2]
@group(0) @binding(10) var<storage, read_write> rates_now: array<f32>; // [4]
@group(0) @binding(11) var<storage, read_write> losses: array<f32>; // [places]
@group(0) @binding(12) var<storage, read_write> norms: array<f32>; // [places]
@group(0) @binding(13) var<storage, read_write> corrects: array<u32>; // [places]

@compute @workgroup_size(WORKGROUP)
fn settle_part(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, place: Place) {
    let lane = place.lane;
    let unit = linear_group(group, groups);
    let of_gradient = params.splits / WORKGROUP;
    if unit >= of_gradient + params.row_groups {
        return;
    }
    var mine = vec2<f32>(0.0);
    var to = params.first_group + unit;
    if unit < of_gradient {
        mine = squares(unit * WORKGROUP + lane);
    } else {
        let row = (unit - of_gradient) * WORKGROUP + lane;
        if row < params.rows {
            mine = vec2<f32>(row_loss[row], select(0.0, 1.0, largest(row) == labels[row]));
        }
        to = params.rows_at + unit - of_gradient;
    }
    let sum = fold(place, mine);
    if lane == 0u {
        part_out[to] = sum;
    }
}

// The sum of `count` elements of part.
fn part_sum(place: Place, first: u32, count: u32) -> vec2<f32> {
    // Never more than BLOCK of them.
    var mine = vec2<f32>(0.0);
    // Four at a time, so that as many loads are under way.
    for (var start = place.lane; start < count; start += 4u * WORKGROUP) {
        //#unroll
        for (var e = 0u; e < 4u; e++) {
            let s = start + e * WORKGROUP;
            mine += select(vec2<f32>(0.0), part[first + min(s, count - 1u)], vec2<bool>(s < count));
        }
    }
    return fold(place, mine);
}

@compute @workgroup_size(WORKGROUP)
fn settle(place: Place) {
    let squares = part_sum(place, 0u, params.rows_at);
    let scores = part_sum(place, params.rows_at, params.row_groups);
    if place.lane != 0u {
        return;
    }
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
    let at = step % params.places;
    losses[at] = loss;
    norms[at] = root;
    corrects[at] = u32(scores.y);
    control[STEP] = step + 1u;
}
