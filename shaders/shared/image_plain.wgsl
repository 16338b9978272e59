// What a convolution reads of its image: each element as it is. shared/image_normalised.wgsl stands in for this where the image goes
// through a batch normalisation first.

// Element `at` of the image, which is of channel c.
fn image_value(at: u32, c: u32, slope: f32) -> f32 {
    return src[at];
}
