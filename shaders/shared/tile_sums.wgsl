// The sums of a tile of conv2d_tiled.wgsl: as many invocations as it takes share a slice of the terms that are in workgroup memory, and
// another slice falls to the next so many; in the end their sums are added up, in order. The importing file declares THREADS.

// Fours of rows, and of columns, in workgroup memory: those of TERMS / fours terms, whose own are padded against bank conflicts.
const TERMS: u32 = 256u;
const ROOM: u32 = 320u;
// An invocation has SIDE x SIDE squares of 4 x 4 sums, fours / SIDE fours apart.
const SIDE: u32 = 1u;
const SQUARES: u32 = SIDE * SIDE;
const SUMS: u32 = 4u * SQUARES;

var<workgroup> tile_b: array<vec4<f32>, ROOM>; // [depth, fours + 1]: column / 4, or as column_of says
var<workgroup> tile_a: array<vec4<f32>, ROOM>; // [depth, fours + 1]: row / 4 (gather), or likewise

// Which of a tile an invocation computes: fours of rows and of columns, the first of SIDE each, and which slice of the terms.
struct Spot {
    row: u32,
    column: u32,
    slice: u32,
}

// Of tiles that 8 x 8 or 4 x 4 invocations share: rows and columns take turns in the bits of the lane, since what two neighbours, or two
// next but one to each other, read together from workgroup memory costs some GPUs nothing.
fn spot(side: u32, lane: u32) -> Spot {
    let row = (lane & 1u) | (lane >> 1u & 2u);
    let column = (lane >> 1u & 1u) | (lane >> 2u & 2u);
    if side == 8u {
        return Spot(row | (lane >> 3u & 4u), column | (lane >> 2u & 4u), lane / 64u);
    }
    return Spot(row, column, lane / 16u);
}

// Adds the products of what both tiles hold to the sums of a spot; the tiles' rows are `pitch` apart.
fn multiply(acc: ptr<function, array<vec4<f32>, SUMS>>, at: Spot, fours: u32, pitch: u32) {
    let side = fours / SIDE;
    let first = at.slice * (fours / SQUARES);
    for (var k = first; k < first + fours / SQUARES; k += 4u) {
        //#unroll
        for (var d = 0u; d < 4u; d++) {
            var a: array<vec4<f32>, SIDE>;
            var b: array<vec4<f32>, SIDE>;
            //#unroll
            for (var i = 0u; i < SIDE; i++) {
                a[i] = tile_a[(k + d) * pitch + at.row + i * side];
                b[i] = tile_b[(k + d) * pitch + at.column + i * side];
            }
            //#unroll
            for (var q = 0u; q < SQUARES; q++) {
                //#unroll
                for (var r = 0u; r < 4u; r++) {
                    (*acc)[q * 4u + r] += a[q / SIDE][r] * b[q % SIDE];
                }
            }
        }
    }
}

fn multiply_tiles(acc: ptr<function, array<vec4<f32>, SUMS>>, at: Spot, fours: u32) {
    // Each size with constants.
    if SIDE == 2u {
        multiply(acc, at, 16u, 17u);
    } else if fours == 8u {
        multiply(acc, at, 8u, 9u);
    } else {
        multiply(acc, at, 4u, 5u);
    }
}

// Adds up what all slices have summed: a slice those of its square, where it has one, which it answers.
fn collect(acc: ptr<function, array<vec4<f32>, SUMS>>, sums: ptr<function, array<vec4<f32>, 4>>, at: Spot, fours: u32, lane: u32) -> Spot {
    let side = fours / SIDE;
    //#unroll
    for (var q = 0u; q < SQUARES; q++) {
        //#unroll
        for (var half = 0u; half < 4u; half += 2u) {
            tile_a[lane] = (*acc)[q * 4u + half];
            tile_b[lane] = (*acc)[q * 4u + half + 1u];
            workgroupBarrier();
            if at.slice == q {
                for (var other = lane % (side * side); other < THREADS; other += side * side) {
                    (*sums)[half] += tile_a[other];
                    (*sums)[half + 1u] += tile_b[other];
                }
            }
            workgroupBarrier();
        }
    }
    return Spot(at.row + at.slice / SIDE * side, at.column + at.slice % SIDE * side, at.slice / SQUARES);
}
