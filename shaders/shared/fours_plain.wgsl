// What a convolution reads of its image, four channels at a time: as they are. shared/fours_normalised.wgsl stands in for this where the
// image goes through a batch normalisation first.

// What is known of four channels before their elements are read.
struct Readings {
    first: u32,
}

fn readings(c: u32) -> Readings {
    return Readings(c);
}

// Elements `at` to `at + 3` of the image, which are of those channels.
fn image_fours(at: u32, channels: Readings, slope: f32) -> vec4<f32> {
    return src[at / 4u];
}
