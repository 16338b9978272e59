// Moments of a tile of rows and columns of what a convolution writes, for the batch normalisation behind it: of each channel the first
// value, and the sums of the deviations from that and of their squares. batch_norm2d_apply.wgsl adds up those of all.

@group(0) @binding(13) var<storage, read_write> moments: array<f32>; // [c_dst, 3, tiles of rows]

// The most fours of columns.
const COLUMNS: u32 = 16u;

// An invocation has those of four rows.
const IN_FOURS: bool = true;

var<workgroup> firsts: array<vec4<f32>, COLUMNS>;

// Of those from row m0 and column n0 on; an invocation of the first slice has the sums of its spot. All invocations of a workgroup come
// here, and none of them is still at what the tiles hold.
fn store_moments(p: Params, m0: u32, n0: u32, at: Spot, sums: ptr<function, array<vec4<f32>, 4>>) {
    let has = at.slice == 0u;
    var b: vec4<f32>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        b[e] = bias(min(n0 + column_of(p, at.column, e), p.c_dst - 1u));
    }
    if has && at.row == 0u {
        firsts[at.column] = (*sums)[0] + b;
    }
    workgroupBarrier();
    let pivot = firsts[at.column];
    let rows = min(4u * p.fours, p.pixels - min(m0, p.pixels));
    var first = vec4<f32>(0.0);
    var second = vec4<f32>(0.0);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let off = select(vec4<f32>(0.0), ((*sums)[r] + b) - pivot, at.row * 4u + r < rows);
        first += off;
        second += off * off;
    }
    if has {
        tile_a[at.row * fours_across(p) + at.column] = first;
        tile_b[at.row * fours_across(p) + at.column] = second;
    }
    workgroupBarrier();
    if !has || at.row != 0u || rows == 0u {
        return;
    }
    for (var r = 1u; r < p.fours; r++) {
        first += tile_a[r * fours_across(p) + at.column];
        second += tile_b[r * fours_across(p) + at.column];
    }
    let tiles = (p.pixels + 4u * p.fours - 1u) / (4u * p.fours);
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        let c = n0 + column_of(p, at.column, e);
        if c < p.c_dst {
            let to = c * 3u * tiles + m0 / (4u * p.fours);
            moments[to] = pivot[e];
            moments[to + tiles] = first[e];
            moments[to + 2u * tiles] = second[e];
        }
    }
}
