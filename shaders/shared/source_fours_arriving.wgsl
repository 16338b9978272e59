// What a gather sums over, four channels at a time: what arrives at the layer's output.

// At the pixel of image n that tap and channels k to k + 3 reach from this row and column; 0 outside.
fn load_source(p: Params, n: u32, row: i32, col: i32, k: u32) -> vec4<f32> {
    let at = reach(p, row, col, k);
    if !at.inside {
        return vec4<f32>(0.0);
    }
    return dy[(((n * p.h_src + at.h) * p.w_src + at.w) * p.c_src + k % p.c_src) / 4u];
}
