//! Whole training runs, step by step through the same graph that `train` runs, but for the gathering of batches.

use wgrad::graph::Graph;
use wgrad::nn::{Conv2dLayer, Layer, Layout, LinearLayer, Network, PARAMETERS, STATISTICS, Sequential, shipped};
use wgrad::ops::{Real, control};
use wgrad::session::cpu::CpuSession;
use wgrad::session::{Device, Options, Session};
use wgrad::tensor::{Spec, Tensor};
use wgrad::train::program::{self, Batch, names};
use wgrad::train::{OptimizerConfig, TrainConfig};
use wgrad::verify::compare::{FLOAT32, REFERENCE, Tolerance, compare};
use wgrad::verify::oracle::{OracleCase, from_pytorch};

/// What the runs need of a session, in float32 or float64.
trait Machine<T: Real> {
    fn write(&mut self, name: &str, tensor: Tensor<T>);
    fn step(&mut self);
    fn read(&mut self, name: &str) -> Tensor<T>;
}

impl Machine<f32> for Session {
    fn write(&mut self, name: &str, tensor: Tensor) {
        Session::write(self, name, &tensor).unwrap();
    }
    fn step(&mut self) {
        self.run(0, 1, &[]).unwrap();
    }
    fn read(&mut self, name: &str) -> Tensor {
        pollster::block_on(Session::read(self, &[name])).unwrap().remove(0)
    }
}

impl<T: Real> Machine<T> for CpuSession<T> {
    fn write(&mut self, name: &str, tensor: Tensor<T>) {
        CpuSession::write(self, name, &tensor).unwrap();
    }
    fn step(&mut self) {
        self.run(0, 1, &[]).unwrap();
    }
    fn read(&mut self, name: &str) -> Tensor<T> {
        CpuSession::read(self, name).unwrap().clone()
    }
}

fn deep_plain(activation: Layer) -> Network {
    let mut net = Sequential::new("deep_plain", &[28, 28, 1]);
    for _ in 0..12 {
        net = net.layer(Layer::Conv2d(Conv2dLayer::new(8, 3).padding(1))).layer(activation);
    }
    net.layer(Layer::GlobalAvgPool2d)
        .named("head", Layer::Linear(LinearLayer { units: 10, bias: true }))
        .build()
        .unwrap()
}

struct Run {
    case: OracleCase,
    network: Network,
    layout: Layout,
    config: TrainConfig,
    steps: usize,
    batch: usize,
}

impl Run {
    fn load(name: &str) -> Self {
        let case = OracleCase::load(&super::fixtures("training").join(format!("{name}.safetensors"))).unwrap();
        let network = match name {
            "residual_bn_adamw" => shipped::residual_bn([28, 28, 1], 10).unwrap(),
            "deep_plain_sigmoid" => deep_plain(Layer::Sigmoid),
            "deep_plain_relu" => deep_plain(Layer::Relu),
            _ => shipped::reference([28, 28, 1], 10).unwrap(),
        };
        let get = |name: &str| case.attrs.get(name).and_then(|value| value.as_f64());
        let weight_decay = get("weight_decay").unwrap_or(0.0) as f32;
        let momentum = get("momentum").unwrap_or(0.0) as f32;
        let optimizer = match case.attrs["optimizer"].as_str().unwrap() {
            "sgd" => OptimizerConfig::Sgd { momentum, nesterov: false, weight_decay },
            name => OptimizerConfig::named(name).unwrap().with_weight_decay(weight_decay),
        };
        let clip_norm = get("clip_grad_norm").map(|norm| norm as f32);
        let config = TrainConfig { lr: get("lr").unwrap(), optimizer, clip_norm, ..TrainConfig::default() };
        let shape = &case.inputs["x_u8"].shape;
        let (steps, batch) = (shape[0], shape[1]);
        Self { layout: network.layout().unwrap(), case, network, config, steps, batch }
    }

    fn graph(&self, config: &TrainConfig) -> Graph {
        let mut g = Graph::new();
        let control = g.persistent(names::CONTROL, Spec::u32([control::LEN]));
        let images = g.persistent("x", Spec::f32([self.batch, 28, 28, 1]));
        let labels = g.persistent("labels", Spec::u32([self.batch]));
        let batch = Batch { control, images, labels, steps: self.steps };
        let logits = program::step(&mut g, &self.network, &self.layout, batch, config).unwrap();
        let kept = g.persistent("logits", Spec::f32([self.batch, 10]));
        g.place(logits, kept, 0).unwrap();
        g
    }

    /// Runs `steps` steps from the initial weights.
    fn go<T: Real>(&self, machine: &mut dyn Machine<T>, steps: usize) {
        let mut flat = [vec![T::zero(); self.layout.len], vec![T::zero(); self.layout.statistics_len.max(1)]];
        for (list, flat) in [&self.layout.parameters, &self.layout.statistics].into_iter().zip(&mut flat) {
            for placed in list {
                let name = format!("init.{}", placed.parameter.name);
                let values = from_pytorch::<T>(&name, &self.case.inputs[&name]);
                flat[placed.offset..placed.offset + values.len()].copy_from_slice(values.floats());
            }
        }
        let [parameters, statistics] = flat;
        machine.write(PARAMETERS, Tensor::float([parameters.len()], parameters));
        machine.write(STATISTICS, Tensor::float([statistics.len()], statistics));
        let operator = self.config.optimizer.operator();
        let rates = (0..self.steps).flat_map(|step| operator.rates(self.config.lr, step as u64 + 1)).map(T::of);
        machine.write(names::RATES, Tensor::float([self.steps, 4], rates.collect()));
        let images = self.case.inputs["x_u8"].u8s();
        let labels = self.case.inputs["labels"].u32s();
        let pixels = self.batch * 784;
        for step in 0..steps {
            let x =
                images[step * pixels..(step + 1) * pixels].iter().map(|&byte| T::of(f64::from(byte)) / T::of(255.0));
            machine.write("x", Tensor::float([self.batch, 28, 28, 1], x.collect()));
            let labels = labels[step * self.batch..(step + 1) * self.batch].to_vec();
            machine.write("labels", Tensor::u32([self.batch], labels));
            machine.step();
        }
    }

    fn compare<T: Real>(&self, name: &str, got: &[T], tolerance: Tolerance, failures: &mut Vec<String>) {
        let want = from_pytorch::<f64>(name, &self.case.wants[name]);
        let difference = compare(got, want.floats(), &want.shape, tolerance);
        if !difference.passes() {
            failures.push(format!("{} {name}: {difference}", self.case.name));
        }
    }

    /// Compares what the flat buffer `name` holds with the wanted tensors `prefix.*`.
    fn compare_flat<T: Real>(
        &self,
        machine: &mut dyn Machine<T>,
        (name, prefix): (&str, &str),
        tolerance: Tolerance,
        failures: &mut Vec<String>,
    ) {
        let flat = machine.read(name);
        let list = if name == STATISTICS { &self.layout.statistics } else { &self.layout.parameters };
        for placed in list {
            let got = &flat.floats()[placed.offset..placed.offset + placed.parameter.len()];
            self.compare(&format!("{prefix}.{}", placed.parameter.name), got, tolerance, failures);
        }
    }

    fn check<T: Real>(
        &self,
        mut machine: impl FnMut(Graph) -> Box<dyn Machine<T>>,
        tolerance: Tolerance,
        last: Tolerance,
    ) {
        let mut failures = Vec::new();
        // Gradients are compared before clipping, so the first step runs once without.
        let unclipped = TrainConfig { clip_norm: None, ..self.config.clone() };
        let mut first = machine(self.graph(&unclipped));
        self.go(&mut *first, 1);
        self.compare("logits0", first.read("logits").floats(), tolerance, &mut failures);
        self.compare_flat(&mut *first, (names::GRADIENTS, "grad0"), tolerance, &mut failures);
        let mut whole = machine(self.graph(&self.config));
        self.go(&mut *whole, self.steps);
        self.compare("losses", whole.read(names::LOSSES).floats(), tolerance, &mut failures);
        self.compare_flat(&mut *whole, (PARAMETERS, "final"), last, &mut failures);
        self.compare_flat(&mut *whole, (STATISTICS, "final"), last, &mut failures);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    fn in_float64(&self) {
        self.check::<f64>(|graph| Box::new(CpuSession::new(vec![graph], true)), REFERENCE, REFERENCE);
    }

    fn in_float32(&self, device: &Device, baseline: bool) {
        let last = Tolerance { relative_l2: 2e-3, max_error: f64::INFINITY };
        let options = Options { baseline, ..Options::default() };
        self.check::<f32>(|graph| Box::new(Session::new(device, vec![graph], options).unwrap()), FLOAT32, last);
    }
}

macro_rules! runs {
    ($($name:ident),+) => {
        $(mod $name {
            use super::*;

            #[test]
            fn the_reference_in_float64() {
                Run::load(stringify!($name)).in_float64();
            }

            #[test]
            fn the_cpu_session_in_float32() {
                Run::load(stringify!($name)).in_float32(&Device::Cpu("a test".into()), false);
            }

            #[test]
            fn the_gpu_with_its_preferred_kernels() {
                let Some(gpu) = crate::adapter() else { return };
                Run::load(stringify!($name)).in_float32(&Device::Gpu(gpu), false);
            }

            #[test]
            fn the_gpu_with_baseline_kernels() {
                let Some(gpu) = crate::adapter() else { return };
                Run::load(stringify!($name)).in_float32(&Device::Gpu(gpu), true);
            }
        })+
    };
}

runs!(seed_cnn_adam, seed_cnn_sgd_momentum, residual_bn_adamw, deep_plain_sigmoid, deep_plain_relu);
