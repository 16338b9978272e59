// The operands of conv2d_broadcast.wgsl in storage buffers, some channels at a time.

@group(0) @binding(1) var<storage, read> src: array<Chunk>; // [n, h_src, w_src, c_src]
@group(0) @binding(2) var<storage, read> w: array<Chunk>; // neighbouring weights

// Chunk i of the source, or zero where that lies outside of the image.
fn load_src(i: u32, inside: bool) -> Chunk {
    return select(zero_chunk(), src[select(0u, i, inside)], inside);
}

// Neighbouring weights, the first of them CHUNK i.
fn load_weight(i: u32) -> Chunk {
    return w[i];
}
