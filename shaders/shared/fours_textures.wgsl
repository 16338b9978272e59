// The operands of conv2d_depthwise.wgsl in read-only storage textures, four channels a texel: a load whose address differs
// between lanes, which is a loop over the lanes from a buffer, is straight code from these (src/session/gpu/textures.rs).

#import texel

@group(0) @binding(1) var src: texture_storage_2d<rgba32float, read>; // [n, h_src, w_src, c]
@group(0) @binding(2) var w: texture_storage_2d<rgba32float, read>; // [k_h, k_w, c]
@group(0) @binding(3) var dy: texture_storage_2d<rgba32float, read>; // [n, h_dst, w_dst, c]

// Four channels of the source, or zero where they lie outside of the image.
fn load_src(i: u32, inside: bool) -> vec4<f32> {
    return textureLoad(src, texel(i, inside));
}

fn load_weight(i: u32) -> vec4<f32> {
    return textureLoad(w, texel(i, true));
}

fn load_upstream(i: u32) -> vec4<f32> {
    return textureLoad(dy, texel(i, true));
}
