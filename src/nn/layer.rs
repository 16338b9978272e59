//! The kinds of layers with their options, as descriptions and recipes write them.

use serde::{Deserialize, Serialize};

use super::Init;
use crate::ops::Activation;

fn one() -> [usize; 2] {
    [1, 1]
}

fn yes() -> bool {
    true
}

fn groups() -> usize {
    1
}

fn eps() -> f64 {
    1e-5
}

fn momentum() -> f64 {
    0.1
}

fn slope() -> f64 {
    0.01
}

fn alpha() -> f64 {
    1.0
}

/// A convolution's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2dLayer {
    /// Output channels.
    pub channels: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps, [vertical, horizontal].
    #[serde(default = "one")]
    pub stride: [usize; 2],
    /// Zeros around the image: top, left, bottom, right.
    #[serde(default)]
    pub padding: [usize; 4],
    /// Distance between taps.
    #[serde(default = "one")]
    pub dilation: [usize; 2],
    /// Groups of channels.
    #[serde(default = "groups")]
    pub groups: usize,
    /// Whether there is a bias.
    #[serde(default = "yes")]
    pub bias: bool,
    /// How the weights begin, if not as the network says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// How the bias begins, if not at zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_init: Option<Init>,
}

impl Conv2dLayer {
    /// A square kernel, no padding, stride 1, with bias.
    pub fn new(channels: usize, kernel: usize) -> Self {
        Self {
            channels,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [0; 4],
            dilation: [1; 2],
            groups: 1,
            bias: true,
            init: None,
            bias_init: None,
        }
    }

    /// With weights that begin so.
    pub fn init(mut self, init: Init) -> Self {
        self.init = Some(init);
        self
    }

    /// With a bias that begins so.
    pub fn bias_init(mut self, init: Init) -> Self {
        self.bias_init = Some(init);
        self
    }

    /// The same padding on every side.
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = [padding; 4];
        self
    }

    /// The same stride both ways.
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = [stride; 2];
        self
    }

    /// The same dilation both ways.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = [dilation; 2];
        self
    }

    /// Groups of channels; the number of input channels makes it depthwise.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Without bias, as before a batch normalisation.
    pub fn no_bias(mut self) -> Self {
        self.bias = false;
        self
    }
}

/// A pooling window's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolLayer {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps; the window's size where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<[usize; 2]>,
    /// Border: top, left, bottom, right.
    #[serde(default)]
    pub padding: [usize; 4],
    /// Whether windows that hang over the bottom or right edge count.
    #[serde(default)]
    pub ceil_mode: bool,
    /// For means: whether the border counts.
    #[serde(default = "yes")]
    pub count_include_pad: bool,
}

impl PoolLayer {
    /// Square windows side by side.
    pub fn new(kernel: usize) -> Self {
        Self { kernel: [kernel; 2], stride: None, padding: [0; 4], ceil_mode: false, count_include_pad: true }
    }

    /// The same stride both ways.
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = Some([stride; 2]);
        self
    }

    /// The same padding on every side.
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = [padding; 4];
        self
    }
}

/// A dense layer's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearLayer {
    /// Output features.
    pub units: usize,
    /// Whether there is a bias.
    #[serde(default = "yes")]
    pub bias: bool,
    /// How the weights begin, if not as the network says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// How the bias begins, if not at zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_init: Option<Init>,
}

impl LinearLayer {
    /// So many units, with bias.
    pub fn new(units: usize) -> Self {
        Self { units, bias: true, init: None, bias_init: None }
    }

    /// Without bias.
    pub fn no_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// With weights that begin so.
    pub fn init(mut self, init: Init) -> Self {
        self.init = Some(init);
        self
    }

    /// With a bias that begins so.
    pub fn bias_init(mut self, init: Init) -> Self {
        self.bias_init = Some(init);
        self
    }
}

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// See [`crate::ops::Conv2d`].
    Conv2d(Conv2dLayer),
    /// See [`crate::ops::MaxPool2d`].
    #[serde(rename = "max_pool2d")]
    MaxPool2d(PoolLayer),
    /// See [`crate::ops::AvgPool2d`].
    #[serde(rename = "avg_pool2d")]
    AvgPool2d(PoolLayer),
    /// See [`crate::ops::GlobalAvgPool2d`].
    #[serde(rename = "global_avg_pool2d")]
    GlobalAvgPool2d,
    /// See [`crate::ops::Linear`].
    Linear(LinearLayer),
    /// See [`Activation::Relu`].
    Relu,
    /// See [`Activation::LeakyRelu`].
    LeakyRelu {
        /// Slope below zero.
        #[serde(default = "slope")]
        slope: f64,
    },
    /// See [`Activation::Elu`].
    Elu {
        /// Limit below zero, negated.
        #[serde(default = "alpha")]
        alpha: f64,
    },
    /// See [`Activation::Sigmoid`].
    Sigmoid,
    /// See [`Activation::Tanh`].
    Tanh,
    /// See [`Activation::Silu`].
    Silu,
    /// See [`Activation::Gelu`].
    Gelu,
    /// See [`Activation::GeluTanh`].
    GeluTanh,
    /// See [`Activation::Softplus`].
    Softplus,
    /// See [`Activation::HardSwish`].
    HardSwish,
    /// Over the last axis, the channels.
    Softmax,
    /// Over the last axis, the channels.
    LogSoftmax,
    /// See [`crate::ops::BatchNorm2d`].
    #[serde(rename = "batch_norm2d")]
    BatchNorm2d {
        /// Added to the variance.
        #[serde(default = "eps")]
        eps: f64,
        /// Weight of a new batch in the running statistics.
        #[serde(default = "momentum")]
        momentum: f64,
    },
    /// See [`crate::ops::GroupNorm`].
    GroupNorm {
        /// Number of groups.
        groups: usize,
        /// Added to the variance.
        #[serde(default = "eps")]
        eps: f64,
    },
    /// See [`crate::ops::LayerNorm`].
    LayerNorm {
        /// Added to the variance.
        #[serde(default = "eps")]
        eps: f64,
    },
    /// See [`crate::ops::Dropout`]; the identity in evaluation.
    Dropout {
        /// Share of elements dropped.
        rate: f64,
    },
    /// The sum of all its inputs.
    Add,
    /// The product of all its inputs.
    Mul,
    /// Its inputs one behind the other along the last axis, the channels.
    Concat,
    /// In C, H, W order, as PyTorch flattens.
    Flatten,
}

impl Layer {
    /// The activation function, if the layer is one.
    pub fn activation(&self) -> Option<Activation> {
        Some(match *self {
            Self::Relu => Activation::Relu,
            Self::LeakyRelu { slope } => Activation::LeakyRelu { slope },
            Self::Elu { alpha } => Activation::Elu { alpha },
            Self::Sigmoid => Activation::Sigmoid,
            Self::Tanh => Activation::Tanh,
            Self::Silu => Activation::Silu,
            Self::Gelu => Activation::Gelu,
            Self::GeluTanh => Activation::GeluTanh,
            Self::Softplus => Activation::Softplus,
            Self::HardSwish => Activation::HardSwish,
            _ => return None,
        })
    }

    /// Whether it has a weight that layers pass gradients through: it is a convolution or a linear layer.
    pub fn is_weighted(&self) -> bool {
        matches!(self, Self::Conv2d(_) | Self::Linear(_))
    }

    /// Whether it brings numbers back to one scale: it is a batch, group or layer normalisation.
    pub fn normalises(&self) -> bool {
        matches!(self, Self::BatchNorm2d { .. } | Self::GroupNorm { .. } | Self::LayerNorm { .. })
    }

    /// What a layer of this kind is called when nobody names it, before its number.
    pub fn stem(&self) -> &'static str {
        if let Some(activation) = self.activation() {
            return activation.name();
        }
        match self {
            Self::Conv2d(_) => "conv",
            Self::MaxPool2d(_) | Self::AvgPool2d(_) => "pool",
            Self::GlobalAvgPool2d => "global_pool",
            Self::Linear(_) => "dense",
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
            Self::BatchNorm2d { .. } => "bn",
            Self::GroupNorm { .. } => "group_norm",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Dropout { .. } => "dropout",
            Self::Add => "add",
            Self::Mul => "mul",
            Self::Concat => "concat",
            _ => "flatten",
        }
    }
}
