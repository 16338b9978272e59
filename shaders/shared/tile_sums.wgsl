// The sums of a tile of conv2d_tiled.wgsl, 4 x 4 an invocation: as many invocations as it takes share a slice of the terms that are in
// workgroup memory, and another slice falls to the next so many; in the end their sums are added up, in order. The importing file
// declares THREADS.

// Fours of rows, and of columns, in workgroup memory: those of TERMS / fours terms, whose own are padded against bank conflicts.
const TERMS: u32 = 256u;
const ROOM: u32 = 320u;

var<workgroup> tile_b: array<vec4<f32>, ROOM>; // [depth, fours + 1]: column / 4, or as column_of says
var<workgroup> tile_a: array<vec4<f32>, ROOM>; // [depth, fours + 1]: row / 4 (gather), or likewise

// Which of a tile an invocation computes: fours of rows and of columns, and which slice of the terms.
struct Spot {
    row: u32,
    column: u32,
    slice: u32,
}

fn spot(fours: u32, lane: u32) -> Spot {
    // So that 32 neighbours read few fours of each operand at a time.
    if fours == 16u {
        return Spot(lane / 64u * 4u + lane / 8u % 4u, lane / 32u % 2u * 8u + lane % 8u, 0u);
    }
    return Spot(lane / fours % fours, lane % fours, lane / (fours * fours));
}

// Adds the products of what both tiles hold to the sums of a spot.
fn multiply(acc: ptr<function, array<vec4<f32>, 4>>, at: Spot, fours: u32) {
    let pitch = fours + 1u;
    var a = at.slice * fours * pitch + at.row;
    var b = at.slice * fours * pitch + at.column;
    for (var k = 0u; k < fours; k += 4u) {
        //#unroll
        for (var d = 0u; d < 4u; d++) {
            let rows = tile_a[a];
            let columns = tile_b[b];
            //#unroll
            for (var r = 0u; r < 4u; r++) {
                (*acc)[r] += rows[r] * columns;
            }
            a += pitch;
            b += pitch;
        }
    }
}

// Answers in the first slice what all slices have summed.
fn collect(mine: vec4<f32>, at: Spot, fours: u32, lane: u32) -> vec4<f32> {
    tile_a[lane] = mine;
    workgroupBarrier();
    var sum = mine;
    if at.slice == 0u {
        for (var other = lane + fours * fours; other < THREADS; other += fours * fours) {
            sum += tile_a[other];
        }
    }
    workgroupBarrier();
    return sum;
}
