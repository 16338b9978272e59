//! The workloads of `wgrad bench` in burn on wgpu, as rows of JSON with the same keys.
//!
//! `reference`: a training step of the reference network at batch 64 (forward, cross-entropy, backward, Adam), its batch on the
//! device from the start. `reference/conv2`: its heaviest convolution, forward and both gradients. burn offers no input gradient
//! of a convolution by itself, so that one is a transposed convolution, which is the same sum.
//!
//! burn's kernels go to the driver as WGSL, or with `--features spirv` as its own SPIR-V, which is faster on GPUs and which the
//! software driver llvmpipe of Mesa 22.3.6 does not survive (a segmentation fault in the first step).

use std::time::Instant;

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::module::{conv_transpose2d, conv2d, conv2d_weight_backward};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DeviceKind, Distribution};

const BATCH: usize = 64;
/// Multiply-adds count two, as in wgrad.
const CONV2_FLOPS: f64 = (2 * BATCH * 11 * 11 * 64 * 3 * 3 * 32) as f64;

#[derive(Module, Debug)]
struct Reference {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    pool: MaxPool2d,
    dense1: Linear,
    dense2: Linear,
    relu: Relu,
}

impl Reference {
    fn new(device: &Device) -> Self {
        let conv = |from, to| Conv2dConfig::new([from, to], [3, 3]).init(device);
        Self {
            conv1: conv(1, 32),
            conv2: conv(32, 64),
            conv3: conv(64, 64),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            dense1: LinearConfig::new(576, 64).init(device),
            dense2: LinearConfig::new(64, 10).init(device),
            relu: Relu::new(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(self.relu.forward(self.conv1.forward(x)));
        let x = self.pool.forward(self.relu.forward(self.conv2.forward(x)));
        let x = self.relu.forward(self.conv3.forward(x)).flatten::<2>(1, 3);
        self.dense2.forward(self.relu.forward(self.dense1.forward(x)))
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

fn wait(device: &Device) {
    device.sync().expect("the device failed");
}

/// Median and spread in percent of one run in milliseconds.
fn measure(device: &Device, seconds: f64, mut run: impl FnMut()) -> [f64; 2] {
    for _ in 0..5 {
        run();
    }
    wait(device);
    let started = Instant::now();
    run();
    wait(device);
    let one = started.elapsed().as_secs_f64().max(1e-7);
    let together = ((seconds / 12.0 / one) as usize).clamp(1, 500);
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || begun.elapsed().as_secs_f64() < seconds {
        let started = Instant::now();
        (0..together).for_each(|_| run());
        wait(device);
        times.push(started.elapsed().as_secs_f64() / together as f64 * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    [at(0.5), 100.0 * (at(0.75) - at(0.25)) / at(0.5)]
}

fn tell(workload: &str, direction: &str, [ms, spread]: [f64; 2], flops: Option<f64>) {
    let mut row = serde_json::json!({
        "workload": workload, "direction": direction, "variant": "burn wgpu", "device": "wgpu's default", "ms": ms,
        "gflops": flops.map(|flops| flops / ms / 1e6), "gb_s": null, "percent_of_roof": null, "spread_percent": spread,
        "peer": "burn 0.22",
    });
    if direction == "step" {
        row["ms_per_step"] = ms.into();
        row["images_per_second"] = (BATCH as f64 / ms * 1e3).into();
        row["batch"] = BATCH.into();
    }
    println!("{row}");
}

fn step(device: &Device, seconds: f64) {
    let device = device.clone().autodiff();
    let mut net = Some(Reference::new(&device));
    let mut adam = AdamConfig::new().init();
    let images = random([BATCH, 1, 28, 28], &device);
    let labels: Vec<i32> = (0..BATCH as i32).map(|i| i * 7 % 10).collect();
    let labels = Tensor::<1, Int>::from_ints(labels.as_slice(), &device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let measured = measure(&device, seconds, || {
        let Some(now) = net.take() else { return };
        let gradients = loss.forward(now.forward(images.clone()), labels.clone()).backward();
        let gradients = GradientsParams::from_grads(gradients, &now);
        net = Some(adam.step(1e-3_f64, now, gradients));
    });
    tell("reference", "step", measured, None);
}

fn conv2(device: &Device, seconds: f64) {
    let (x, w) = (random([BATCH, 32, 13, 13], device), random([64, 32, 3, 3], device));
    let (b, dy) = (random([64], device), random([BATCH, 64, 11, 11], device));
    let options = || ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let forward = || drop(conv2d(x.clone(), w.clone(), Some(b.clone()), options()));
    tell("reference/conv2", "forward", measure(device, seconds, forward), Some(CONV2_FLOPS));
    let transposed = || ConvTransposeOptions::new([1, 1], [0, 0], [0, 0], [1, 1], 1);
    let grad_input = || drop(conv_transpose2d(dy.clone(), w.clone(), None, transposed()));
    tell("reference/conv2", "grad_input", measure(device, seconds, grad_input), Some(CONV2_FLOPS));
    let grad_weight = || drop(conv2d_weight_backward(x.clone(), w.clone(), dy.clone(), options()));
    tell("reference/conv2", "grad_weight", measure(device, seconds, grad_weight), Some(CONV2_FLOPS));
}

fn main() {
    let argument = std::env::args().nth(1).map(|text| text.parse());
    let Some(seconds) = argument.unwrap_or(Ok(1.0)).ok().filter(|seconds: &f64| *seconds > 0.0) else {
        eprintln!("usage: wgrad-peer-burn [SECONDS for each row]");
        std::process::exit(2);
    };
    #[cfg(feature = "spirv")]
    let device = Device::vulkan(DeviceKind::DefaultDevice);
    #[cfg(not(feature = "spirv"))]
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    step(&device, seconds);
    conv2(&device, seconds);
}
