// The operands of conv2d_broadcast.wgsl in storage buffers, some channels at a time.

@group(0) @binding(1) var<storage, read> src: array<Chunk>; // [n, h_src, w_src, c_src]
@group(0) @binding(2) var<storage, read> packed: array<Chunk>; // [c_dst, k_h, k_w, c_src]

// Chunk i of the source, or zero where that lies outside of the image.
fn load_src(i: u32, inside: bool) -> Chunk {
    return select(zero_chunk(), src[select(0u, i, inside)], inside);
}

// Chunk i of the packed weights.
fn load_packed(i: u32) -> Chunk {
    return packed[i];
}
