// What a tile of a convolution's output says of it beside its elements: nothing. shared/moments.wgsl stands in for this where a batch
// normalisation comes next.

// Whether an invocation must have the sums of four rows for that.
const IN_FOURS: bool = false;

fn store_moments(p: Params, m0: u32, n0: u32, at: Spot, sums: ptr<function, array<vec4<f32>, 4>>) {
}
