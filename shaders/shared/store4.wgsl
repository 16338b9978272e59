// Results four channels at a time.

@group(0) @binding(4) var<storage, read_write> dst: array<vec4<f32>>; // [pixels, c_dst / 4]

// Stores four neighbours; there is always room for all of them.
fn store_dst(at: u32, room: u32, value: vec4<f32>) {
    dst[at / 4u] = value;
}
