// What a gather sums over, four channels at a time: what arrives at the layer's output.

// At the pixels that four matrix columns reach from those of four rows; 0 outside.
fn load_rows(p: Params, found: ptr<function, array<vec4<f32>, 4>>, rows: ptr<function, array<Pixel, 4>>, column: Column) {
    let shift = shift_of(p, column);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let at = shifted(p, (*rows)[r], shift);
        (*found)[r] = select(vec4<f32>(0.0), dy[(select(0u, at.index, at.inside) * p.c_src + column.c) / 4u], at.inside);
    }
}
