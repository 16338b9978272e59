// The operands of conv2d_depthwise.wgsl in storage buffers, four channels at a time.

@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [n, h_src, w_src, c]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>; // [k_h, k_w, c]
@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>; // [n, h_dst, w_dst, c]

// Four channels of the source, or zero where they lie outside of the image.
fn load_src(i: u32, inside: bool) -> vec4<f32> {
    return select(vec4<f32>(0.0), src[select(0u, i, inside)], inside);
}

fn load_weight(i: u32) -> vec4<f32> {
    return w[i];
}

fn load_upstream(i: u32) -> vec4<f32> {
    return dy[i];
}
