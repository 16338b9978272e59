// Moments of 64 rows and columns of what a convolution writes, for the batch normalisation behind it: of each channel the first value,
// and the sums of the deviations from that and of their squares. batch_norm2d_apply.wgsl adds up those of all.

@group(0) @binding(13) var<storage, read_write> moments: array<f32>; // [c_dst, 3, tiles of rows]

// Rows that are summed together, and where in workgroup memory four of them have the sums of all columns, in fours.
const ROWS: u32 = 64u;
const COLUMNS: u32 = 16u;

var<workgroup> firsts: array<vec4<f32>, COLUMNS>;

// Of those from row m0 and column n0 on; this invocation has the sums from this row and column of them, in fours. All invocations of a
// workgroup come here, and none of them is still at what the tiles hold.
fn store_moments(p: Params, m0: u32, n0: u32, row: u32, column: u32, acc: ptr<function, array<vec4<f32>, 4>>) {
    var b: vec4<f32>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        b[e] = bias(min(n0 + column_of(p, column, e), p.c_dst - 1u));
    }
    if row == 0u {
        firsts[column] = (*acc)[0] + b;
    }
    workgroupBarrier();
    let pivot = firsts[column];
    let rows = min(ROWS, p.pixels - min(m0, p.pixels));
    var first = vec4<f32>(0.0);
    var second = vec4<f32>(0.0);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let off = select(vec4<f32>(0.0), ((*acc)[r] + b) - pivot, row * 4u + r < rows);
        first += off;
        second += off * off;
    }
    tile_a[row * COLUMNS + column] = first;
    tile_b[row * COLUMNS + column] = second;
    workgroupBarrier();
    if row != 0u || rows == 0u {
        return;
    }
    for (var r = 1u; r < 16u; r++) {
        first += tile_a[r * COLUMNS + column];
        second += tile_b[r * COLUMNS + column];
    }
    let tiles = (p.pixels + ROWS - 1u) / ROWS;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        let c = n0 + column_of(p, column, e);
        if c < p.c_dst {
            let to = c * 3u * tiles + m0 / ROWS;
            moments[to] = pivot[e];
            moments[to + tiles] = first[e];
            moments[to + 2u * tiles] = second[e];
        }
    }
}
