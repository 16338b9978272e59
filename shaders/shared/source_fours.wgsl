// What a gather sums over, four channels at a time: an image. shared/source_fours_arriving.wgsl stands in for this where the gradient of a
// layer's input is computed beside that of its weights.

// At the pixel of image n that tap and channels k to k + 3 reach from this row and column; 0 outside.
fn load_source(p: Params, n: u32, row: i32, col: i32, k: u32) -> vec4<f32> {
    return load_image(p, n, row, col, k);
}
