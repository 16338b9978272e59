/// `a [..]`, `b [..]` of one shape → `a + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Add;

/// `a [..]`, `b [..]` of one shape → `a · b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mul;

/// `x [..]` → the same elements in another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Copy;

/// Any number of tensors that differ along `axis` only → one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
}

/// `x [..]` → elements `start..start + len` along `axis`: the gradient of [`Concat`] for one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slice {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
    /// First index.
    pub start: usize,
    /// Number of indices.
    pub len: usize,
}

/// `x [n,h,w,c]` → `y [n, c·h·w]` in C, H, W order, as PyTorch flattens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flatten;

/// `dy [n, c·h·w]` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlattenGrad {
    /// Height, width and channels of the forward input.
    pub image: [usize; 3],
}
