// The maximum of a cell (conv2d_few_channels.wgsl): what a max pool makes of it, whose gradient goes to the place of the maximum.

#import derivative
#import maximum

@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>; // [cells, c_out]
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>; // [cells, c_out]
@group(0) @binding(6) var<storage, read_write> argmax: array<vec4<u32>>; // [cells, c_out]
@group(0) @binding(7) var<storage, read> places: array<vec4<u32>>; // [cells, c_out], the forward argmax
@group(0) @binding(8) var<storage, read> saved: array<vec4<f32>>; // [cells, c_out], the forward y; anything without an activation

fn store_pixel(at: u32, inside: bool, best: Best) {
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
