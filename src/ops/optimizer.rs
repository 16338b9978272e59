/// `param [p]`, `grad [p]`, `rates [steps, 4]`, `control`, then the optimiser's moments [p] (see
/// [`Optimizer::moments`]) → `param` and the moments, updated in place unless the control flag is set.
///
/// Row `control.step % steps` of `rates` holds the learning rate, Adam's 1 − β₁ᵗ, Adam's √(1 − β₂ᵗ), and 0, computed on the
/// host in float64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// g ← g + weight_decay·w; v ← momentum·v + g (v = g in the first step); w ← w − lr·(nesterov ? g + momentum·v : v).
    Sgd { momentum: f32, nesterov: bool, weight_decay: f32 },
    /// Kingma and Ba 2015; weight decay is added to the gradient.
    Adam { beta1: f32, beta2: f32, eps: f32, weight_decay: f32 },
    /// Loshchilov and Hutter 2019; weight decay shrinks the weight directly.
    AdamW { beta1: f32, beta2: f32, eps: f32, weight_decay: f32 },
    /// Tieleman and Hinton 2012, as in PyTorch (not centred).
    RmsProp { alpha: f32, eps: f32, momentum: f32, weight_decay: f32 },
}

/// `grad [p]` → `norm [2]`: the L2 norm over all elements, and 1 where any of them is NaN or infinite, else 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GradNorm;

/// `grad [p]`, `norm [2]` → `grad` in place, times min(1, max_norm / (norm + 1e-6)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipGradNorm {
    /// The largest norm that passes unchanged.
    pub max_norm: f32,
}

/// `x [p]`, `control` → `x` in place, each element into [−limit, limit] (unless the control flag is set): gradients before
/// the optimiser or weights after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipValue {
    /// The largest magnitude that passes unchanged.
    pub limit: f32,
}
