//! Networks that come with the crate, by name.

use super::{Builder, Conv2dLayer, Layer, LinearLayer, Network, Sequential};
use crate::error::{Error, Result};

/// The names that [`network`] knows.
pub const NAMES: [&str; 2] = ["reference", "residual_bn"];

/// A shipped network for images `[h, w, c]` and this many classes.
pub fn network(name: &str, image: [usize; 3], classes: usize) -> Result<Network> {
    match name {
        "reference" => reference(image, classes),
        "residual_bn" => residual_bn(image, classes),
        _ => Err(Error::Invalid(format!("there is no network `{name}`; choose {} or a TOML file", NAMES.join(", ")))),
    }
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
