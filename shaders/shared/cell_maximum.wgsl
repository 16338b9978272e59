// The maximum of a cell (conv2d_few_channels.wgsl): what a max pool makes of it, whose gradient goes to the place of the maximum.

#import derivative

@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>; // [cells, c_out]
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>; // [cells, c_out]
@group(0) @binding(6) var<storage, read_write> argmax: array<vec4<u32>>; // [cells, c_out]
@group(0) @binding(7) var<storage, read> places: array<vec4<u32>>; // [cells, c_out], the forward argmax
@group(0) @binding(8) var<storage, read> saved: array<vec4<f32>>; // [cells, c_out], the forward y; anything without an activation

struct Best {
    value: vec4<f32>,
    place: vec4<u32>,
}

fn nothing() -> Best {
    return Best(vec4<f32>(), vec4<u32>());
}

// Takes the value of a pixel: its first one or not, at this place of its image. A NaN wins.
fn take(best: Best, value: vec4<f32>, first: bool, place: u32, at: u32, inside: bool) -> Best {
    // By its bits: compilers may assume that there is none.
    let is_nan = (bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    let wins = (value > best.value) | is_nan | vec4<bool>(first);
    // Not select: of integers, some GLSL compilers know none.
    return Best(select(best.value, value, wins), best.place + vec4<u32>(wins) * (vec4<u32>(place) - best.place));
}

fn finish(best: Best, cell: u32) {
    y[cell] = best.value;
    argmax[cell] = best.place;
}

// What arrives at a cell, after the activation's derivative.
fn arriving(cell: u32) -> Best {
    let v = saved[cell];
    let low = vec2<f32>(derivative(v.x, params.slope), derivative(v.y, params.slope));
    let high = vec2<f32>(derivative(v.z, params.slope), derivative(v.w, params.slope));
    return Best(vec4<f32>(low, high) * dy[cell], places[cell]);
}

// What of it is for the pixel at this place of its image.
fn share(arrived: Best, place: u32, at: u32, inside: bool) -> vec4<f32> {
    return select(vec4<f32>(), arrived.value, arrived.place == vec4<u32>(place));
}
