//! What is timed: the shapes of five networks, layer by layer. Their names are part of the interface, since results are
//! compared by them.

use super::workload::Workload;
use crate::ops::*;
use crate::verify::case::{Operand, control, floats, integers, noise, values};

/// Every operator's workload, the reference network's first.
pub fn operators() -> Vec<Workload> {
    [reference(), resnet18(), resnet50(), mobilenet_v2(), vgg16()].concat()
}

/// An image: height, width, channels.
type Image = [usize; 3];

/// The workloads of one network at one batch size.
struct Network {
    name: &'static str,
    batch: usize,
    workloads: Vec<Workload>,
}

impl Network {
    fn new(name: &'static str, batch: usize) -> Self {
        Self { name, batch, workloads: Vec::new() }
    }

    fn add(&mut self, layer: &str, op: impl Into<Op>, operands: Vec<Operand>) {
        self.workloads.push(Workload::new(format!("{}/{layer}", self.name), op, operands));
    }

    fn image(&self, seed: u32, [h, w, c]: Image) -> Operand {
        noise(seed, [self.batch, h, w, c])
    }

    /// A convolution without bias, as before a batch normalisation.
    fn conv(&mut self, layer: &str, x: Image, [kernel, c_out]: [usize; 2], op: Conv2d) {
        let w = noise(2, [kernel, kernel, x[2] / op.groups, c_out]);
        self.add(layer, op, vec![self.image(1, x), w]);
    }

    /// A convolution with bias.
    fn conv_bias(&mut self, layer: &str, x: Image, [kernel, c_out]: [usize; 2], op: Conv2d) {
        let (w, b) = (noise(2, [kernel, kernel, x[2] / op.groups, c_out]), noise(3, [c_out]));
        self.add(layer, op, vec![self.image(1, x), w, b]);
    }

    fn linear(&mut self, layer: &str, from: usize, to: usize) {
        self.add(layer, Linear, vec![noise(1, [self.batch, from]), noise(2, [to, from]), noise(3, [to])]);
    }

    fn max_pool(&mut self, layer: &str, x: Image, [kernel, stride, padding]: [usize; 3]) {
        let pool = Pool2d { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 4], ceil_mode: false };
        self.add(layer, MaxPool2d(pool), vec![self.image(1, x)]);
    }

    fn batch_norm(&mut self, layer: &str, x: Image) {
        let operands = vec![self.image(1, x), floats(2, [x[2]], 0.5, 1.5), noise(3, [x[2]])];
        self.add(layer, BatchNorm2d { eps: 1e-5 }, operands);
    }

    fn relu(&mut self, layer: &str, x: Image) {
        self.add(layer, Activation::Relu, vec![self.image(1, x)]);
    }

    fn add_up(&mut self, layer: &str, x: Image) {
        self.add(layer, Add, vec![self.image(1, x), self.image(2, x)]);
    }
}

/// A convolution with this stride and padding.
fn strided(stride: usize, padding: usize) -> Conv2d {
    Conv2d { stride: [stride; 2], padding: [padding; 4], ..Conv2d::default() }
}

/// A depthwise 3×3 convolution over so many channels.
fn depthwise(stride: usize, channels: usize) -> Conv2d {
    Conv2d { groups: channels, ..strided(stride, 1) }
}

/// All layers of the reference network at batch 64, with loss and optimiser.
fn reference() -> Vec<Workload> {
    let mut net = Network::new("reference", 64);
    // The heaviest first: how long the others take is guessed from it.
    net.conv_bias("conv2", [13, 13, 32], [3, 64], strided(1, 0));
    net.conv_bias("conv1", [28, 28, 1], [3, 32], strided(1, 0));
    net.conv_bias("conv3", [5, 5, 64], [3, 64], strided(1, 0));
    net.relu("relu1", [26, 26, 32]);
    net.max_pool("pool1", [26, 26, 32], [2, 2, 0]);
    net.max_pool("pool2", [11, 11, 64], [2, 2, 0]);
    net.linear("dense1", 576, 64);
    net.linear("dense2", 64, 10);
    let loss = SoftmaxCrossEntropy { label_smoothing: 0.0 };
    net.add("loss", loss, vec![noise(1, [64, 10]), integers(2, [64], 10)]);
    // Its parameters in the flat buffer, each at a multiple of the alignment.
    const PARAMETERS: usize = 93_440;
    let adam = Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
    let rates = values([1, optimizer::RATES], &adam.rates_row(1e-3, 1));
    let mut operands = vec![noise(1, [PARAMETERS]), noise(2, [PARAMETERS]), rates, control(0, 0)];
    operands.extend([noise(3, [PARAMETERS]), floats(4, [PARAMETERS], 0.5, 1.5)]);
    net.add("adam", adam, operands);
    net.workloads
}

/// ResNet-18 on images of 224×224.
fn resnet18() -> Vec<Workload> {
    let mut net = Network::new("resnet18", 32);
    net.conv("stem", [224, 224, 3], [7, 64], strided(2, 3));
    net.max_pool("stem_pool", [112, 112, 64], [3, 2, 1]);
    net.conv("layer1_conv", [56, 56, 64], [3, 64], strided(1, 1));
    net.conv("layer2_down", [56, 56, 64], [3, 128], strided(2, 1));
    net.conv("layer2_shortcut", [56, 56, 64], [1, 128], strided(2, 0));
    net.conv("layer2_conv", [28, 28, 128], [3, 128], strided(1, 1));
    net.conv("layer3_conv", [14, 14, 256], [3, 256], strided(1, 1));
    net.conv("layer4_conv", [7, 7, 512], [3, 512], strided(1, 1));
    net.batch_norm("layer1_bn", [56, 56, 64]);
    net.batch_norm("layer3_bn", [14, 14, 256]);
    net.relu("layer1_relu", [56, 56, 64]);
    net.add_up("layer1_add", [56, 56, 64]);
    net.add("pool", GlobalAvgPool2d, vec![net.image(1, [7, 7, 512])]);
    net.linear("head", 512, 1000);
    net.workloads
}

/// What ResNet-50 has beside ResNet-18: the 1×1 convolutions of its bottlenecks.
fn resnet50() -> Vec<Workload> {
    let mut net = Network::new("resnet50", 32);
    net.conv("layer1_reduce", [56, 56, 256], [1, 64], strided(1, 0));
    net.conv("layer1_expand", [56, 56, 64], [1, 256], strided(1, 0));
    net.conv("layer2_expand", [28, 28, 128], [1, 512], strided(1, 0));
    net.conv("layer3_expand", [14, 14, 256], [1, 1024], strided(1, 0));
    net.conv("layer4_reduce", [7, 7, 2048], [1, 512], strided(1, 0));
    net.batch_norm("layer4_bn", [7, 7, 2048]);
    net.workloads
}

/// Inverted residual blocks: 1×1 convolutions with few channels, and depthwise ones.
fn mobilenet_v2() -> Vec<Workload> {
    let mut net = Network::new("mobilenet_v2", 16);
    net.conv("block2_expand", [112, 112, 16], [1, 96], strided(1, 0));
    net.conv("block2_depthwise", [112, 112, 96], [3, 96], depthwise(2, 96));
    net.conv("block3_depthwise", [56, 56, 144], [3, 144], depthwise(1, 144));
    net.conv("block8_depthwise", [14, 14, 384], [3, 384], depthwise(1, 384));
    net.conv("block8_project", [14, 14, 384], [1, 64], strided(1, 0));
    net.conv("head_conv", [7, 7, 320], [1, 1280], strided(1, 0));
    net.workloads
}

/// VGG-16 on images of 224×224: large images with few channels, small ones with many, and a large linear layer.
fn vgg16() -> Vec<Workload> {
    let mut net = Network::new("vgg16", 8);
    net.conv_bias("conv1_1", [224, 224, 3], [3, 64], strided(1, 1));
    net.conv_bias("conv1_2", [224, 224, 64], [3, 64], strided(1, 1));
    net.conv_bias("conv2_2", [112, 112, 128], [3, 128], strided(1, 1));
    net.conv_bias("conv3_2", [56, 56, 256], [3, 256], strided(1, 1));
    net.conv_bias("conv4_2", [28, 28, 512], [3, 512], strided(1, 1));
    net.conv_bias("conv5_2", [14, 14, 512], [3, 512], strided(1, 1));
    net.max_pool("pool1", [224, 224, 64], [2, 2, 0]);
    net.linear("fc7", 4096, 4096);
    net.workloads
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::gpu::Caps;
    use crate::kernels::{BASELINE, Problem, lower};
    use crate::nn::shipped;

    #[test]
    fn every_workload_is_accepted_in_every_direction_and_costs_something() {
        for workload in operators() {
            let tasks = workload.tasks().unwrap_or_else(|error| panic!("{}: {error}", workload.name));
            for task in tasks {
                let name = format!("{} {}", workload.name, task.direction);
                let [inputs, outputs] = task.specs().unwrap_or_else(|error| panic!("{name}: {error}"));
                let problem = Problem { inputs: &inputs, outputs: &outputs, caps: &Caps::DEFAULT };
                lower(&task.op, &problem, BASELINE).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(task.op.bytes(&inputs, &outputs) > 0, "{name}");
                for spec in inputs.iter().chain(&outputs) {
                    assert!(spec.bytes() as u64 <= Caps::DEFAULT.max_binding_bytes, "{name}: {spec:?} fits no binding");
                }
            }
        }
    }

    #[test]
    fn names_are_unique_and_so_are_directions() {
        let mut names = BTreeSet::new();
        for workload in operators() {
            let directions: BTreeSet<_> = workload.tasks().unwrap().iter().map(|task| task.direction).collect();
            assert_eq!(directions.len(), workload.tasks().unwrap().len(), "{}", workload.name);
            assert!(names.insert(workload.name.clone()), "{} twice", workload.name);
        }
    }

    #[test]
    fn the_reference_network_has_these_layers() {
        let network = shipped::reference([28, 28, 1], 10).unwrap();
        let rows = network.summary(64).unwrap().rows;
        let flops = |name: &str| {
            let all = operators();
            let workload = all.iter().find(|workload| workload.name == format!("reference/{name}")).unwrap();
            let [inputs, outputs] = workload.tasks().unwrap()[0].specs().unwrap();
            workload.op.flops(&inputs, &outputs)
        };
        for (layer, ours) in [("conv2d1", "conv1"), ("conv2d2", "conv2"), ("conv2d3", "conv3"), ("linear1", "dense1")] {
            let row = rows.iter().find(|row| row.name == layer || row.name == ours).unwrap();
            assert_eq!(row.flops, flops(ours), "{layer}");
        }
        let adam = operators().into_iter().find(|workload| workload.name == "reference/adam").unwrap();
        assert_eq!(adam.operands[0].spec.len(), network.layout().unwrap().len);
    }
}
