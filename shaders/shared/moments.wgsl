// Moments of a tile of what a convolution writes, for the batch normalisation behind it: of each channel the mean as it is rounded, and
// the sums of the deviations from that and of their squares. batch_norm2d_apply.wgsl adds up those of all tiles.

@group(0) @binding(13) var<storage, read_write> moments: array<f32>; // [c_dst, 3, tiles of rows]

// The sums in workgroup memory over the rows of the tile, of this column, in fours.
fn column_sum(column: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    //#unroll
    for (var r = 0u; r < 16u; r++) {
        sum += tile_a[r * PITCH + column];
    }
    return sum;
}

// Of the tile at row m0 and column n0; this invocation has the sums from this row and column of it, in fours. All invocations of a
// workgroup come here.
fn store_moments(p: Params, m0: u32, n0: u32, row: u32, column: u32, acc: ptr<function, array<vec4<f32>, 4>>) {
    let rows = min(TILE, p.pixels - min(m0, p.pixels));
    var b: vec4<f32>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        b[e] = bias(min(n0 + column * 4u + e, p.c_dst - 1u));
    }
    var sum = vec4<f32>(0.0);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        sum += select(vec4<f32>(0.0), (*acc)[r] + b, row * 4u + r < rows);
    }
    tile_a[row * PITCH + column] = sum;
    workgroupBarrier();
    let mean = column_sum(column) / f32(max(rows, 1u));
    workgroupBarrier();
    var first = vec4<f32>(0.0);
    var second = vec4<f32>(0.0);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let off = select(vec4<f32>(0.0), ((*acc)[r] + b) - mean, row * 4u + r < rows);
        first += off;
        second += off * off;
    }
    tile_a[row * PITCH + column] = first;
    workgroupBarrier();
    first = column_sum(column);
    workgroupBarrier();
    tile_a[row * PITCH + column] = second;
    workgroupBarrier();
    second = column_sum(column);
    if row != 0u || rows == 0u {
        return;
    }
    let tiles = (p.pixels + TILE - 1u) / TILE;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        let c = n0 + column * 4u + e;
        if c < p.c_dst {
            let to = c * 3u * tiles + m0 / TILE;
            moments[to] = mean[e];
            moments[to + tiles] = first[e];
            moments[to + 2u * tiles] = second[e];
        }
    }
}
