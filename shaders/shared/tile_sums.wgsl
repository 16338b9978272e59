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
    // Rows and columns take turns in the bits of the lane, so that neighbours read few fours of either operand at a time.
    let row = (lane & 1u) | ((lane >> 1u) & 2u);
    let column = ((lane >> 1u) & 1u) | ((lane >> 2u) & 2u);
    if fours == 4u {
        return Spot(row, column, lane / 16u);
    }
    let lower = row | ((lane >> 3u) & 4u);
    let right = column | ((lane >> 2u) & 4u);
    if fours == 8u {
        return Spot(lower, right, lane / 64u);
    }
    return Spot(lower | ((lane >> 3u) & 8u), right | ((lane >> 4u) & 8u), 0u);
}

// Adds the products of one term to the sums of an invocation, whose fours begin there.
fn multiply_term(acc: ptr<function, array<vec4<f32>, 4>>, a: u32, b: u32) {
    let rows = tile_a[a];
    let columns = tile_b[b];
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        (*acc)[r] += rows[r] * columns;
    }
}

// Adds the products of what both tiles hold to the sums of a spot. Written out for the smaller sizes: GPUs wait for terms that stand in
// a loop.
fn multiply(acc: ptr<function, array<vec4<f32>, 4>>, at: Spot, fours: u32) {
    if fours == 16u {
        for (var k = 0u; k < 16u; k += 4u) {
            //#unroll
            for (var d = 0u; d < 4u; d++) {
                multiply_term(acc, at.row + (k + d) * 17u, at.column + (k + d) * 17u);
            }
        }
        return;
    }
    let first = at.slice * fours * (fours + 1u);
    if fours == 8u {
        //#unroll
        for (var k = 0u; k < 8u; k++) {
            multiply_term(acc, first + at.row + k * 9u, first + at.column + k * 9u);
        }
        return;
    }
    //#unroll
    for (var k = 0u; k < 4u; k++) {
        multiply_term(acc, first + at.row + k * 5u, first + at.column + k * 5u);
    }
}

// Answers what all slices have summed, in order: in slice r those of row r, or in the first slice all rows, where `together`; and which
// rows an invocation has by that. Large tiles have one slice.
fn collect(acc: ptr<function, array<vec4<f32>, 4>>, at: Spot, fours: u32, lane: u32, together: bool) -> vec2<u32> {
    if fours == 16u {
        return vec2<u32>(0u, 4u);
    }
    //#unroll
    for (var half = 0u; half < 4u; half += 2u) {
        tile_a[lane] = (*acc)[half];
        tile_b[lane] = (*acc)[half + 1u];
        workgroupBarrier();
        let first = at.slice == select(half, 0u, together);
        let second = at.slice == select(half + 1u, 0u, together);
        if first | second {
            var above = vec4<f32>(0.0);
            var below = vec4<f32>(0.0);
            for (var other = lane % (fours * fours); other < THREADS; other += fours * fours) {
                above += tile_a[other];
                below += tile_b[other];
            }
            if together {
                (*acc)[half] = above;
                (*acc)[half + 1u] = below;
            } else {
                (*acc)[0] = select(below, above, first);
            }
        }
        workgroupBarrier();
    }
    if together {
        return vec2<u32>(0u, select(0u, 4u, at.slice == 0u));
    }
    return vec2<u32>(at.slice, select(0u, at.slice + 1u, at.slice < 4u));
}
