/// Window of a pooling operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps of the window, [vertical, horizontal].
    pub stride: [usize; 2],
    /// Border around the image: top, left, bottom, right. Never wins a maximum.
    pub padding: [usize; 4],
    /// Whether a window that hangs over the bottom or right edge still counts (PyTorch's `ceil_mode`).
    pub ceil_mode: bool,
}

/// `x [n,h,w,c]` → `y [n,h_out,w_out,c]` and `argmax [n,h_out,w_out,c]` (u32, row·w + column inside the image plane).
/// Of equal values the first in row-major order wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPool2d(pub Pool2d);

/// `dy [n,h_out,w_out,c]`, `argmax` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPool2dGrad {
    /// The forward window.
    pub pool: Pool2d,
    /// Height and width of the forward input.
    pub input: [usize; 2],
}

/// `x [n,h,w,c]` → `y [n,h_out,w_out,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AvgPool2d {
    /// The window.
    pub pool: Pool2d,
    /// Whether the border's zeros count in the mean.
    pub count_include_pad: bool,
}

/// `dy [n,h_out,w_out,c]` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AvgPool2dGrad {
    /// The forward operator.
    pub forward: AvgPool2d,
    /// Height and width of the forward input.
    pub input: [usize; 2],
}

/// `x [n,h,w,c]` → `y [n,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GlobalAvgPool2d;

/// `dy [n,c]` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GlobalAvgPool2dGrad {
    /// Height and width of the forward input.
    pub input: [usize; 2],
}
