// What a gather sums over, four channels at a time: what arrives at the layer's output.

// At the pixels that tap and channels k to k + 3 reach from four rows and columns of images; 0 outside.
fn load_rows(p: Params, found: ptr<function, array<vec4<f32>, 4>>, n: ptr<function, array<u32, 4>>, row: ptr<function, array<i32, 4>>, col: ptr<function, array<i32, 4>>, k: u32) {
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let at = reach(p, (*row)[r], (*col)[r], k);
        (*found)[r] = vec4<f32>(0.0);
        if at.inside {
            (*found)[r] = dy[((((*n)[r] * p.h_src + at.h) * p.w_src + at.w) * p.c_src + k % p.c_src) / 4u];
        }
    }
}
