// What a kernel does with a sum before it writes it: an activation, or nothing. shared/finish_gradient.wgsl stands in for this where
// the sum is a gradient.

#import activate

// The element of the result at `at`; slope is the activation's.
fn finish(sum: f32, at: u32, slope: f32) -> f32 {
    return activate(sum, slope);
}
