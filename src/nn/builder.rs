//! Two ways to write a network down: a chain, and a graph with branches.

use std::collections::HashMap;

use super::{Conv2dLayer, Init, Input, Layer, LinearLayer, NamedLayer, Network, PoolLayer};
use crate::error::Result;

/// A value inside a [`Builder`]: an input or a layer's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port(String);

/// Builds a network with branches: every layer says what it reads.
///
/// ```
/// use wgrad::nn::{Builder, Conv2dLayer, Layer, LinearLayer};
/// let mut net = Builder::new("tiny_residual");
/// let image = net.input("image", &[8, 8, 1]);
/// let stem = net.layer("stem", Layer::Conv2d(Conv2dLayer::new(4, 3).padding(1)), &[&image]);
/// let conv = net.layer("conv", Layer::Conv2d(Conv2dLayer::new(4, 3).padding(1)), &[&stem]);
/// let sum = net.layer("sum", Layer::Add, &[&conv, &stem]);
/// let pool = net.layer("pool", Layer::GlobalAvgPool2d, &[&sum]);
/// net.layer("head", Layer::Linear(LinearLayer::new(10)), &[&pool]);
/// let network = net.build()?;
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    network: Network,
}

impl Builder {
    /// An empty network.
    pub fn new(name: &str) -> Self {
        Self { network: Network { name: name.into(), init: Init::default(), inputs: Vec::new(), layers: Vec::new() } }
    }

    /// An input of this shape, without the batch.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Port {
        self.network.inputs.push(Input { name: name.into(), shape: shape.to_vec() });
        Port(name.into())
    }

    /// A layer that reads these values.
    pub fn layer(&mut self, name: &str, layer: Layer, inputs: &[&Port]) -> Port {
        let inputs = inputs.iter().map(|port| port.0.clone()).collect();
        self.network.layers.push(NamedLayer { name: name.into(), inputs, layer });
        Port(name.into())
    }

    /// How the weights begin of layers that do not say it themselves.
    pub fn init(&mut self, init: Init) {
        self.network.init = init;
    }

    /// The network, if its shapes fit together.
    pub fn build(self) -> Result<Network> {
        self.network.check()?;
        Ok(self.network)
    }
}

/// Builds a chain of layers, named by kind and number: `conv1`, `relu1`, `pool1`, `conv2` …
#[derive(Debug, Clone)]
pub struct Sequential {
    network: Network,
    counts: HashMap<&'static str, usize>,
}

impl Sequential {
    /// An empty chain for inputs of this shape, `[h, w, c]` or `[features]`.
    pub fn new(name: &str, input: &[usize]) -> Self {
        let inputs = vec![Input { name: "image".into(), shape: input.to_vec() }];
        Self {
            network: Network { name: name.into(), init: Init::default(), inputs, layers: Vec::new() },
            counts: HashMap::new(),
        }
    }

    /// How the weights begin of layers that do not say it themselves.
    pub fn init(mut self, init: Init) -> Self {
        self.network.init = init;
        self
    }

    /// Any layer.
    pub fn layer(mut self, layer: Layer) -> Self {
        let stem = layer.stem();
        let count = self.counts.entry(stem).or_default();
        *count += 1;
        self.network.layers.push(NamedLayer { name: format!("{stem}{count}"), inputs: Vec::new(), layer });
        self
    }

    /// Any layer, with a name.
    pub fn named(mut self, name: &str, layer: Layer) -> Self {
        self.network.layers.push(NamedLayer { name: name.into(), inputs: Vec::new(), layer });
        self
    }

    /// A convolution with a square kernel, without padding; see [`Conv2dLayer`] for the rest.
    pub fn conv2d(self, channels: usize, kernel: usize) -> Self {
        self.layer(Layer::Conv2d(Conv2dLayer::new(channels, kernel)))
    }

    /// Maxima of square windows side by side.
    pub fn max_pool2d(self, kernel: usize) -> Self {
        self.layer(Layer::MaxPool2d(PoolLayer::new(kernel)))
    }

    /// Rectified linear units.
    pub fn relu(self) -> Self {
        self.layer(Layer::Relu)
    }

    /// Images to vectors.
    pub fn flatten(self) -> Self {
        self.layer(Layer::Flatten)
    }

    /// A dense layer with bias.
    pub fn linear(self, units: usize) -> Self {
        self.layer(Layer::Linear(LinearLayer::new(units)))
    }

    /// The network, if its shapes fit together.
    pub fn build(self) -> Result<Network> {
        self.network.check()?;
        Ok(self.network)
    }
}
