//! Networks that everybody measures, for small images such as those of CIFAR-10 (32×32×3).

use super::{Builder, Conv2dLayer, Layer, LinearLayer, Network, PoolLayer, Port};
use crate::error::Result;

/// A network under construction, with the layers that all of these share.
struct Stack {
    net: Builder,
}

impl Stack {
    fn new(name: &str, image: [usize; 3]) -> (Self, Port) {
        let mut net = Builder::new(name);
        let image = net.input("image", &image);
        (Self { net }, image)
    }

    /// Convolution and batch normalisation.
    fn conv_bn(&mut self, name: &str, x: &Port, conv: Conv2dLayer) -> Port {
        let conv = self.net.layer(name, Layer::Conv2d(conv.no_bias()), &[x]);
        self.net.layer(&format!("{name}_bn"), Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 }, &[&conv])
    }

    /// Two 3×3 convolutions beside a shortcut, which is a 1×1 convolution where the shape changes.
    fn block(&mut self, name: &str, x: &Port, channels: usize, stride: usize, changes: bool) -> Port {
        let conv = |stride| Conv2dLayer::new(channels, 3).stride(stride).padding(1);
        let first = self.conv_bn(&format!("{name}_conv1"), x, conv(stride));
        let first = self.net.layer(&format!("{name}_relu1"), Layer::Relu, &[&first]);
        let second = self.conv_bn(&format!("{name}_conv2"), &first, conv(1));
        let shortcut = match changes {
            true => self.conv_bn(&format!("{name}_shortcut"), x, Conv2dLayer::new(channels, 1).stride(stride)),
            false => x.clone(),
        };
        let sum = self.net.layer(&format!("{name}_add"), Layer::Add, &[&second, &shortcut]);
        self.net.layer(&format!("{name}_relu2"), Layer::Relu, &[&sum])
    }

    fn head(&mut self, x: &Port, classes: usize) {
        let pool = self.net.layer("pool", Layer::GlobalAvgPool2d, &[x]);
        self.net.layer("head", Layer::Linear(LinearLayer::new(classes)), &[&pool]);
    }
}

/// A residual network with a 3×3 stem: so many blocks of so many channels a stage, each stage but the first at half the size.
fn residual(name: &str, stages: &[usize], blocks: usize, image: [usize; 3], classes: usize) -> Result<Network> {
    let (mut stack, image) = Stack::new(name, image);
    let stem = stack.conv_bn("stem", &image, Conv2dLayer::new(stages[0], 3).padding(1));
    let mut x = stack.net.layer("stem_relu", Layer::Relu, &[&stem]);
    for (stage, &channels) in stages.iter().enumerate() {
        for block in 0..blocks {
            let changes = stage > 0 && block == 0;
            let name = format!("layer{}_{}", stage + 1, block + 1);
            x = stack.block(&name, &x, channels, if changes { 2 } else { 1 }, changes);
        }
    }
    stack.head(&x, classes);
    stack.net.build()
}

/// ResNet-18 with a 3×3 stem of stride 1 and no pooling behind it, as it is trained on CIFAR.
pub fn resnet18(image: [usize; 3], classes: usize) -> Result<Network> {
    residual("resnet18", &[64, 128, 256, 512], 2, image, classes)
}

/// ResNet-20 for CIFAR, its shortcuts 1×1 convolutions where the shape changes.
pub fn resnet20(image: [usize; 3], classes: usize) -> Result<Network> {
    residual("resnet20", &[16, 32, 64], 3, image, classes)
}

/// VGG-11's convolutions, each with a bias and a ReLU, and one linear layer, as it is trained on CIFAR.
pub fn vgg11(image: [usize; 3], classes: usize) -> Result<Network> {
    let (Stack { mut net }, mut x) = Stack::new("vgg11", image);
    let stages: [&[usize]; 5] = [&[64], &[128], &[256, 256], &[512, 512], &[512, 512]];
    let mut number = 0;
    for (stage, convolutions) in stages.iter().enumerate() {
        for &channels in *convolutions {
            number += 1;
            let conv = Layer::Conv2d(Conv2dLayer::new(channels, 3).padding(1));
            let conv = net.layer(&format!("conv{number}"), conv, &[&x]);
            x = net.layer(&format!("relu{number}"), Layer::Relu, &[&conv]);
        }
        x = net.layer(&format!("pool{}", stage + 1), Layer::MaxPool2d(PoolLayer::new(2)), &[&x]);
    }
    let flat = net.layer("flat", Layer::Flatten, &[&x]);
    net.layer("head", Layer::Linear(LinearLayer::new(classes)), &[&flat]);
    net.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_have_as_many_parameters_as_the_papers_count() {
        let image = [32, 32, 3];
        let count = |network: Result<Network>| network.unwrap().summary(1).unwrap().parameters;
        assert_eq!(count(resnet18(image, 10)), 11_173_962);
        assert_eq!(count(resnet20(image, 10)), 272_474);
        assert_eq!(count(vgg11(image, 10)), 9_225_610);
    }
}
