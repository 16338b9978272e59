//! What steers a plan from inside: the step counter and the flag that stops all writes.
//!
//! `control [4]` (u32) holds: 0 the number of steps done, 1 the flag (not 0: a loss or gradient was not finite; nothing
//! that lasts may be written until the host has looked), 2 and 3 reserved.

/// Index of the step counter in a control value.
pub const STEP: usize = 0;
/// Index of the flag in a control value.
pub const FLAG: usize = 1;
/// Elements of a control value.
pub const LEN: usize = 4;

/// `control`, `loss [1]`, `norm [2]` (of [`crate::ops::GradNorm`]) → `control` in place: sets the flag when the loss or any gradient
/// is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guard;

/// `control`, `loss [1]`, `norm [2]`, `logits [n,k]`, `labels [n]`, `losses [s]`, `norms [s]`, `corrects [s]` (u32) → `losses`, `norms` and `corrects`
/// in place: element `step % s` takes the loss, the gradient norm and the number of rows whose largest logit (the first of equals) is the
/// label; nothing when the flag is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordStep;

/// `control`, `logits [n,k]`, `row_loss [n]`, `losses [len]`, `classes [len]` (u32) → `losses` and `classes` in place: element `step·n + r` takes the
/// loss of row r and its largest logit's class, as long as it is below `len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordEvaluation;

/// `control` → `control` in place: one step more, unless the flag is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Advance;
