// What is added to an element that is normalised: that of another image. shared/no_residual.wgsl stands in for this where there is none.

@group(0) @binding(6) var<storage, read> residual: array<f32>; // [rows, c]

fn residual_at(index: u32) -> f32 {
    return residual[index];
}
