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
    let row = (lane & 1u) | (lane >> 1u & 2u);
    let column = (lane >> 1u & 1u) | (lane >> 2u & 2u);
    if fours == 4u {
        return Spot(row, column, lane / 16u);
    }
    let lower = row | (lane >> 3u & 4u);
    let right = column | (lane >> 2u & 4u);
    if fours == 8u {
        return Spot(lower, right, lane / 64u);
    }
    return Spot(lower | (lane >> 3u & 8u), right | (lane >> 4u & 8u), 0u);
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
