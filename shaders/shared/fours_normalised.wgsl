// What a convolution reads of its image, four channels at a time: each normalised, and through an activation.

#import activate
#import normal

// Elements `at` to `at + 3` of the image, which are of channels c to c + 3; slope is the activation's.
fn image_fours(at: u32, c: u32, slope: f32) -> vec4<f32> {
    let x = src[at / 4u];
    var y: vec4<f32>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        y[e] = activate(normal(x[e], c + e, params.c_src), slope);
    }
    return y;
}
