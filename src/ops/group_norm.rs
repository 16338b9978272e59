/// `x [n,h,w,c]`, `weight [c]`, `bias [c]` → `y [n,h,w,c]`, `mean [2,n,groups]` (pivot and offset), `rstd [n,groups]`: statistics over the
/// pixels and the c/groups channels of a group, an image at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNorm {
    /// Number of groups; divides the channels.
    pub groups: usize,
    /// Added to the variance inside the square root.
    pub eps: f32,
}

/// `x`, `weight`, `mean`, `rstd`, `dy` → `dx`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupNormGrad {
    /// Number of groups of the forward operator.
    pub groups: usize,
}

/// `x [.., c]`, `weight [c]`, `bias [c]` → `y [.., c]`, `mean [2,..]` (pivot and offset), `rstd [..]`: statistics over the last axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance inside the square root.
    pub eps: f32,
}

/// `x`, `weight`, `mean`, `rstd`, `dy` → `dx`, `dweight [c]`, `dbias [c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerNormGrad;
