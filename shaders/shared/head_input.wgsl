// What the last layer of a classifier reads: it is there. shared/head_hidden.wgsl stands in for this where the layer before it is
// computed in the same kernel.

@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, pixels, channels]

fn prepare(row: u32, lane: u32) {
}
