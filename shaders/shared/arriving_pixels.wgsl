// What arrives at a convolution's output: the gradient of each pixel. shared/arriving_maxima.wgsl stands in for this where a max
// pool is behind it.

@group(0) @binding(5) var<storage, read> dy: array<f32>; // [pixels, c_dst]

// At channel o of pixel (i, j) of image n, the pixel of this number.
fn arriving(pixel: u32, n: u32, i: u32, j: u32, o: u32) -> f32 {
    return dy[pixel * params.c_dst + o];
}
