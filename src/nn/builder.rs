//! Two ways to write a network down: a chain, and a graph with branches.

use std::collections::HashMap;

use super::{Conv2dLayer, Input, Layer, LinearLayer, NamedLayer, Network, PoolLayer};
use crate::error::{Error, Result};

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
/// net.layer("head", Layer::Linear(LinearLayer { units: 10, bias: true }), &[&pool]);
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
        Self { network: Network { name: name.into(), inputs: Vec::new(), layers: Vec::new() } }
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
        Self { network: Network { name: name.into(), inputs, layers: Vec::new() }, counts: HashMap::new() }
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
        self.layer(Layer::Linear(LinearLayer { units, bias: true }))
    }

    /// The network, if its shapes fit together.
    pub fn build(self) -> Result<Network> {
        self.network.check()?;
        Ok(self.network)
    }
}

impl Network {
    /// Whether every shape and name fits; what [`Builder::build`] and files are checked with.
    pub fn check(&self) -> Result<()> {
        if self.inputs.is_empty() || self.layers.is_empty() {
            return Err(Error::Invalid(format!("network {} needs at least one input and one layer", self.name)));
        }
        self.layout().map(drop)
    }

    /// Reads a description in TOML.
    pub fn from_toml(text: &str) -> Result<Self> {
        let network: Self = toml::from_str(text).map_err(|error| Error::Invalid(place(&error, text)))?;
        network.check_keys(text)?;
        network.check()?;
        Ok(network)
    }

    /// Layers without options take no keys but their name, type and inputs; serde lets others pass there.
    fn check_keys(&self, text: &str) -> Result<()> {
        let table: toml::Table = toml::from_str(text).map_err(|error| Error::Invalid(place(&error, text)))?;
        let layers = table.get("layers").and_then(toml::Value::as_array).into_iter().flatten();
        for (named, written) in self.layers.iter().zip(layers) {
            let options = toml::Table::try_from(named.layer).map_or(2, |options| options.len());
            let known = ["name", "type", "inputs"];
            let extra = written.as_table().and_then(|keys| keys.keys().find(|key| !known.contains(&key.as_str())));
            if let (1, Some(key)) = (options, extra) {
                let (layer, kind) = (&named.name, named.layer.stem());
                let problem =
                    format!("unknown field `{key}` in layer {layer}: {kind} takes name, type and inputs only");
                return Err(Error::Invalid(problem));
            }
        }
        Ok(())
    }

    /// The description in TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::Invalid(error.to_string()))
    }
}

/// The error in one line, which begins with where it is as far as that is known.
fn place(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', ", ");
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or(message.clone(), |before| {
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        format!("line {}, column {column}: {message}", before.matches('\n').count() + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"x\"\ninputs = [{ name = \"image\", shape = [8, 8, 1] }]\n";

    #[test]
    fn a_mistake_in_a_description_is_found() {
        let layer = |text: &str| format!("{HEAD}[[layers]]\nname = \"a\"\n{text}\n");
        for (text, said) in [
            ("name = x".to_owned(), "line 1, column 8"),
            (format!("{HEAD}colour = 3"), "line 3, column 1: unknown field `colour`"),
            (layer("type = \"conv3d\""), "unknown variant `conv3d`"),
            (layer("type = \"conv2d\"\nchannels = 3"), "missing field `kernel`"),
            (
                layer("type = \"conv2d\"\nchannels = 3\nkernel = [3, 3]\npading = [1, 1, 1, 1]"),
                "unknown field `pading`",
            ),
            (layer("type = \"relu\"\ninput = [\"image\"]"), "unknown field `input` in layer a"),
            (layer("type = \"linear\"\nunits = 3\nbais = true"), "unknown field `bais`"),
            (layer("type = \"max_pool2d\"\nkernel = [2, 2]\nstrides = [1, 1]"), "unknown field `strides`"),
            (layer("type = \"dropout\"\nrate = 0.5\nsede = 1"), "unknown field `sede`"),
            (
                layer("type = \"relu\"\n[[layers]]\nname = \"b\"\ntype = \"linear\""),
                "line 6, column 1: missing field `units`",
            ),
        ] {
            let error = Network::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
