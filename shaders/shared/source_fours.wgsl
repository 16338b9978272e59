// What a gather sums over, four channels at a time: an image. shared/source_fours_arriving.wgsl stands in for this where the gradient of a
// layer's input is computed beside that of its weights.

// At the pixels that tap and channels k to k + 3 reach from four rows and columns of images; 0 outside.
fn load_rows(p: Params, found: ptr<function, array<vec4<f32>, 4>>, n: ptr<function, array<u32, 4>>, row: ptr<function, array<i32, 4>>, col: ptr<function, array<i32, 4>>, k: u32) {
    let channels = readings(k % p.c_src);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        (*found)[r] = load_image(p, (*n)[r], (*row)[r], (*col)[r], k, channels);
    }
}
