// What a gather sums over: an image. shared/source_arriving.wgsl stands in for this where the gradient of a layer's input is computed
// beside that of its weights.

// At the pixels that tap and channel k reach from four rows and columns of images; 0 outside.
fn load_rows(p: Params, n: ptr<function, array<u32, 4>>, row: ptr<function, array<i32, 4>>, col: ptr<function, array<i32, 4>>, k: u32) -> vec4<f32> {
    let channel = reading(k % p.c_src);
    var found: vec4<f32>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        found[r] = load_src(p, (*n)[r], (*row)[r], (*col)[r], k, channel);
    }
    return found;
}
