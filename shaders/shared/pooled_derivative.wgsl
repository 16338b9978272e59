// What arrives at the output of an activation behind which a max pool stands, taken of what the pool wrote.
// shared/pooled_alone.wgsl stands in for this where nobody is between the convolution and the pool.

#import derivative

@group(0) @binding(8) var<storage, read> maxima: array<f32>; // as dy, the forward y; anything without an activation

fn pooled(at: u32) -> f32 {
    return derivative(maxima[at], params.slope) * dy[at];
}
