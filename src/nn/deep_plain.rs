//! A plain deep network of any depth: what vanishing and exploding gradients, and their cures, are shown with.

use super::{Builder, Conv2dLayer, Init, Layer, LinearLayer, Network, PoolLayer, Port};
use crate::error::{Error, Result};

/// A normalisation behind each convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Norm {
    /// None.
    #[default]
    None,
    /// Over the batch.
    Batch,
    /// Over the pixels and the channels of a group, in up to 8 groups.
    Group,
    /// Over the channels of a pixel.
    Layer,
}

impl Norm {
    /// Every one of them, with its name.
    pub const ALL: [(&'static str, Self); 4] =
        [("none", Self::None), ("batch", Self::Batch), ("group", Self::Group), ("layer", Self::Layer)];

    /// The layer for so many channels, if there is one.
    fn layer(self, channels: usize) -> Option<Layer> {
        let eps = 1e-5;
        Some(match self {
            Self::None => return None,
            Self::Batch => Layer::BatchNorm2d { eps, momentum: 0.1 },
            Self::Group => {
                let groups = (1..=8).rev().find(|groups| channels.is_multiple_of(*groups)).unwrap_or(1);
                Layer::GroupNorm { groups, eps }
            }
            Self::Layer => Layer::LayerNorm { eps },
        })
    }
}

/// What [`deep_plain`] is built of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeepPlain {
    /// 3×3 convolutions with padding 1; the first one takes the image to `width` channels.
    pub depth: usize,
    /// Channels of every convolution.
    pub width: usize,
    /// The activation behind each convolution and its normalisation.
    pub activation: Layer,
    /// The normalisation between convolution and activation.
    pub norm: Norm,
    /// Whether each two convolutions behind the first are bridged by an identity.
    pub residual: bool,
    /// Side of a max pool's window behind the first activation, which makes all the rest cheaper; 1 leaves it out.
    pub pool: usize,
    /// Whether the head reads every pixel; else it reads the mean of each channel.
    pub flatten: bool,
    /// How the weights begin.
    pub init: Init,
}

impl Default for DeepPlain {
    fn default() -> Self {
        Self {
            depth: 20,
            width: 16,
            activation: Layer::Relu,
            norm: Norm::None,
            residual: false,
            pool: 2,
            flatten: false,
            init: Init::default(),
        }
    }
}

/// `depth` convolutions `conv1`, `conv2` …, each followed by normalisation and activation, and a linear `head`.
///
/// A shortcut is added behind the activation, x + act(conv(act(conv(x)))), not before it as in a ResNet: so the way of the identity
/// passes no activation, and a gradient reaches the first layer whatever the activation does to the other way. Of an even number of
/// convolutions the last has no partner and no shortcut.
///
/// # Errors
/// [`Error::Invalid`] where `activation` is no activation, or depth, width or pool is 0; [`Error::Shape`] where the pool does not
/// fit the image.
pub fn deep_plain(image: [usize; 3], classes: usize, options: &DeepPlain) -> Result<Network> {
    let DeepPlain { depth, width, activation, norm, residual, pool, flatten, init } = *options;
    if activation.activation().is_none() {
        return Err(Error::Invalid(format!("{} is no activation of deep_plain", activation.stem())));
    }
    for (name, number) in [("depth", depth), ("width", width), ("pool", pool)] {
        if number == 0 {
            return Err(Error::Invalid(format!("the {name} of deep_plain must be at least 1")));
        }
    }
    let mut net = Builder::new("deep_plain");
    net.init(init);
    let mut x = net.input("image", &image);
    let unit = |net: &mut Builder, number: usize, x: &Port| {
        let conv = Conv2dLayer::new(width, 3).padding(1);
        let norm = norm.layer(width);
        // Batch normalisation takes away what a bias adds to a channel.
        let conv = if matches!(norm, Some(Layer::BatchNorm2d { .. })) { conv.no_bias() } else { conv };
        let mut y = net.layer(&format!("conv{number}"), Layer::Conv2d(conv), &[x]);
        if let Some(norm) = norm {
            y = net.layer(&format!("norm{number}"), norm, &[&y]);
        }
        net.layer(&format!("{}{number}", activation.stem()), activation, &[&y])
    };
    x = unit(&mut net, 1, &x);
    if pool > 1 {
        x = net.layer("pool", Layer::MaxPool2d(PoolLayer::new(pool)), &[&x]);
    }
    let mut number = 2;
    while number <= depth {
        let pair = residual && number < depth;
        let mut y = unit(&mut net, number, &x);
        if pair {
            y = unit(&mut net, number + 1, &y);
            y = net.layer(&format!("add{}", number + 1), Layer::Add, &[&y, &x]);
        }
        x = y;
        number += 1 + usize::from(pair);
    }
    let head = if flatten { ("flat", Layer::Flatten) } else { ("global_pool", Layer::GlobalAvgPool2d) };
    x = net.layer(head.0, head.1, &[&x]);
    net.layer("head", Layer::Linear(LinearLayer::new(classes)), &[&x]);
    net.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_options_is_a_network() {
        for (name, norm) in Norm::ALL {
            for (depth, residual, pool, flatten) in
                [(1, true, 1, true), (2, true, 2, false), (3, true, 2, false), (8, true, 4, true), (8, false, 1, false)]
            {
                let options = DeepPlain { depth, width: 6, norm, residual, pool, flatten, ..DeepPlain::default() };
                let network = deep_plain([12, 12, 1], 10, &options).unwrap();
                let count = |what: fn(&Layer) -> bool| network.layers.iter().filter(|layer| what(&layer.layer)).count();
                assert_eq!(count(|layer| matches!(layer, Layer::Conv2d(_))), depth);
                assert_eq!(count(|layer| matches!(layer, Layer::Relu)), depth);
                let shortcuts = if residual { (depth - 1) / 2 } else { 0 };
                assert_eq!(count(|layer| matches!(layer, Layer::Add)), shortcuts, "{name}, depth {depth}");
            }
        }
        let add = DeepPlain { activation: Layer::Add, ..DeepPlain::default() };
        assert!(deep_plain([12, 12, 1], 10, &add).unwrap_err().to_string().contains("no activation"));
        let flat = DeepPlain { depth: 0, ..DeepPlain::default() };
        assert!(deep_plain([12, 12, 1], 10, &flat).unwrap_err().to_string().contains("depth"));
    }
}
