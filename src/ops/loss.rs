/// `logits [n,k]`, `labels [n]` (u32) → `loss [1]` (mean over the batch) and `row_loss [n]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxCrossEntropy {
    /// Share of the probability that is spread evenly over all classes, 0 ≤ s < 1.
    pub label_smoothing: f32,
}

/// `logits [n,k]`, `labels [n]`, `dloss [1]` → `dlogits [n,k]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxCrossEntropyGrad {
    /// As in the forward operator.
    pub label_smoothing: f32,
}

/// `x [..]`, `target [..]` → `loss [1]`, the mean of (x − target)² over all elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MseLoss;

/// `x [..]`, `target [..]`, `dloss [1]` → `dx [..]`; with x and target exchanged, the gradient of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MseLossGrad;
