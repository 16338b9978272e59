//! Networks that come with the crate, by name.

use super::deep_plain::{DeepPlain, Norm, deep_plain};
use super::{Builder, Conv2dLayer, Init, Layer, LinearLayer, Network, Sequential, classics};
use crate::error::{Error, Result};
use crate::format::document::nearest;

/// The names that [`network`] knows.
pub const NAMES: [&str; 9] =
    ["reference", "lenet5", "deep_plain", "vgg", "residual_bn", "resnet20", "resnet18", "mobilenet", "convnext"];

/// A shipped network for images `[h, w, c]` and this many classes.
///
/// # Errors
/// [`Error::Invalid`] for an unknown name, [`Error::Shape`] where such images are too small for it.
pub fn network(name: &str, image: [usize; 3], classes: usize) -> Result<Network> {
    match name {
        "reference" => reference(image, classes),
        "lenet5" => classics::lenet5(image, classes),
        "deep_plain" => deep_plain(image, classes, &DeepPlain::default()),
        "vgg" => classics::vgg(image, classes),
        "residual_bn" => residual_bn(image, classes),
        "resnet20" => classics::resnet20(image, classes),
        "resnet18" => classics::resnet18(image, classes),
        "mobilenet" => classics::mobilenet(image, classes),
        "convnext" => classics::convnext(image, classes),
        _ => {
            let meant = nearest(name, NAMES).map_or(String::new(), |near| format!("did you mean `{near}`? "));
            let problem = format!("there is no network `{name}`; {meant}choose {} or a TOML file", NAMES.join(", "));
            Err(Error::Invalid(problem))
        }
    }
}

/// What a recipe may ask of a shipped network. Only `deep_plain` takes more than `init`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Choices {
    /// See [`DeepPlain::depth`].
    pub depth: Option<usize>,
    /// See [`DeepPlain::width`].
    pub width: Option<usize>,
    /// See [`DeepPlain::activation`].
    pub activation: Option<Layer>,
    /// See [`DeepPlain::norm`].
    pub norm: Option<Norm>,
    /// See [`DeepPlain::residual`].
    pub residual: Option<bool>,
    /// See [`DeepPlain::pool`].
    pub pool: Option<usize>,
    /// See [`DeepPlain::flatten`].
    pub flatten: Option<bool>,
    /// How the weights begin of layers that the network gives no initialiser of their own.
    pub init: Option<Init>,
}

/// A shipped network, as [`network`] builds it, with choices.
///
/// # Errors
/// As for [`network`], and [`Error::Invalid`] for a choice that the network does not have.
pub fn chosen(name: &str, image: [usize; 3], classes: usize, choices: &Choices) -> Result<Network> {
    let Choices { depth, width, activation, norm, residual, pool, flatten, init } = *choices;
    if name == "deep_plain" {
        let usual = DeepPlain::default();
        let options = DeepPlain {
            depth: depth.unwrap_or(usual.depth),
            width: width.unwrap_or(usual.width),
            activation: activation.unwrap_or(usual.activation),
            norm: norm.unwrap_or(usual.norm),
            residual: residual.unwrap_or(usual.residual),
            pool: pool.unwrap_or(usual.pool),
            flatten: flatten.unwrap_or(usual.flatten),
            init: init.unwrap_or(usual.init),
        };
        return deep_plain(image, classes, &options);
    }
    if *choices != (Choices { init, ..Choices::default() }) {
        return Err(Error::Invalid(format!("network {name} takes no options but `init`; deep_plain has more")));
    }
    let network = network(name, image, classes)?;
    Ok(Network { init: init.unwrap_or(network.init), ..network })
}

/// The network that the project was started for: three convolutions, two max pools, two dense layers.
pub fn reference(image: [usize; 3], classes: usize) -> Result<Network> {
    Sequential::new("reference", &image)
        .conv2d(32, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .flatten()
        .linear(64)
        .relu()
        .linear(classes)
        .build()
}

/// A small residual network with batch normalisation: a strided stem, two blocks of 16 channels, global average pooling.
pub fn residual_bn(image: [usize; 3], classes: usize) -> Result<Network> {
    let mut net = Builder::new("residual_bn");
    let conv = || Layer::Conv2d(Conv2dLayer::new(16, 3).padding(1).no_bias());
    let norm = Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 };
    let image = net.input("image", &image);
    let stem = net.layer("stem", Layer::Conv2d(Conv2dLayer::new(16, 3).stride(2).padding(1)), &[&image]);
    let mut x = net.layer("stem_relu", Layer::Relu, &[&stem]);
    for block in ["block1", "block2"] {
        let conv1 = net.layer(&format!("{block}_conv1"), conv(), &[&x]);
        let bn1 = net.layer(&format!("{block}_bn1"), norm, &[&conv1]);
        let relu1 = net.layer(&format!("{block}_relu1"), Layer::Relu, &[&bn1]);
        let conv2 = net.layer(&format!("{block}_conv2"), conv(), &[&relu1]);
        let bn2 = net.layer(&format!("{block}_bn2"), norm, &[&conv2]);
        let sum = net.layer(&format!("{block}_add"), Layer::Add, &[&bn2, &x]);
        x = net.layer(&format!("{block}_relu2"), Layer::Relu, &[&sum]);
    }
    let pool = net.layer("pool", Layer::GlobalAvgPool2d, &[&x]);
    net.layer("head", Layer::Linear(LinearLayer::new(classes)), &[&pool]);
    net.build()
}
