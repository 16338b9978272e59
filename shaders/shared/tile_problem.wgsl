// The problem that the tiles of conv2d_tiled.wgsl compute parts of.

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
    on_p: u32, // gather: how far as many columns of A are as a turn takes: tap and channel
    on_q: u32,
    on_c: u32,
    back_p: u32, // grads: the same of the gradient of the input
    back_q: u32,
    back_c: u32,
    fours_p: u32, // grad_weight: how far `fours` rows of A are; with channels in fours, gather: how far two rows of B are
    fours_q: u32,
    fours_c: u32,
    on_n: u32, // grad_weight: how far as many pixels are as a turn takes, or half of them with channels in fours: image, row, column
    on_i: u32,
    on_j: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

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
    p.on_p = params.back_p;
    p.on_q = params.back_q;
    p.on_c = params.back_c;
    p.tiles_n = (params.c_src + 4u * params.fours - 1u) / (4u * params.fours);
    p.w_c = params.w_o;
    p.w_o = params.w_c;
    return p;
}
