/// `x [..]`, `control` → `y [..]`: element i is kept, and scaled by 1/(1 − rate), where
/// `random(seed, step, i) >= rate · 2³²`, and 0 elsewhere; `step` comes from the control value. Its gradient is the
/// same operator on the upstream gradient, since the mask can be drawn again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of elements that are dropped, 0 ≤ rate < 1.
    pub rate: f32,
    /// The stream of random numbers; differs from layer to layer.
    pub seed: u32,
}
