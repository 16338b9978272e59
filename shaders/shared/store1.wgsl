// Results one channel at a time: for channel counts that four does not divide.

@group(0) @binding(4) var<storage, read_write> dst: array<f32>; // [pixels, c_dst]

// Stores the first `room` of four neighbours, of which there is at least one.
fn store_dst(at: u32, room: u32, value: vec4<f32>) {
    dst[at] = value.x;
    if room > 1u {
        dst[at + 1u] = value.y;
    }
    if room > 2u {
        dst[at + 2u] = value.z;
    }
    if room > 3u {
        dst[at + 3u] = value.w;
    }
}
