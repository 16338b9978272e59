// What a convolution reads of its image: each element normalised, and through an activation.

#import activate
#import normal

fn reading(c: u32) -> Reading {
    return reading_of(c, params.c_src);
}

// Element `at` of the image, which is of that channel; slope is the activation's.
fn image_value(at: u32, channel: Reading, slope: f32) -> f32 {
    return activate(normal(src[at], channel), slope);
}
