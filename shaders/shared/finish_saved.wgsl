// What a kernel does with a sum before it writes it, where that is the gradient of what the layer read normalised and through an
// activation: the derivative, of an element that is read for that alone.

#import derivative
#import normal

@group(0) @binding(12) var<storage, read> saved: array<f32>; // as the result: what the layer reads, before it is normalised

// The element of the result at `at`; slope is the activation's.
fn finish(sum: f32, at: u32, slope: f32) -> f32 {
    let y = activate(normal(saved[at], reading_of(at % params.c_src, params.c_src)), slope);
    return derivative(y, slope) * sum;
}
