// What a convolution reads of its image: each element as it is. shared/image_normalised.wgsl stands in for this where the image goes
// through a batch normalisation first.

// What is known of a channel before its elements are read.
struct Reading {
    channel: u32,
}

fn reading(c: u32) -> Reading {
    return Reading(c);
}

// Element `at` of the image, which is of that channel.
fn image_value(at: u32, channel: Reading, slope: f32) -> f32 {
    return src[at];
}
