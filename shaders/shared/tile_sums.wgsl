// The sums of a tile of conv2d_tiled.wgsl, 4 x 4 an invocation: as many invocations as a tile has such squares share a slice of the terms
// that are in workgroup memory, and another slice falls to the next so many. The importing file declares THREADS, the invocations.

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

// Adds the products of what both tiles hold to the 4 x 4 sums of a spot; the tiles' rows are `pitch` apart.
fn multiply(acc: ptr<function, array<vec4<f32>, 4>>, at: Spot, fours: u32, pitch: u32) {
    let first = at.slice * fours;
    for (var k = first; k < first + fours; k += 4u) {
        //#unroll
        for (var d = 0u; d < 4u; d++) {
            let a = tile_a[(k + d) * pitch + at.row];
            let bs = tile_b[(k + d) * pitch + at.column];
            //#unroll
            for (var r = 0u; r < 4u; r++) {
                (*acc)[r] += a[r] * bs;
            }
        }
    }
}

fn multiply_tiles(acc: ptr<function, array<vec4<f32>, 4>>, at: Spot, fours: u32) {
    // The large tile with constants.
    if fours == 16u {
        multiply(acc, at, 16u, 17u);
    } else {
        multiply(acc, at, fours, fours + 1u);
    }
}

// Adds up in the first slice what all have summed.
fn add_slices(acc: ptr<function, array<vec4<f32>, 4>>, at: Spot, fours: u32, lane: u32) {
    let tile = fours * fours;
    if tile == THREADS {
        return;
    }
    //#unroll
    for (var half = 0u; half < 4u; half += 2u) {
        tile_a[lane] = (*acc)[half];
        tile_b[lane] = (*acc)[half + 1u];
        workgroupBarrier();
        if at.slice == 0u {
            for (var other = lane + tile; other < THREADS; other += tile) {
                (*acc)[half] += tile_a[other];
                (*acc)[half + 1u] += tile_b[other];
            }
        }
        workgroupBarrier();
    }
}
