// What a gather sums over, four channels at a time: an image. shared/source_fours_arriving.wgsl stands in for this where the gradient of a
// layer's input is computed beside that of its weights.

// At the pixels that four matrix columns reach from those of four rows; 0 outside.
fn load_rows(p: Params, found: ptr<function, array<vec4<f32>, 4>>, rows: ptr<function, array<Pixel, 4>>, column: Column) {
    let channels = readings(column.c);
    let shift = shift_of(p, column);
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        (*found)[r] = load_image(p, shifted(p, (*rows)[r], shift), column.c, channels);
    }
}
