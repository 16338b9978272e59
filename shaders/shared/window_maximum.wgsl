// The maximum of a window (conv2d_broadcast.wgsl) and its place.

#import maximum

@group(0) @binding(11) var<storage, read_write> argmax: array<vec4<u32>>; // [windows, c_dst / 4]

// Stores the places of four neighbours; there is always room for all of them.
fn store_place(at: u32, best: Best) {
    argmax[at / 4u] = best.place;
}
