// What arrives at a max pool right behind a convolution.

fn pooled(at: u32) -> f32 {
    return dy[at];
}
