//! Networks that everybody measures, for small images such as those of MNIST (28×28×1) and CIFAR-10 (32×32×3).

use super::{Builder, Conv2dLayer, Init, Layer, LinearLayer, Network, PoolLayer, Port, Sequential};
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

    /// The same with a ReLU behind it.
    fn conv_bn_relu(&mut self, name: &str, x: &Port, conv: Conv2dLayer) -> Port {
        let norm = self.conv_bn(name, x, conv);
        self.net.layer(&format!("{name}_relu"), Layer::Relu, &[&norm])
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
    let mut x = stack.conv_bn_relu("stem", &image, Conv2dLayer::new(stages[0], 3).padding(1));
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

/// LeNet-5 (LeCun and others 1998) as it is trained today: full connections between the feature maps, means as its subsampling,
/// tanh, and a linear layer as its head. Images of 28×28 get a border of 2, which makes them the 32×32 that it was drawn for.
pub fn lenet5(image: [usize; 3], classes: usize) -> Result<Network> {
    let border = if image[0] < 32 && image[1] < 32 { 2 } else { 0 };
    Sequential::new("lenet5", &image)
        .layer(Layer::Conv2d(Conv2dLayer::new(6, 5).padding(border)))
        .layer(Layer::Tanh)
        .layer(Layer::AvgPool2d(PoolLayer::new(2)))
        .conv2d(16, 5)
        .layer(Layer::Tanh)
        .layer(Layer::AvgPool2d(PoolLayer::new(2)))
        .flatten()
        .linear(120)
        .layer(Layer::Tanh)
        .linear(84)
        .layer(Layer::Tanh)
        .linear(classes)
        .build()
}

/// A small network in the manner of VGG: three pairs of 3×3 convolutions with a max pool behind each, a hidden linear layer, and
/// dropout before the head.
pub fn vgg(image: [usize; 3], classes: usize) -> Result<Network> {
    let mut net = Sequential::new("vgg", &image).init(Init::HeUniform);
    for channels in [32, 64, 128] {
        for _ in 0..2 {
            net = net.layer(Layer::Conv2d(Conv2dLayer::new(channels, 3).padding(1))).relu();
        }
        net = net.max_pool2d(2);
    }
    let head = LinearLayer::new(classes).init(Init::GlorotUniform);
    net.flatten().linear(128).relu().layer(Layer::Dropout { rate: 0.5 }).named("head", Layer::Linear(head)).build()
}

/// A small MobileNet (Howard and others 2017): after a 3×3 stem, five pairs of a 3×3 depthwise and a 1×1 convolution, each with batch
/// normalisation and ReLU; strides of 2 where the channels double.
pub fn mobilenet(image: [usize; 3], classes: usize) -> Result<Network> {
    let (mut stack, image) = Stack::new("mobilenet", image);
    stack.net.init(Init::HeNormal);
    let mut x = stack.conv_bn_relu("stem", &image, Conv2dLayer::new(16, 3).padding(1));
    let mut channels = 16;
    for (number, (wider, stride)) in [(32, 2), (32, 1), (64, 2), (64, 1), (128, 1)].into_iter().enumerate() {
        let depthwise = Conv2dLayer::new(channels, 3).stride(stride).padding(1).groups(channels);
        x = stack.conv_bn_relu(&format!("block{}_depthwise", number + 1), &x, depthwise);
        x = stack.conv_bn_relu(&format!("block{}_pointwise", number + 1), &x, Conv2dLayer::new(wider, 1));
        channels = wider;
    }
    stack.head(&x, classes);
    stack.net.build()
}

/// A small network in the manner of ConvNeXt (Liu and others 2022): a 2×2 stem of stride 2, two stages of two blocks with 32 and 64
/// channels, and a 2×2 convolution of stride 2 between them. A block adds to its input a 7×7 depthwise convolution, layer
/// normalisation over the channels, a 1×1 convolution to four times the channels, GELU, and a 1×1 convolution back.
///
/// The normalisation adds 1e-3 to the variance, not the paper's 1e-6: in a patch of one colour, such as the paper that digits stand on, all
/// that varies among the stem's channels is a little bias, which would be enlarged a thousandfold until blank patches look as strong as ink.
pub fn convnext(image: [usize; 3], classes: usize) -> Result<Network> {
    let (Stack { mut net }, image) = Stack::new("convnext", image);
    let norm = Layer::LayerNorm { eps: 1e-3 };
    let conv = |conv: Conv2dLayer| Layer::Conv2d(conv);
    let stem = net.layer("stem", conv(Conv2dLayer::new(32, 2).stride(2)), &[&image]);
    let mut x = net.layer("stem_norm", norm, &[&stem]);
    for (stage, channels) in [32, 64].into_iter().enumerate() {
        if stage > 0 {
            let down = net.layer("down_norm", norm, &[&x]);
            x = net.layer("down", conv(Conv2dLayer::new(channels, 2).stride(2)), &[&down]);
        }
        for block in 0..2 {
            let name = |part: &str| format!("stage{}_{}_{part}", stage + 1, block + 1);
            let depthwise = Conv2dLayer::new(channels, 7).padding(3).groups(channels);
            let mut y = net.layer(&name("depthwise"), conv(depthwise), &[&x]);
            y = net.layer(&name("norm"), norm, &[&y]);
            y = net.layer(&name("up"), conv(Conv2dLayer::new(4 * channels, 1)), &[&y]);
            y = net.layer(&name("gelu"), Layer::Gelu, &[&y]);
            y = net.layer(&name("down"), conv(Conv2dLayer::new(channels, 1)), &[&y]);
            x = net.layer(&name("add"), Layer::Add, &[&y, &x]);
        }
    }
    let pool = net.layer("pool", Layer::GlobalAvgPool2d, &[&x]);
    let pool = net.layer("head_norm", norm, &[&pool]);
    net.layer("head", Layer::Linear(LinearLayer::new(classes)), &[&pool]);
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
        assert_eq!(count(lenet5([28, 28, 1], 10)), 61_706);
    }
}
