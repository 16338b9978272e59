/// `x [..]` → `y [..]`, normalised along `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
}

/// `y [..]`, `dy [..]` → `dx [..]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SoftmaxGrad {
    /// The forward axis.
    pub axis: usize,
}

/// `x [..]` → `y [..]`, along `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogSoftmax {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
}

/// `y [..]`, `dy [..]` → `dx [..]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogSoftmaxGrad {
    /// The forward axis.
    pub axis: usize,
}
