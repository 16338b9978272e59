// What a convolution reads of its image, four channels at a time: as they are. shared/fours_normalised.wgsl stands in for this where the
// image goes through a batch normalisation first.

// Elements `at` to `at + 3` of the image, which are of channels c to c + 3.
fn image_fours(at: u32, c: u32, slope: f32) -> vec4<f32> {
    return src[at / 4u];
}
