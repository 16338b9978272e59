// What a gather sums over: what arrives at the layer's output (shared/arriving_pixels.wgsl, or what is linked in its place).

// At the pixels that a matrix column reaches from those of four rows; 0 outside.
fn load_rows(p: Params, rows: ptr<function, array<Pixel, 4>>, column: Column) -> vec4<f32> {
    let shift = shift_of(p, column);
    var found: vec4<f32>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let at = shifted(p, (*rows)[r], shift);
        let pixel = select(0u, at.index, at.inside);
        let image = select(0u, (*rows)[r].image, at.inside);
        found[r] = select(0.0, arriving(pixel, image, select(0u, at.h, at.inside), select(0u, at.w, at.inside), column.c), at.inside);
    }
    return found;
}
