//! From a network's description to nodes of a graph.

use std::collections::HashMap;

use super::layout::{Layout, PARAMETERS, Parameter, STATISTICS};
use super::{Conv2dLayer, Init, Layer, LinearLayer, NamedLayer, Network, PoolLayer};
use crate::error::{Error, Result};
use crate::format::safetensors::Layout as FileLayout;
use crate::graph::{Graph, ValueId, check_size};
use crate::ops::{self, Op, Pool2d};
use crate::tensor::Spec;

/// What the nodes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Training: batch statistics, dropout drawn from this seed.
    Train {
        /// Seed of dropout.
        seed: u32,
        /// The inputs' first row in the batch of the step: dropout draws by the place in the whole batch.
        first: usize,
    },
    /// Evaluation: running statistics, no dropout.
    Evaluate,
}

/// Batch statistics of a normalisation layer, to be folded into its running ones when the step is known to be sound.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// The layer.
    pub layer: String,
    /// Operands of [`ops::RunningStats`] but for the control value.
    pub operands: [ValueId; 4],
    /// Weight of the batch.
    pub momentum: f64,
}

/// A network inside a graph.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// The output of each layer.
    pub layers: Vec<ValueId>,
    /// The trained parameters, in the order of the layout.
    pub parameters: Vec<ValueId>,
    /// What normalisation layers measured; empty in evaluation.
    pub statistics: Vec<Statistics>,
}

impl Built {
    /// The network's output.
    pub fn output(&self) -> Option<ValueId> {
        self.layers.last().copied()
    }
}

impl Network {
    /// Adds the network's nodes to `graph`. `control` steers dropout. The parameters are taken from the session's flat
    /// buffers as `layout` says.
    pub fn build(
        &self,
        graph: &mut Graph,
        inputs: &[ValueId],
        control: ValueId,
        mode: Mode,
        layout: &Layout,
    ) -> Result<Built> {
        let flat = [
            graph.persistent(PARAMETERS, Spec::f32([layout.len])),
            graph.persistent(STATISTICS, Spec::f32([layout.statistics_len.max(1)])),
        ];
        self.build_into(graph, inputs, control, mode, &mut layout.clone(), Some(flat))
    }

    /// With `flat`, parameters come from there; without, they are collected into `layout`.
    pub(super) fn build_into(
        &self,
        graph: &mut Graph,
        inputs: &[ValueId],
        control: ValueId,
        mode: Mode,
        layout: &mut Layout,
        flat: Option<[ValueId; 2]>,
    ) -> Result<Built> {
        let mut names: HashMap<&str, ValueId> = HashMap::new();
        for (input, &value) in self.inputs.iter().zip(inputs) {
            if names.insert(&input.name, value).is_some() {
                return Err(Error::Invalid(format!("two inputs are called `{}`; their names must differ", input.name)));
            }
        }
        let mut previous =
            *inputs.first().ok_or_else(|| Error::Invalid(format!("network {} has no input", self.name)))?;
        let mut context =
            Context { graph, control, mode, layout, flat, built: Built::default(), seed: 0, init: self.init };
        for (at, layer) in self.layers.iter().enumerate() {
            let mut operands = Vec::with_capacity(layer.inputs.len().max(1));
            for name in &layer.inputs {
                operands.push(*names.get(name.as_str()).ok_or_else(|| self.unknown_input(at, name))?);
            }
            if operands.is_empty() {
                operands.push(previous);
            }
            // Before anything of the layer is made: parameters of one name would meet.
            if names.contains_key(layer.name.as_str()) {
                let input = self.inputs.iter().any(|input| input.name == layer.name);
                let who = if input { "an input and a layer" } else { "two layers" };
                return Err(Error::Invalid(format!("{who} are called `{}`; their names must differ", layer.name)));
            }
            context.seed += 1;
            previous = context.layer(layer, &operands).map_err(|error| at_layer(error, &layer.name))?;
            context.built.layers.push(previous);
            names.insert(&layer.name, previous);
        }
        Ok(context.built)
    }
}

fn at_layer(error: Error, layer: &str) -> Error {
    match error {
        Error::Shape { op, problem } => Error::shape(format!("layer {layer} ({op})"), problem),
        other => other,
    }
}

struct Context<'a> {
    graph: &'a mut Graph,
    control: ValueId,
    mode: Mode,
    layout: &'a mut Layout,
    flat: Option<[ValueId; 2]>,
    built: Built,
    seed: u32,
    init: Init,
}

impl Context<'_> {
    fn weight(&mut self, parameter: Parameter, trained: bool) -> Result<ValueId> {
        check_size(&parameter.name, &parameter.shape)?;
        let (name, spec) = (parameter.name.clone(), Spec::f32(parameter.shape.clone()));
        let value = match self.flat {
            None => {
                self.layout.add(parameter, trained);
                self.graph.persistent(&name, spec)
            }
            Some([parameters, statistics]) => {
                let offset = self.layout.find(&name).map_or(0, |placed| placed.offset);
                self.graph.within(if trained { parameters } else { statistics }, &name, spec, offset)
            }
        };
        if trained {
            self.built.parameters.push(value);
        }
        Ok(value)
    }

    fn vector(&mut self, layer: &str, role: &str, len: usize, init: Init, trained: bool) -> Result<ValueId> {
        let (name, layout) = (format!("{layer}.{role}"), FileLayout::Vector);
        self.weight(Parameter { name, shape: vec![len], layout, init, fan: [len, len] }, trained)
    }

    fn channels(&self, value: ValueId) -> usize {
        self.graph.spec(value).shape.last().copied().unwrap_or(0)
    }

    fn layer(&mut self, named: &NamedLayer, inputs: &[ValueId]) -> Result<ValueId> {
        let (name, x) = (named.name.as_str(), inputs[0]);
        let several = matches!(named.layer, Layer::Add | Layer::Mul | Layer::Concat);
        if several != (inputs.len() > 1) {
            let wanted = if several { "two or more inputs" } else { "one input" };
            return Err(Error::shape(named.layer.stem(), format!("needs {wanted}, got {}", inputs.len())));
        }
        if let Some(activation) = named.layer.activation() {
            return self.graph.apply1(name, activation, &[x]);
        }
        match named.layer {
            Layer::Conv2d(options) => self.conv2d(name, options, x),
            Layer::Linear(options) => self.linear(name, options, x),
            Layer::MaxPool2d(options) => self.graph.apply1(name, ops::MaxPool2d(window(options)), &[x]),
            Layer::AvgPool2d(options) => {
                let op = ops::AvgPool2d { pool: window(options), count_include_pad: options.count_include_pad };
                self.graph.apply1(name, op, &[x])
            }
            Layer::BatchNorm2d { eps, momentum } => self.batch_norm2d(name, eps, momentum, x),
            Layer::GroupNorm { groups, eps } => self.normalise(name, ops::GroupNorm { groups, eps }.into(), x),
            Layer::LayerNorm { eps } => self.normalise(name, ops::LayerNorm { eps }.into(), x),
            Layer::Dropout { rate } => match self.mode {
                Mode::Evaluate => Ok(x),
                Mode::Train { seed, first } => {
                    let seed = ops::random::pcg(seed ^ ops::random::pcg(self.seed));
                    let row: usize = self.graph.spec(x).shape.iter().skip(1).product();
                    let first = first.wrapping_mul(row) as u32;
                    self.graph.apply1(name, ops::Dropout { rate, seed, first }, &[x, self.control])
                }
            },
            Layer::Add => self.fold(name, ops::Add.into(), inputs),
            Layer::Mul => self.fold(name, ops::Mul.into(), inputs),
            Layer::Concat => {
                let axis = self.graph.spec(x).shape.len().saturating_sub(1);
                self.graph.apply1(name, ops::Concat { axis }, inputs)
            }
            Layer::Softmax | Layer::LogSoftmax => {
                let axis = self.graph.spec(x).shape.len().saturating_sub(1);
                let op: Op = match named.layer {
                    Layer::Softmax => ops::Softmax { axis }.into(),
                    _ => ops::LogSoftmax { axis }.into(),
                };
                self.graph.apply1(name, op, &[x])
            }
            Layer::GlobalAvgPool2d => self.graph.apply1(name, ops::GlobalAvgPool2d, &[x]),
            _ => self.graph.apply1(name, ops::Flatten, &[x]),
        }
    }

    fn fold(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let mut sum = inputs[0];
        for &input in &inputs[1..] {
            sum = self.graph.apply1(name, op.clone(), &[sum, input])?;
        }
        Ok(sum)
    }

    fn conv2d(&mut self, name: &str, o: Conv2dLayer, x: ValueId) -> Result<ValueId> {
        let c_in = self.channels(x);
        if o.groups == 0 || !c_in.is_multiple_of(o.groups) {
            let problem = format!("{} groups do not divide {c_in} input channels", o.groups);
            return Err(Error::shape("conv2d", problem));
        }
        let taps = o.kernel[0].saturating_mul(o.kernel[1]);
        let c_group = c_in / o.groups;
        let weight = Parameter {
            name: format!("{name}.weight"),
            shape: vec![o.kernel[0], o.kernel[1], c_group, o.channels],
            layout: FileLayout::Conv,
            init: o.init.unwrap_or(self.init),
            fan: [taps.saturating_mul(c_group), taps.saturating_mul(o.channels)],
        };
        let mut operands = vec![x, self.weight(weight, true)?];
        if o.bias {
            operands.push(self.vector(name, "bias", o.channels, o.bias_init.unwrap_or(Init::Zeros), true)?);
        }
        let op = ops::Conv2d { stride: o.stride, padding: o.padding, dilation: o.dilation, groups: o.groups };
        self.graph.apply1(name, op, &operands)
    }

    fn linear(&mut self, name: &str, o: LinearLayer, x: ValueId) -> Result<ValueId> {
        let inputs = self.channels(x);
        let weight = Parameter {
            name: format!("{name}.weight"),
            shape: vec![o.units, inputs],
            layout: FileLayout::Linear,
            init: o.init.unwrap_or(self.init),
            fan: [inputs, o.units],
        };
        let mut operands = vec![x, self.weight(weight, true)?];
        if o.bias {
            operands.push(self.vector(name, "bias", o.units, o.bias_init.unwrap_or(Init::Zeros), true)?);
        }
        self.graph.apply1(name, ops::Linear, &operands)
    }

    fn normalise(&mut self, name: &str, op: Op, x: ValueId) -> Result<ValueId> {
        let c = self.channels(x);
        let weight = self.vector(name, "weight", c, Init::Ones, true)?;
        let bias = self.vector(name, "bias", c, Init::Zeros, true)?;
        self.graph.apply1(name, op, &[x, weight, bias])
    }

    fn batch_norm2d(&mut self, name: &str, eps: f64, momentum: f64, x: ValueId) -> Result<ValueId> {
        let c = self.channels(x);
        let weight = self.vector(name, "weight", c, Init::Ones, true)?;
        let bias = self.vector(name, "bias", c, Init::Zeros, true)?;
        let running_mean = self.vector(name, "running_mean", c, Init::Zeros, false)?;
        let running_var = self.vector(name, "running_var", c, Init::Ones, false)?;
        if self.mode == Mode::Evaluate {
            let op = ops::BatchNorm2dEval { eps };
            return self.graph.apply1(name, op, &[x, weight, bias, running_mean, running_var]);
        }
        let outputs = self.graph.apply(name, ops::BatchNorm2d { eps }, &[x, weight, bias])?;
        let operands = [running_mean, running_var, outputs[1], outputs[3]];
        self.built.statistics.push(Statistics { layer: name.into(), operands, momentum });
        Ok(outputs[0])
    }
}

fn window(options: PoolLayer) -> Pool2d {
    Pool2d {
        kernel: options.kernel,
        stride: options.stride.unwrap_or(options.kernel),
        padding: options.padding,
        ceil_mode: options.ceil_mode,
    }
}
