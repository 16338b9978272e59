// What 64 rows and columns of a convolution's output say of it beside its elements: nothing. shared/moments.wgsl stands in for this where a batch
// normalisation comes next.

fn store_moments(p: Params, m0: u32, n0: u32, row: u32, column: u32, acc: ptr<function, array<vec4<f32>, 4>>) {
}
