// What is added to a sum of a layer: its bias, where it has one. shared/no_bias.wgsl stands in for this where the sum is a gradient.

@group(0) @binding(3) var<storage, read> b: array<f32>; // [c_dst], or anything

// Of output channel o.
fn bias(o: u32) -> f32 {
    return select(0.0, b[o], params.bias == 1u);
}
