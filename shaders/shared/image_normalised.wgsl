// What a convolution reads of its image: each element normalised, and through an activation.

#import activate
#import normal

// Element `at` of the image, which is of channel c; slope is the activation's.
fn image_value(at: u32, c: u32, slope: f32) -> f32 {
    return activate(normal(src[at], c, params.c_src), slope);
}
