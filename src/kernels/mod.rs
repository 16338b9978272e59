//! Each operator on the GPU: which shader, with which constants, uniforms, operands and how many invocations. The only floor
//! that sees both the mathematics ([`crate::ops`]) and the machine ([`crate::gpu`]); it decides, and touches no device.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::gpu::{Caps, Module};
use crate::graph::check_size;
use crate::ops::{Op, Operator};
use crate::tensor::Spec;

/// A value that a kernel's uniform struct takes, by name; the types must be those that the shader declares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// `u32`
    U32(u32),
    /// `i32`
    I32(i32),
    /// `f32`
    F32(f32),
}

impl From<usize> for Scalar {
    /// Sizes are checked against 2^31 before kernels are made (see [`lower`]), so this loses nothing.
    fn from(value: usize) -> Self {
        Self::U32(value as u32)
    }
}

impl From<u32> for Scalar {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<i32> for Scalar {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<f64> for Scalar {
    /// Attributes are float64 on the host, and float32 in every kernel.
    fn from(value: f64) -> Self {
        Self::F32(value as f32)
    }
}

impl From<f32> for Scalar {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

/// What a binding of a kernel is, seen from the node that it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The node's input of this number.
    Input(usize),
    /// The node's output of this number. For an operator in place this is the storage of the input it updates: bind the
    /// output alone.
    Output(usize),
    /// Scratch memory of this number, as declared in [`Lowered::workspaces`].
    Workspace(usize),
}

/// A buffer, or the copy of one in a texture, given to a shader variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The variable's name in WGSL.
    pub name: &'static str,
    /// What it is.
    pub operand: Operand,
    /// Elements to bind, or all of them.
    pub range: Option<Range<usize>>,
    /// Whether the variable is a texture, into which the session copies the operand first; see [`TEXTURE_WIDTH`].
    pub texture: bool,
}

/// How much of a kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// At least so many invocations of a kernel that rebuilds its linear index (`shaders/shared/grid.wgsl`); the session
    /// folds the workgroups into two dimensions where one is not enough.
    Invocations(usize),
    /// So many workgroups of a kernel that rebuilds its linear workgroup index (`shaders/shared/grid.wgsl`), folded likewise.
    Workgroups(usize),
}

/// One dispatch: a kernel and everything it is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// The shader.
    pub module: Module,
    /// Its entry point.
    pub entry: &'static str,
    /// Members of its uniform struct `params`, by name, in any order, none missing.
    pub uniforms: Vec<(&'static str, Scalar)>,
    /// Its storage buffers, by name.
    pub bindings: Vec<Binding>,
    /// How much of it runs.
    pub extent: Extent,
    /// The most loop iterations of one invocation, all loops together: some drivers stop silently at 65,535.
    pub trips: usize,
}

impl Dispatch {
    /// Entry point `entry` of the shader file `file`; the setters below complete it.
    pub fn new(file: &'static str, entry: &'static str) -> Self {
        let (uniforms, bindings) = (Vec::new(), Vec::new());
        Self { module: Module::new(file), entry, uniforms, bindings, extent: Extent::Invocations(0), trips: 1 }
    }

    /// Sets a member of the uniform struct.
    pub fn set(mut self, name: &'static str, value: impl Into<Scalar>) -> Self {
        self.uniforms.push((name, value.into()));
        self
    }

    /// Binds an operand.
    pub fn bind(mut self, name: &'static str, operand: Operand) -> Self {
        self.bindings.push(Binding { name, operand, range: None, texture: false });
        self
    }

    /// Binds a texture that holds a copy of an operand as it is when this dispatch runs; see [`TEXTURE_WIDTH`].
    pub fn bind_texture(mut self, name: &'static str, operand: Operand) -> Self {
        self.bindings.push(Binding { name, operand, range: None, texture: true });
        self
    }

    /// Binds some elements of an operand; the range must start at a multiple of 64 elements.
    pub fn bind_range(mut self, name: &'static str, operand: Operand, range: Range<usize>) -> Self {
        self.bindings.push(Binding { name, operand, range: Some(range), texture: false });
        self
    }

    /// Replaces a top-level constant or alias of the shader.
    pub fn constant(mut self, name: &'static str, value: impl ToString) -> Self {
        self.module.constants.push((name, value.to_string()));
        self
    }

    /// Lets `#import name` mean `file`.
    pub fn link(mut self, name: &'static str, file: &'static str) -> Self {
        self.module.links.push((name, file));
        self
    }

    /// Runs at least so many invocations.
    pub fn invocations(mut self, count: usize) -> Self {
        self.extent = Extent::Invocations(count);
        self
    }

    /// Runs so many workgroups.
    pub fn workgroups(mut self, count: usize) -> Self {
        self.extent = Extent::Workgroups(count);
        self
    }

    /// Declares the most loop iterations of one invocation.
    pub fn trips(mut self, count: usize) -> Self {
        self.trips = count;
        self
    }
}

/// A node turned into dispatches.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// The variant that was taken: `baseline`, `broadcast`, `broadcast_textures`, `tiled`.
    pub variant: &'static str,
    /// Scratch buffers, alive during this node only.
    pub workspaces: Vec<Spec>,
    /// What runs, in order.
    pub dispatches: Vec<Dispatch>,
}

impl Lowered {
    /// The baseline variant, without scratch memory.
    pub fn baseline(dispatches: Vec<Dispatch>) -> Self {
        Self { variant: BASELINE, workspaces: Vec::new(), dispatches }
    }
}

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
    /// The subgroup sizes that it can be made for; empty where it uses no subgroups.
    pub subgroups: &'static [u32],
    /// Whether it is for adapters that compute on a CPU alone.
    pub cpu: bool,
}

impl Limits {
    /// WebGPU's default limits.
    pub const DEFAULT: Self = Self { invocations: 256, workgroup_bytes: 16 << 10, subgroups: &[], cpu: false };

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
    /// Its name: `baseline`, `broadcast`, `broadcast_textures`, `tiled`.
    pub name: &'static str,
    /// What it asks of a device.
    pub limits: Limits,
    /// Where its code for this operator takes another path on this device.
    pub edges: fn(&Op, &Caps) -> Edges,
}

/// Invocations of a workgroup of every baseline kernel, `WORKGROUP` in the shaders.
pub const WORKGROUP: usize = 64;
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
    edges: |_, _| Edges { rows: vec![WORKGROUP], columns: vec![], depth: vec![BLOCK] },
};

const FAST: [Variant; 4] =
    [BASELINE_VARIANT, conv2d_tiled::VARIANT, conv2d_broadcast::VARIANT, conv2d_broadcast::TEXTURES];

const POOLING: [Variant; 2] = [BASELINE_VARIANT, pool2d_windows::VARIANT];

/// The names of all variants of all operators.
pub fn names() -> Vec<&'static str> {
    FAST.iter().chain(&POOLING[1..]).map(|variant| variant.name).collect()
}

/// Every variant of an operator, whether this device can run it or not.
pub fn known(op: &Op) -> &'static [Variant] {
    match op {
        Op::Conv2d(_) | Op::Conv2dActivation(_) | Op::Conv2dGradInput(_) | Op::Conv2dGradWeight(_) => &FAST,
        Op::Linear(_) | Op::LinearActivation(_) | Op::LinearGradInput(_) | Op::LinearGradWeight(_) => &FAST,
        Op::MaxPool2d(_) | Op::MaxPool2dGrad(_) => &POOLING,
        _ => &[BASELINE_VARIANT],
    }
}

mod activation;
mod batch;
mod batch_norm2d;
mod control;
mod conv2d;
mod conv2d_broadcast;
mod conv2d_rows;
mod conv2d_tiled;
mod dropout;
mod elementwise;
mod group_norm;
mod linear;
mod loss;
mod optimizer;
mod pool2d;
mod pool2d_windows;
mod reduce;
mod softmax;

/// The variants of `op` that can compute this problem on this device, the preferred one first; [`BASELINE`] is always
/// among them.
pub fn variants(op: &Op, problem: &Problem) -> Vec<&'static str> {
    match op {
        Op::Conv2d(op) => conv2d::forward_variants(op, problem),
        Op::Conv2dActivation(op) => conv2d::forward_variants(&op.conv, problem),
        Op::Conv2dGradInput(op) => conv2d::grad_input_variants(op, problem),
        Op::Conv2dGradWeight(op) => conv2d::grad_weight_variants(op, problem),
        Op::Linear(_) | Op::LinearActivation(_) => {
            conv2d::gather_variants(&linear::forward_shape(problem), problem.caps)
        }
        Op::LinearGradInput(_) => conv2d::gather_variants(&linear::input_shape(problem), problem.caps),
        Op::LinearGradWeight(_) => conv2d::weight_variants(&linear::weight_shape(problem), problem.caps),
        Op::MaxPool2d(op) => pool2d::variants(&op.0, problem),
        Op::MaxPool2dGrad(op) => pool2d::variants(&op.pool, problem),
        _ => vec![BASELINE],
    }
}

/// Turns a node into dispatches with the given variant (see [`variants`]).
pub fn lower(op: &Op, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    problem.inputs.iter().chain(problem.outputs).try_for_each(|spec| check_size(op.name(), &spec.shape))?;
    let lowered = match op {
        Op::Conv2d(op) => conv2d::forward(op, None, problem, variant),
        Op::Conv2dActivation(op) => conv2d::forward(&op.conv, Some(op.activation), problem, variant),
        Op::Conv2dGradInput(op) => conv2d::grad_input(op, problem, variant),
        Op::Conv2dGradWeight(op) => conv2d::grad_weight(op, problem, variant),
        Op::SumRows(op) => reduce::sum_rows(op, problem),
        Op::MaxPool2d(op) => pool2d::max_forward(op, problem, variant),
        Op::MaxPool2dGrad(op) => pool2d::max_grad(op, problem, variant),
        Op::AvgPool2d(op) => pool2d::avg_forward(op, problem),
        Op::AvgPool2dGrad(op) => pool2d::avg_grad(op, problem),
        Op::GlobalAvgPool2d(op) => pool2d::global_avg_forward(op, problem),
        Op::GlobalAvgPool2dGrad(op) => pool2d::global_avg_grad(op, problem),
        Op::Linear(_) => linear::forward(None, problem, variant),
        Op::LinearActivation(op) => linear::forward(Some(op.activation), problem, variant),
        Op::LinearGradInput(op) => linear::grad_input(op, problem, variant),
        Op::LinearGradWeight(op) => linear::grad_weight(op, problem, variant),
        Op::Activation(op) => activation::forward(op, problem),
        Op::ActivationGrad(op) => activation::grad(op, problem),
        Op::Softmax(op) => softmax::softmax(op, problem),
        Op::SoftmaxGrad(op) => softmax::softmax_grad(op, problem),
        Op::LogSoftmax(op) => softmax::log_softmax(op, problem),
        Op::LogSoftmaxGrad(op) => softmax::log_softmax_grad(op, problem),
        Op::BatchNorm2d(op) => batch_norm2d::forward(op, problem),
        Op::BatchNorm2dGrad(op) => batch_norm2d::grad(op, problem),
        Op::BatchNorm2dEval(op) => batch_norm2d::eval(op, problem),
        Op::BatchNorm2dEvalGrad(op) => batch_norm2d::eval_grad(op, problem),
        Op::RunningStats(op) => batch_norm2d::running_stats(op, problem),
        Op::GroupNorm(op) => group_norm::forward(op, problem),
        Op::GroupNormGrad(op) => group_norm::grad(op, problem),
        Op::LayerNorm(op) => group_norm::layer_forward(op, problem),
        Op::LayerNormGrad(op) => group_norm::layer_grad(op, problem),
        Op::Dropout(op) => dropout::forward(op, problem),
        Op::Add(op) => elementwise::add(op, problem),
        Op::Mul(op) => elementwise::mul(op, problem),
        Op::Copy(op) => elementwise::copy(op, problem),
        Op::Concat(op) => elementwise::concat(op, problem),
        Op::Slice(op) => elementwise::slice(op, problem),
        Op::Flatten(op) => elementwise::flatten(op, problem),
        Op::FlattenGrad(op) => elementwise::flatten_grad(op, problem),
        Op::SoftmaxCrossEntropy(op) => loss::cross_entropy(op, problem),
        Op::SoftmaxCrossEntropyGrad(op) => loss::cross_entropy_grad(op, problem),
        Op::MseLoss(op) => loss::mse(op, problem),
        Op::MseLossGrad(op) => loss::mse_grad(op, problem),
        Op::GradNorm(op) => optimizer::grad_norm(op, problem),
        Op::ClipGradNorm(op) => optimizer::clip_grad_norm(op, problem),
        Op::ClipValue(op) => optimizer::clip_value(op, problem),
        Op::Optimizer(op) => optimizer::step(op, problem),
        Op::GatherBatch(op) => batch::gather(op, problem),
        Op::Guard(op) => control::guard(op, problem),
        Op::RecordStep(op) => control::record_step(op, problem),
        Op::RecordEvaluation(op) => control::record_evaluation(op, problem),
        Op::Advance(op) => control::advance(op, problem),
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
