//! The mathematics: what every operator is, without a word about GPUs.
//!
//! Each room of this floor holds one operator, or several of one kind: its formula, its attributes, the shape rule
//! that refuses impossible shapes, the gradient rule, the reference in plain loops, and its cost. A backward
//! operator is an operator like any other, with a reference of its own. The references are generic over `f32` and
//! `f64`: in `f64` they verify every shader, in `f32` they are what the CPU session runs.
//!
//! Layouts: images `[n, h, w, c]`; convolution weights `[k_h, k_w, c_in / groups, c_out]`; linear weights
//! `[out, in]`.

pub mod activation;
pub mod alive;
pub mod augment;
pub mod batch;
pub mod batch_norm2d;
pub mod control;
pub mod conv2d;
pub mod dropout;
pub mod elementwise;
pub mod fused;
pub mod group_norm;
pub mod linear;
pub mod loss;
pub mod optimizer;
pub mod pool2d;
pub mod random;
pub mod real;
pub mod reduce;
pub mod softmax;
pub mod statistics;

pub use activation::{Activation, ActivationGrad};
pub use alive::Alive;
pub use augment::{Augment, AugmentDraw, Mixup};
pub use batch::GatherBatch;
pub use batch_norm2d::{BatchNorm2d, BatchNorm2dEval, BatchNorm2dEvalGrad, BatchNorm2dGrad, RunningStats};
pub use control::{Advance, Guard, RecordEvaluation, RecordStep};
pub use conv2d::{Conv2d, Conv2dGradInput, Conv2dGradWeight};
pub use dropout::Dropout;
pub use elementwise::{Add, Concat, Copy, Flatten, FlattenGrad, Mul, Slice};
pub use fused::{
    AddActivation, BatchNorm2dActivation, BatchNorm2dApply, ClippedOptimizer, Conv2dActivation, Conv2dGrad,
    Conv2dGradInputActivationGrad, Conv2dGradWeightBias, Conv2dMaxPool2d, Conv2dMaxPool2dGradWeight, Conv2dStatistics,
    LayerGrad, LinearActivation, LinearCrossEntropyAndGrad, LinearCrossEntropyGrad, LinearGrad,
    LinearGradInputActivationGrad, LinearGradWeightBias, MlpCrossEntropyGrad, Settle, SoftmaxCrossEntropyAndGrad,
};
pub use group_norm::{GroupNorm, GroupNormGrad, LayerNorm, LayerNormGrad};
pub use linear::{Linear, LinearGradInput, LinearGradWeight};
pub use loss::{
    MixupCrossEntropy, MixupCrossEntropyGrad, MseLoss, MseLossGrad, SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad,
};
pub use optimizer::{Accumulate, ClipGradNorm, ClipValue, GradNorm, Optimizer};
pub use pool2d::{AvgPool2d, AvgPool2dGrad, GlobalAvgPool2d, GlobalAvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Pool2d};
pub use real::{BlockSum, Real};
pub use reduce::SumRows;
pub use softmax::{LogSoftmax, LogSoftmaxGrad, Softmax, SoftmaxGrad};
pub use statistics::{MergeStatistics, Statistics};

use crate::error::{Error, Result};
use crate::tensor::{DType, Spec, Tensor};

/// Where a backward operator takes an operand from, seen from the forward operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The forward operator's input of this number.
    Input(usize),
    /// The forward operator's output of this number (a saved value, such as argmax or the reciprocal deviation).
    Output(usize),
    /// The upstream gradient of the forward operator's output of this number.
    Upstream(usize),
}

/// One backward operator of a gradient rule. A rule is data; [`crate::graph`] applies it.
#[derive(Debug, Clone, PartialEq)]
pub struct GradNode {
    /// The backward operator.
    pub op: Op,
    /// Its operands, in order.
    pub operands: Vec<Source>,
    /// For each of its outputs, the forward input whose gradient it is.
    pub gives: Vec<usize>,
}

/// What every operator answers about itself.
pub trait Operator {
    /// The operator's name as users, tests and tables write it: `conv2d`, `conv2d_grad_input`.
    fn name(&self) -> &'static str;

    /// The shape rule: the outputs' specs for these inputs, or why they are impossible.
    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>>;

    /// The gradient rule; empty for operators that are not differentiable. Inputs that no node gives are constants
    /// to the gradient (labels, running statistics).
    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        Vec::new()
    }

    /// The reference: plain loops, one output element at a time, gather-style. `outputs` is what
    /// [`Operator::infer`] answered for these inputs.
    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>>;

    /// Floating-point operations (a multiply-add counts two).
    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64;

    /// Pairs (output, input) that share storage: the operator updates that input in place.
    fn in_place(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }
}

/// Declares the closed set of operators once, with its exhaustive dispatch.
macro_rules! operators {
    ($($name:ident),+ $(,)?) => {
        /// Every operator, forward and backward. Matches over it are exhaustive in `ops` and `kernels`, so the
        /// compiler lists what a new operator lacks.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "each variant is documented at the struct it holds")]
        pub enum Op { $($name($name)),+ }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Self {
                Self::$name(op)
            }
        })+

        impl Operator for Op {
            fn name(&self) -> &'static str {
                match self { $(Self::$name(op) => op.name()),+ }
            }
            fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
                match self { $(Self::$name(op) => op.infer(inputs)),+ }
            }
            fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
                match self { $(Self::$name(op) => op.gradient(inputs)),+ }
            }
            fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
                match self { $(Self::$name(op) => op.reference(inputs, outputs)),+ }
            }
            fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
                match self { $(Self::$name(op) => op.flops(inputs, outputs)),+ }
            }
            fn in_place(&self) -> Vec<(usize, usize)> {
                match self { $(Self::$name(op) => op.in_place()),+ }
            }
        }
    };
}

operators! {
    Conv2d, Conv2dGradInput, Conv2dGradWeight,
    SumRows,
    MaxPool2d, MaxPool2dGrad, AvgPool2d, AvgPool2dGrad, GlobalAvgPool2d, GlobalAvgPool2dGrad,
    Linear, LinearGradInput, LinearGradWeight,
    Activation, ActivationGrad,
    Softmax, SoftmaxGrad, LogSoftmax, LogSoftmaxGrad,
    BatchNorm2d, BatchNorm2dGrad, BatchNorm2dEval, BatchNorm2dEvalGrad, RunningStats,
    GroupNorm, GroupNormGrad, LayerNorm, LayerNormGrad,
    Dropout,
    Add, Mul, Copy, Concat, Slice, Flatten, FlattenGrad,
    SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad, MixupCrossEntropy, MixupCrossEntropyGrad, MseLoss, MseLossGrad,
    Accumulate, GradNorm, ClipGradNorm, ClipValue, Optimizer,
    GatherBatch, AugmentDraw, Augment, Mixup, Guard, RecordStep, RecordEvaluation, Advance,
    Statistics, MergeStatistics, Alive,
    Conv2dActivation, LinearActivation, Conv2dMaxPool2d, Conv2dMaxPool2dGradWeight,
    Conv2dGradInputActivationGrad, LinearGradInputActivationGrad,
    Conv2dGradWeightBias, LinearGradWeightBias, Conv2dGrad, LinearGrad,
    SoftmaxCrossEntropyAndGrad, LinearCrossEntropyAndGrad, LinearCrossEntropyGrad, MlpCrossEntropyGrad, Settle,
    AddActivation, BatchNorm2dActivation, Conv2dStatistics, BatchNorm2dApply, ClippedOptimizer,
}

impl Op {
    /// Element `index` of output `output` alone, for the operators that have fast kernels: what spot checks compare. Every one of
    /// them knows its first output, and those that compute the gradients of a layer both long sums.
    pub fn element<T: Real>(
        &self,
        inputs: &[&Tensor<T>],
        outputs: &[Spec],
        (output, index): (usize, usize),
    ) -> Option<T> {
        Some(match (self, inputs) {
            (Self::Conv2dGrad(op), _) => op.element(inputs, outputs, (output, index))?,
            (Self::LinearGrad(op), _) => op.element(inputs, (output, index))?,
            (Self::LinearCrossEntropyGrad(op), _) if output == 0 => op.element(inputs, index),
            (Self::MlpCrossEntropyGrad(op), _) if output == 0 => op.element(inputs, index),
            _ if output > 0 => return None,
            (Self::Conv2d(op), [x, w, bias @ ..]) => {
                let out = [outputs[0].shape[1], outputs[0].shape[2]];
                conv2d::forward_element(op, x, w, bias.first().copied(), out, index)
            }
            (Self::Conv2dStatistics(op), _) => op.element(inputs, outputs, index),
            (Self::Conv2dActivation(op), _) => op.element(inputs, outputs, index),
            (Self::LinearActivation(op), _) => op.element(inputs, index),
            (Self::LinearCrossEntropyAndGrad(op), _) => op.element(inputs, index),
            (Self::Conv2dGradInputActivationGrad(op), _) => op.element(inputs, index),
            (Self::LinearGradInputActivationGrad(op), _) => op.element(inputs, index),
            (Self::Conv2dGradWeightBias(op), _) => op.element(inputs, index),
            (Self::LinearGradWeightBias(op), _) => op.element(inputs, index),
            (Self::Conv2dMaxPool2d(op), _) => op.element(inputs, outputs, index)?,
            (Self::Conv2dMaxPool2dGradWeight(op), _) => op.element(inputs, outputs, index)?,
            (Self::MaxPool2d(op), [x]) => pool2d::max_element(&op.0, x, &outputs[0].shape, index).0,
            (Self::MaxPool2dGrad(op), [dy, argmax]) => pool2d::max_grad_element(op, dy, argmax.u32s(), index),
            (Self::Conv2dGradInput(op), [dy, w]) => conv2d::grad_input_element(op, dy, w, index),
            (Self::Conv2dGradWeight(op), [x, dy]) => conv2d::grad_weight_element(op, x, dy, index),
            (Self::Linear(_), [x, w, bias @ ..]) => linear::forward_element(x, w, bias.first().copied(), index),
            (Self::LinearGradInput(op), [dy, w]) => linear::grad_input_element(*op, dy, w, index),
            (Self::LinearGradWeight(_), [x, dy]) => linear::grad_weight_element(x, dy, index),
            _ => return None,
        })
    }

    /// The same for an operator that reads its image normalised ([`BatchNorm2dApply`]), as one that reads what it is then; `None` for others.
    pub fn with_image_read<T: Real>(&self, inputs: &[&Tensor<T>]) -> Option<(Self, Vec<Tensor<T>>)> {
        match self {
            Self::Conv2dStatistics(op) => op.with_image_read(inputs).map(|(op, inputs)| (op.into(), inputs)),
            Self::Conv2dGrad(op) => op.with_image_read(inputs).map(|(op, inputs)| (op.into(), inputs)),
            _ => None,
        }
    }

    /// Whether it computes a loss, with which the forward pass ends.
    pub fn scores(&self) -> bool {
        matches!(
            self,
            Self::SoftmaxCrossEntropy(_)
                | Self::MixupCrossEntropy(_)
                | Self::MseLoss(_)
                | Self::SoftmaxCrossEntropyAndGrad(_)
                | Self::LinearCrossEntropyAndGrad(_)
                | Self::LinearCrossEntropyGrad(_)
                | Self::MlpCrossEntropyGrad(_)
        )
    }

    /// Whether it computes the gradient of a loss, with which the backward pass begins.
    pub fn turns(&self) -> bool {
        match self {
            Self::SoftmaxCrossEntropyGrad(_) | Self::MixupCrossEntropyGrad(_) | Self::MseLossGrad(_) => true,
            Self::SoftmaxCrossEntropy(_) | Self::MixupCrossEntropy(_) | Self::MseLoss(_) => false,
            both => both.scores(),
        }
    }

    /// Bytes that must move at least once: every input read, every output written.
    pub fn bytes(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        inputs.iter().chain(outputs).map(|spec| spec.bytes() as u64).sum()
    }

    /// Runs the reference on values: the shape rule, then the plain loops.
    pub fn evaluate<T: Real>(&self, inputs: &[&Tensor<T>]) -> Result<Vec<Tensor<T>>> {
        let specs: Vec<Spec> = inputs.iter().map(|tensor| tensor.spec()).collect();
        let outputs = self.infer(&specs)?;
        Ok(T::reference(self, inputs, &outputs))
    }
}

/// A float tensor whose element `i` is `element(i)`.
pub(crate) fn fill_float<T: Real>(spec: &Spec, element: impl Fn(usize) -> T + Sync) -> Tensor<T> {
    Tensor::float(spec.shape.clone(), fill(spec.len(), element))
}

/// Refuses a number of operands that the operator does not take.
pub(crate) fn expect_operands(op: &str, inputs: &[Spec], wanted: std::ops::RangeInclusive<usize>) -> Result<()> {
    if wanted.contains(&inputs.len()) {
        return Ok(());
    }
    Err(Error::shape(op, format!("takes {} to {} operands, got {}", wanted.start(), wanted.end(), inputs.len())))
}

/// Refuses an operand that has another element type or shape than `wanted`.
pub(crate) fn expect_spec(op: &str, what: &str, got: &Spec, wanted: &Spec) -> Result<()> {
    if got == wanted {
        return Ok(());
    }
    Err(Error::shape(
        op,
        format!(
            "{what} must be {:?} of shape {:?}, got {:?} of {:?}",
            wanted.dtype, wanted.shape, got.dtype, got.shape
        ),
    ))
}

/// Refuses anything but an image [n, h, w, c] of floats that has elements.
pub(crate) fn expect_image(op: &str, x: &Spec) -> Result<[usize; 4]> {
    match x.shape.as_slice() {
        &[n, h, w, c] if x.dtype == DType::F32 && !x.is_empty() => Ok([n, h, w, c]),
        _ => {
            Err(Error::shape(op, format!("needs an image [n, h, w, c] of floats, got {:?} of {:?}", x.dtype, x.shape)))
        }
    }
}

/// Refuses an operand of integers or bytes.
pub(crate) fn expect_float(op: &str, what: &str, x: &Spec) -> Result<()> {
    if x.dtype == DType::F32 {
        return Ok(());
    }
    Err(Error::shape(op, format!("{what} must hold floats, got {:?}", x.dtype)))
}

/// The extents before, along and after `axis`: element (o, i, r) of a tensor lies at (o·len + i)·inner + r.
pub(crate) fn around_axis(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// Fills a vector of `len` elements, each computed from its own index alone. Threads split the elements, so the
/// bits equal those of a serial run.
pub(crate) fn fill<T: Send>(len: usize, element: impl Fn(usize) -> T + Sync) -> Vec<T> {
    use rayon::prelude::*;
    const SERIAL_BELOW: usize = 2048;
    if len < SERIAL_BELOW {
        return (0..len).map(element).collect();
    }
    (0..len).into_par_iter().with_min_len(256).map(&element).collect()
}
