// What a gather sums over: what arrives at the layer's output (shared/arriving_pixels.wgsl, or what is linked in its place).

// At the pixels that tap and channel k reach from four rows and columns of images; 0 outside.
fn load_rows(p: Params, n: ptr<function, array<u32, 4>>, row: ptr<function, array<i32, 4>>, col: ptr<function, array<i32, 4>>, k: u32) -> vec4<f32> {
    var found = vec4<f32>(0.0);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let at = reach(p, (*row)[r], (*col)[r], k);
        if at.inside {
            found[r] = arriving(((*n)[r] * p.h_src + at.h) * p.w_src + at.w, (*n)[r], at.h, at.w, k % p.c_src);
        }
    }
    return found;
}
