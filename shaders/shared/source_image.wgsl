// What a gather sums over: an image. shared/source_arriving.wgsl stands in for this where the gradient of a layer's input is computed
// beside that of its weights.

// At the pixels that a matrix column reaches from those of four rows; 0 outside.
fn load_rows(p: Params, rows: ptr<function, array<Pixel, 4>>, column: Column) -> vec4<f32> {
    let channel = reading(column.c);
    let shift = shift_of(p, column);
    var found: vec4<f32>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        found[r] = load_src(p, shifted(p, (*rows)[r], shift), column.c, channel);
    }
    return found;
}
