// What a kernel does with a sum before it writes it, where that is the gradient of what the layer read normalised and through an
// activation: the derivative, whose argument is read again.

#import derivative

// The element of the result at `at`, which is a place of the image; slope is the activation's.
fn finish(sum: f32, at: u32, slope: f32) -> f32 {
    return derivative(image_value(at, reading(at % params.c_src), slope), slope) * sum;
}
