// What a convolution reads of its image, four channels at a time: each normalised, and through an activation.

#import activate
#import normal

// What the table says of four channels.
struct Readings {
    pivot: vec4<f32>,
    offset: vec4<f32>,
    scale: vec4<f32>,
    bias: vec4<f32>,
}

// Of channels c to c + 3.
fn readings(c: u32) -> Readings {
    var found: Readings;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        let channel = reading_of(c + e, params.c_src);
        found.pivot[e] = channel.pivot;
        found.offset[e] = channel.offset;
        found.scale[e] = channel.scale;
        found.bias[e] = channel.bias;
    }
    return found;
}

// Elements `at` to `at + 3` of the image, which are of those channels; slope is the activation's.
fn image_fours(at: u32, channels: Readings, slope: f32) -> vec4<f32> {
    let x = ((src[at / 4u] - channels.pivot) - channels.offset) * channels.scale + channels.bias;
    var y: vec4<f32>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        y[e] = activate(x[e], slope);
    }
    return y;
}
