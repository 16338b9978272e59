// The problem that the tiles of conv2d_tiled.wgsl and conv2d_tiled_fours.wgsl compute parts of: which pixel a tap reads, and which weight
// it has.

struct Params {
    pixels: u32, // of what gather sums, or of dy (grad_weight)
    h_dst: u32, // of the image that is written (gather: in pixels or windows), or of dy
    w_dst: u32,
    c_dst: u32,
    h_src: u32,
    w_src: u32,
    c_src: u32,
    k_h: u32,
    k_w: u32,
    mul_h: i32,
    mul_w: i32,
    off_h: i32,
    off_w: i32,
    step_h: i32,
    step_w: i32,
    bias: u32, // gather: whether b is one; grad_weight: whether part_b is wanted
    tiles_n: u32,
    tiles_m: u32,
    splits: u32,
    pixels_per_split: u32,
    h_full: u32, // the image that gather writes
    w_full: u32,
    first_h: u32,
    first_w: u32,
    stride_h: u32,
    stride_w: u32,
    w_first: u32,
    w_row: u32,
    w_tap: u32,
    w_c: u32,
    w_o: u32,
    slope: f32, // of the activation
    w_between: u32, // gather: pixels in a row of what windows are taken of
    h_windows: u32, // grad_weight: windows of the max pool, down and across
    w_windows: u32,
    fours: u32, // rows of a tile, and columns, in fours
    fours_back: u32, // of a tile of the gradient of the input (grads)
}

@group(0) @binding(0) var<uniform> params: Params;

// Where a tap reads.
struct Reach {
    h: u32,
    w: u32,
    inside: bool,
}

// From the scaled row and column of tap 0, through the tap of matrix column k = (p, q, c).
fn reach(p: Params, row: i32, col: i32, k: u32) -> Reach {
    let tap = k / p.c_src;
    let h = row + i32(tap / p.k_w) * p.step_h;
    let x = col + i32(tap % p.k_w) * p.step_w;
    // Not &&: a chain of branches in each unrolled load keeps one software driver compiling for minutes.
    // What lies before the first row or column is a large number once it has no sign.
    let inside = (u32(h) < p.h_src) & (u32(x) < p.w_src) & (k < p.k_h * p.k_w * p.c_src);
    return Reach(u32(h), u32(x), inside);
}

// Of tap and channel k, the weight to column 0.
fn weight_at(p: Params, k: u32) -> u32 {
    let tap = k / p.c_src;
    return p.w_first + tap / p.k_w * p.w_row + tap % p.k_w * p.w_tap + k % p.c_src * p.w_c;
}

// The gather that is the gradient of the input: what the layer wrote is read, what it read is written.
fn transposed() -> Params {
    var p = params;
    p.pixels = params.pixels / (params.h_dst * params.w_dst) * params.h_src * params.w_src;
    p.h_dst = params.h_src;
    p.w_dst = params.w_src;
    p.c_dst = params.c_src;
    p.h_src = params.h_dst;
    p.w_src = params.w_dst;
    p.c_src = params.c_dst;
    p.off_h = -params.off_h;
    p.off_w = -params.off_w;
    p.step_h = -params.step_h;
    p.step_w = -params.step_w;
    p.fours = params.fours_back;
    p.tiles_n = (params.c_src + 4u * p.fours - 1u) / (4u * p.fours);
    p.w_c = params.w_o;
    p.w_o = params.w_c;
    return p;
}
