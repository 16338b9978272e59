//! Each operator on the GPU: which shader, with which constants, uniforms, operands and how many invocations. The only floor
//! that sees both the mathematics ([`crate::ops`]) and the machine ([`crate::gpu`]); it decides, and touches no device.

use crate::error::{Error, Result};
use crate::gpu::Caps;
use crate::graph::{Graph, check_size};
use crate::ops::{Op, Operator};
use crate::tensor::Spec;

pub use dispatch::{Binding, Dispatch, Extent, Lowered, Operand, Scalar};

/// The variant that every operator has, inside WebGPU's default limits.
pub const BASELINE: &str = "baseline";

/// A node to lower: its operator's operands and the device they are on.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Specs of the inputs.
    pub inputs: &'a [Spec],
    /// Specs of the outputs.
    pub outputs: &'a [Spec],
    /// What the device can do.
    pub caps: &'a Caps,
}

/// What a variant asks of a device.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Invocations of its workgroups.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Storage buffers that it binds.
    pub storage_buffers: u32,
    /// The subgroup sizes that it can be made for; empty where it uses no subgroups.
    pub subgroups: &'static [u32],
    /// Whether it is for adapters that compute on a CPU alone.
    pub cpu: bool,
}

impl Limits {
    /// WebGPU's default limits.
    pub const DEFAULT: Self =
        Self { invocations: 256, workgroup_bytes: 16 << 10, storage_buffers: 8, subgroups: &[], cpu: false };

    /// Why a device cannot run it; `None` where it can.
    pub fn refuse(&self, caps: &Caps) -> Option<String> {
        if self.cpu && !caps.cpu {
            return Some("is for adapters that compute on a CPU".into());
        }
        if caps.max_invocations < self.invocations {
            let (wants, has) = (self.invocations, caps.max_invocations);
            return Some(format!("needs workgroups of {wants} invocations, this adapter has {has}"));
        }
        if caps.max_workgroup_bytes < self.workgroup_bytes {
            let (wants, has) = (self.workgroup_bytes, caps.max_workgroup_bytes);
            return Some(format!("needs {wants} bytes of workgroup memory, this adapter has {has}"));
        }
        if caps.max_storage_buffers < self.storage_buffers {
            let (wants, has) = (self.storage_buffers, caps.max_storage_buffers);
            return Some(format!("binds {wants} storage buffers, this adapter has {has}"));
        }
        let fits = self.subgroups.is_empty() || caps.subgroup.is_some_and(|size| self.subgroups.contains(&size));
        (!fits).then(|| {
            let has = caps.subgroup.map_or("none".into(), |size| size.to_string());
            format!("needs subgroups of one of the sizes {:?}, this adapter has {has}", self.subgroups)
        })
    }
}

/// The sizes at which a kernel's code takes another path: where its tiles, blocks and vectors end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edges {
    /// Of the output's rows: pixels of a convolution, rows of a batch, columns (p, q, c) of a gradient of weights.
    pub rows: Vec<usize>,
    /// Of the output's columns: output channels.
    pub columns: Vec<usize>,
    /// Of the terms that an output element sums.
    pub depth: Vec<usize>,
}

/// One of several kernels for an operator.
#[derive(Debug)]
pub struct Variant {
    /// Its name, one of [`names`].
    pub name: &'static str,
    /// What it asks of a device.
    pub limits: Limits,
    /// Whether NaN and infinities may spread to results beside those that they belong to.
    pub spreads: bool,
    /// Where its code for this operator takes another path on this device.
    pub edges: fn(&Op, &Caps) -> Edges,
}

/// Invocations of a workgroup of every baseline kernel, `WORKGROUP` in the shaders.
pub const WORKGROUP: usize = 64;
/// Elements of an invocation in kernels that read and write each element once, `EACH` in `shaders/shared/grid.wgsl`.
const EACH: usize = 4;
/// Texels in a row of a texture that holds an operand, as `shaders/shared/operands_textures.wgsl` has it: the first row is
/// zeros, so that what lies outside of an image can be read as texel 0, and then element 4·i is the first of texel
/// `(i mod 256, 1 + i / 256)`.
pub const TEXTURE_WIDTH: usize = 256;

/// Texels, and rows with the one of zeros, that an operand takes in a texture.
pub fn texels(spec: &Spec) -> (usize, usize) {
    let texels = spec.len().div_ceil(4);
    (texels, 1 + texels.div_ceil(TEXTURE_WIDTH))
}

/// Terms that one accumulator may take over batch and space, `BLOCK` in the shaders.
pub const BLOCK: usize = 256;

const BASELINE_VARIANT: Variant = Variant {
    name: BASELINE,
    limits: Limits::DEFAULT,
    spreads: false,
    edges: |_, _| Edges { rows: vec![WORKGROUP], columns: vec![], depth: vec![BLOCK] },
};

const FAST: [Variant; 7] = [
    BASELINE_VARIANT,
    conv2d_tiled::VARIANT,
    conv2d_tiled::SMALL_VARIANT,
    conv2d_tiled::LARGE_VARIANT,
    conv2d_tiled::FOURS_VARIANT,
    conv2d_broadcast::VARIANT,
    conv2d_broadcast::TEXTURES,
];

const CONVOLUTION: [Variant; 11] = [
    BASELINE_VARIANT,
    conv2d_tiled::VARIANT,
    conv2d_tiled::SMALL_VARIANT,
    conv2d_tiled::LARGE_VARIANT,
    conv2d_tiled::FOURS_VARIANT,
    conv2d_broadcast::VARIANT,
    conv2d_broadcast::TEXTURES,
    conv2d_depthwise::VARIANT,
    conv2d_depthwise::TEXTURES,
    conv2d_winograd::VARIANT,
    conv2d_few_channels::VARIANT,
];

const HEAD: [Variant; 8] = [
    BASELINE_VARIANT,
    conv2d_tiled::VARIANT,
    conv2d_tiled::SMALL_VARIANT,
    conv2d_tiled::LARGE_VARIANT,
    conv2d_tiled::FOURS_VARIANT,
    conv2d_broadcast::VARIANT,
    conv2d_broadcast::TEXTURES,
    linear_cross_entropy::VARIANT,
];

const HEAD_GRAD: [Variant; 5] = [
    BASELINE_VARIANT,
    conv2d_tiled::VARIANT,
    conv2d_tiled::SMALL_VARIANT,
    conv2d_tiled::LARGE_VARIANT,
    linear_cross_entropy::GRAD_VARIANT,
];

const MLP: [Variant; 5] = [
    BASELINE_VARIANT,
    conv2d_tiled::VARIANT,
    conv2d_tiled::SMALL_VARIANT,
    conv2d_tiled::LARGE_VARIANT,
    linear_cross_entropy::MLP_VARIANT,
];

const TILED: [Variant; 5] = [
    BASELINE_VARIANT,
    conv2d_tiled::VARIANT,
    conv2d_tiled::SMALL_VARIANT,
    conv2d_tiled::LARGE_VARIANT,
    conv2d_tiled::FOURS_VARIANT,
];

const POOLING: [Variant; 2] = [BASELINE_VARIANT, pool2d_windows::VARIANT];

/// The names of all variants of all operators.
pub fn names() -> Vec<&'static str> {
    CONVOLUTION.iter().chain(&POOLING[1..]).chain(&HEAD[FAST.len()..]).map(|variant| variant.name).collect()
}

/// Every variant of an operator, whether this device can run it or not.
pub fn known(op: &Op) -> &'static [Variant] {
    match op {
        Op::Conv2d(_) | Op::Conv2dActivation(_) | Op::Conv2dGradWeight(_) => &CONVOLUTION,
        Op::Conv2dMaxPool2d(_) | Op::Conv2dMaxPool2dGradWeight(_) | Op::Conv2dGradWeightBias(_) => &CONVOLUTION,
        // An image whose gradient is wanted has many channels.
        Op::Conv2dGradInput(_) => &CONVOLUTION[..10],
        Op::Conv2dGradInputActivationGrad(_) => &CONVOLUTION[..9],
        Op::Linear(_) | Op::LinearActivation(_) | Op::LinearGradInput(_) | Op::LinearGradWeight(_) => &FAST,
        Op::LinearGradInputActivationGrad(_) | Op::LinearGradWeightBias(_) => &FAST,
        Op::LinearCrossEntropyAndGrad(_) => &HEAD,
        Op::LinearCrossEntropyGrad(_) => &HEAD_GRAD,
        Op::MlpCrossEntropyGrad(_) => &MLP,
        Op::Conv2dGrad(_) | Op::LinearGrad(_) | Op::Conv2dStatistics(_) => &TILED,
        Op::MaxPool2d(_) | Op::MaxPool2dGrad(_) => &POOLING,
        _ => &[BASELINE_VARIANT],
    }
}

mod activation;
mod alive;
mod augment;
mod batch;
mod batch_norm2d;
mod batch_norm2d_apply;
mod control;
mod control_settle;
mod conv2d;
mod conv2d_broadcast;
mod conv2d_depthwise;
mod conv2d_few_channels;
mod conv2d_gather;
mod conv2d_grad;
mod conv2d_max_pool2d;
mod conv2d_product;
mod conv2d_rows;
mod conv2d_tiled;
mod conv2d_winograd;
mod dispatch;
mod dropout;
mod elementwise;
mod group_norm;
mod linear;
mod linear_cross_entropy;
mod loss;
mod optimizer;
mod pool2d;
mod pool2d_windows;
mod reduce;
mod softmax;
mod statistics;

/// The variants of `op` that can compute this problem on this device, the preferred one first; [`BASELINE`] is always
/// among them.
pub fn variants(op: &Op, problem: &Problem) -> Vec<&'static str> {
    match op {
        Op::Conv2d(op) => conv2d::forward_variants(op, problem),
        Op::Conv2dActivation(op) => conv2d::forward_variants(&op.conv, problem),
        Op::Conv2dMaxPool2d(op) => conv2d_max_pool2d::forward_variants(op, problem),
        Op::Conv2dMaxPool2dGradWeight(op) => conv2d_max_pool2d::grad_weight_variants(op, problem),
        Op::Conv2dGradInput(op) => conv2d::grad_input_variants(op, problem),
        Op::Conv2dGradInputActivationGrad(op) => conv2d::grad_input_variants(&op.sum, problem),
        Op::Conv2dGradWeight(op) => conv2d::grad_weight_variants(op, problem),
        Op::Conv2dGradWeightBias(op) => conv2d::grad_weight_variants(&op.weight, problem),
        Op::Linear(_) | Op::LinearActivation(_) => {
            conv2d::gather_variants(&linear::forward_shape(problem), problem.caps)
        }
        Op::LinearGradInput(_) | Op::LinearGradInputActivationGrad(_) => {
            conv2d::gather_variants(&linear::input_shape(problem), problem.caps)
        }
        Op::LinearGradWeight(_) | Op::LinearGradWeightBias(_) => {
            conv2d::weight_variants(&linear::weight_shape(problem), problem.caps)
        }
        Op::Conv2dGrad(op) => conv2d_grad::conv2d_variants(op, problem),
        Op::Conv2dStatistics(op) => batch_norm2d_apply::variants(op, problem),
        Op::LinearGrad(op) => conv2d_grad::linear_variants(op, problem),
        Op::LinearCrossEntropyAndGrad(_) => linear_cross_entropy::variants(problem),
        Op::LinearCrossEntropyGrad(op) => linear_cross_entropy::grad_variants(op, problem),
        Op::MlpCrossEntropyGrad(op) => linear_cross_entropy::mlp_variants(op, problem),
        Op::MaxPool2d(op) => pool2d::variants(&op.0, problem),
        Op::MaxPool2dGrad(op) => pool2d::variants(&op.pool, problem),
        _ => vec![BASELINE],
    }
}

/// The nodes of a graph as dispatches on a device of which nothing but its capabilities is known, each in the variant that is
/// preferred there before anything was proven or measured.
pub fn plan(graph: &Graph, caps: &Caps) -> Result<Vec<Lowered>> {
    let lowered = graph.nodes().iter().map(|node| {
        let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps };
        let variant = variants(&node.op, &problem).first().copied().unwrap_or(BASELINE);
        lower(&node.op, &problem, variant)
    });
    lowered.collect()
}

/// Turns a node into dispatches with the given variant (see [`variants`]).
pub fn lower(op: &Op, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    problem.inputs.iter().chain(problem.outputs).try_for_each(|spec| check_size(op.name(), &spec.shape))?;
    let lowered = match op {
        Op::Conv2d(op) => conv2d::forward(op, None, problem, variant),
        Op::Conv2dActivation(op) => conv2d::forward(&op.conv, Some(op.activation), problem, variant),
        Op::Conv2dMaxPool2d(op) => conv2d_max_pool2d::forward(op, problem, variant),
        Op::Conv2dMaxPool2dGradWeight(op) => conv2d_max_pool2d::grad_weight(op, problem, variant),
        Op::Conv2dGradInput(op) => conv2d::grad_input(op, None, problem, variant),
        Op::Conv2dGradInputActivationGrad(op) => conv2d::grad_input(&op.sum, Some(op.activation), problem, variant),
        Op::Conv2dGradWeight(op) => conv2d::grad_weight(op, problem, variant),
        Op::Conv2dGradWeightBias(op) => conv2d::bias_grad_weight(&op.weight, problem, variant),
        Op::Conv2dGrad(op) => conv2d_grad::conv2d(op, problem, variant),
        Op::LinearGrad(op) => conv2d_grad::linear(op, problem, variant),
        Op::SumRows(op) => reduce::sum_rows(op, problem),
        Op::MaxPool2d(op) => pool2d::max_forward(op, problem, variant),
        Op::MaxPool2dGrad(op) => pool2d::max_grad(op, problem, variant),
        Op::AvgPool2d(op) => pool2d::avg_forward(op, problem),
        Op::AvgPool2dGrad(op) => pool2d::avg_grad(op, problem),
        Op::GlobalAvgPool2d(op) => pool2d::global_avg_forward(op, problem),
        Op::GlobalAvgPool2dGrad(op) => pool2d::global_avg_grad(op, problem),
        Op::Linear(_) => linear::forward(None, problem, variant),
        Op::LinearActivation(op) => linear::forward(Some(op.activation), problem, variant),
        Op::LinearGradInput(_) => linear::grad_input(None, problem, variant),
        Op::LinearGradInputActivationGrad(op) => linear::grad_input(Some(op.activation), problem, variant),
        Op::LinearGradWeight(op) => linear::grad_weight(op, problem, variant),
        Op::LinearGradWeightBias(op) => linear::bias_grad_weight(&op.weight, problem, variant),
        Op::Activation(op) => activation::forward(op, problem),
        Op::ActivationGrad(op) => activation::grad(op, problem),
        Op::Softmax(op) => softmax::softmax(op, problem),
        Op::SoftmaxGrad(op) => softmax::softmax_grad(op, problem),
        Op::LogSoftmax(op) => softmax::log_softmax(op, problem),
        Op::LogSoftmaxGrad(op) => softmax::log_softmax_grad(op, problem),
        Op::BatchNorm2d(op) => batch_norm2d::forward(op, None, problem),
        Op::BatchNorm2dActivation(op) => batch_norm2d::forward(&op.op, Some(op.activation), problem),
        Op::Conv2dStatistics(op) => batch_norm2d_apply::statistics(op, problem, variant),
        Op::BatchNorm2dApply(op) => batch_norm2d_apply::lower(op, problem),
        Op::BatchNorm2dGrad(op) => batch_norm2d::grad(op, problem),
        Op::BatchNorm2dEval(op) => batch_norm2d::eval(op, problem),
        Op::BatchNorm2dEvalGrad(op) => batch_norm2d::eval_grad(op, problem),
        Op::RunningStats(op) => batch_norm2d::running_stats(op, problem),
        Op::GroupNorm(op) => group_norm::forward(op, problem),
        Op::GroupNormGrad(op) => group_norm::grad(op, problem),
        Op::LayerNorm(op) => group_norm::layer_forward(op, problem),
        Op::LayerNormGrad(op) => group_norm::layer_grad(op, problem),
        Op::Dropout(op) => dropout::forward(op, problem),
        Op::Add(_) => elementwise::add(None, problem),
        Op::AddActivation(op) => elementwise::add(Some(op.activation), problem),
        Op::Mul(op) => elementwise::mul(op, problem),
        Op::Copy(op) => elementwise::copy(op, problem),
        Op::Concat(op) => elementwise::concat(op, problem),
        Op::Slice(op) => elementwise::slice(op, problem),
        Op::Flatten(op) => elementwise::flatten(op, problem),
        Op::FlattenGrad(op) => elementwise::flatten_grad(op, problem),
        Op::SoftmaxCrossEntropy(op) => loss::cross_entropy(op, problem),
        Op::SoftmaxCrossEntropyGrad(op) => loss::cross_entropy_grad(op, problem),
        Op::MixupCrossEntropy(op) => loss::mixup_cross_entropy(op, problem),
        Op::MixupCrossEntropyGrad(op) => loss::mixup_cross_entropy_grad(op, problem),
        Op::SoftmaxCrossEntropyAndGrad(op) => loss::cross_entropy_and_grad(op, problem),
        Op::LinearCrossEntropyAndGrad(op) => linear_cross_entropy::lower(op, problem, variant),
        Op::LinearCrossEntropyGrad(op) => linear_cross_entropy::lower_grad(op, problem, variant),
        Op::MlpCrossEntropyGrad(op) => linear_cross_entropy::lower_mlp(op, problem, variant),
        Op::MseLoss(op) => loss::mse(op, problem),
        Op::MseLossGrad(op) => loss::mse_grad(op, problem),
        Op::GradNorm(op) => optimizer::grad_norm(op, problem),
        Op::ClipGradNorm(op) => optimizer::clip_grad_norm(op, problem),
        Op::Accumulate(_) => optimizer::accumulate(problem),
        Op::ClipValue(op) => optimizer::clip_value(op, problem),
        Op::Optimizer(op) => optimizer::step(&(*op).into(), problem),
        Op::ClippedOptimizer(op) => optimizer::step(op, problem),
        Op::GatherBatch(op) => batch::gather(op, problem),
        Op::AugmentDraw(op) => augment::draw(op, problem),
        Op::Augment(op) => augment::augment(op, problem),
        Op::Mixup(op) => augment::mixup(op, problem),
        Op::Guard(op) => control::guard(op, problem),
        Op::RecordStep(op) => control::record_step(op, problem),
        Op::RecordEvaluation(op) => control::record_evaluation(op, problem),
        Op::Settle(op) => control_settle::settle(op, problem),
        Op::Advance(op) => control::advance(op, problem),
        Op::Statistics(op) => statistics::statistics(op, problem),
        Op::MergeStatistics(op) => statistics::merge(op, problem),
        Op::Alive(op) => alive::alive(op, problem),
    }?;
    let most = problem.caps.most_trips();
    match lowered.dispatches.iter().find(|dispatch| dispatch.trips > most) {
        None => Ok(lowered),
        Some(dispatch) => Err(Error::shape(
            op.name(),
            format!(
                "{} would loop {} times an invocation, this driver stops at {most}; use a smaller batch",
                dispatch.entry, dispatch.trips
            ),
        )),
    }
}
