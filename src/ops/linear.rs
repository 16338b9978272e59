/// `x [n, in]`, `w [out, in]`, and, when there is a bias, `b [out]` → `y [n, out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Linear;

/// `dy [n, out]`, `w [out, in]` → `dx [n, in]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinearGradInput;

/// `x [n, in]`, `dy [n, out]` → `dw [out, in]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinearGradWeight;
