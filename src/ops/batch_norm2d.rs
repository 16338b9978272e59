/// Training: `x [n,h,w,c]`, `weight [c]`, `bias [c]` → `y [n,h,w,c]`, `mean [2,c]` (row 0 a pivot, the channel's first
/// value, row 1 the mean's offset from it: their sum is the mean), `rstd [c]` (with the biased variance)
/// and `var_unbiased [c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2d {
    /// Added to the variance inside the square root.
    pub eps: f32,
}

/// `x`, `weight`, `mean [2,c]`, `rstd [c]`, `dy` → `dx [n,h,w,c]`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchNorm2dGrad;

/// Evaluation: `x [n,h,w,c]`, `weight [c]`, `bias [c]`, `running_mean [c]`, `running_var [c]` → `y [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2dEval {
    /// Added to the variance inside the square root.
    pub eps: f32,
}

/// `x`, `weight`, `running_mean`, `running_var`, `dy` → `dx [n,h,w,c]`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2dEvalGrad {
    /// Added to the variance inside the square root.
    pub eps: f32,
}

/// `running_mean [c]`, `running_var [c]`, `mean [2,c]`, `var_unbiased [c]`, `control` → both running statistics, updated in
/// place: r ← (1 − momentum)·r + momentum·batch, unless the control flag is set (see [`crate::ops::control`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningStats {
    /// Weight of the new batch.
    pub momentum: f32,
}
