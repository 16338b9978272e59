// The operands of conv2d_broadcast.wgsl in storage buffers, four channels of the source at a time, whose weights are no neighbours.

@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [n, h_src, w_src, c_src]
@group(0) @binding(2) var<storage, read> w: array<f32>;

// Chunk i of the source, or zero where that lies outside of the image.
fn load_src(i: u32, inside: bool) -> vec4<f32> {
    return select(vec4<f32>(), src[select(0u, i, inside)], inside);
}

// Weights of four channels, the first of them i.
fn load_weight(i: u32) -> vec4<f32> {
    return vec4<f32>(w[i], w[i + params.w_c], w[i + 2u * params.w_c], w[i + 3u * params.w_c]);
}
