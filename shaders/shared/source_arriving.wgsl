// What a gather sums over: what arrives at the layer's output (shared/arriving_pixels.wgsl, or what is linked in its place).

// At the pixel of image n that tap and channel k reach from this row and column; 0 outside.
fn load_source(p: Params, n: u32, row: i32, col: i32, k: u32) -> f32 {
    let at = reach(p, row, col, k);
    if !at.inside {
        return 0.0;
    }
    return arriving((n * p.h_src + at.h) * p.w_src + at.w, n, at.h, at.w, k % p.c_src);
}
