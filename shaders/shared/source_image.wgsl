// What a gather sums over: an image. shared/source_arriving.wgsl stands in for this where the gradient of a layer's input is computed
// beside that of its weights.

// At the pixel of image n that tap and channel k reach from this row and column; 0 outside.
fn load_source(p: Params, n: u32, row: i32, col: i32, k: u32) -> f32 {
    return load_src(p, n, row, col, k);
}
