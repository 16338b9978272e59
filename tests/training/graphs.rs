//! Graphs with branches: every parameter's gradient against central differences of the whole graph in float64.

use wgrad::graph::{Graph, differentiate};
use wgrad::nn::{Builder, Conv2dLayer, Init, Layer, LinearLayer, Mode, Network, PARAMETERS, PoolLayer, STATISTICS};
use wgrad::ops::{self, control};
use wgrad::session::cpu::CpuSession;
use wgrad::session::{Options, Session};
use wgrad::tensor::{Spec, Tensor};
use wgrad::train::program::{backward, names};

fn uniform(seed: u32, index: usize) -> f64 {
    f64::from(wgrad::ops::random::random(seed, 0, index as u32)) / 4_294_967_296.0 - 0.5
}

/// Two inputs, a residual connection, a product, a concatenation, a value used three times, every normalisation, dropout.
fn branching() -> Network {
    let mut net = Builder::new("branching");
    let conv = |channels: usize| Layer::Conv2d(Conv2dLayer::new(channels, 3).padding(1));
    let left = net.input("left", &[6, 5, 2]);
    let right = net.input("right", &[6, 5, 3]);
    let a = net.layer("a", conv(4), &[&left]);
    let b = net.layer("b", conv(4), &[&right]);
    let bn = net.layer("bn", Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 }, &[&a]);
    let act = net.layer("act", Layer::Silu, &[&bn]);
    let product = net.layer("product", Layer::Mul, &[&act, &b]);
    let sum = net.layer("sum", Layer::Add, &[&product, &act, &b]);
    let group = net.layer("group", Layer::GroupNorm { groups: 2, eps: 1e-5 }, &[&sum]);
    let drop = net.layer("drop", Layer::Dropout { rate: 0.25 }, &[&group]);
    let depthwise = net.layer("depthwise", Layer::Conv2d(Conv2dLayer::new(4, 2).groups(4).no_bias()), &[&drop]);
    let pool = net.layer("pool", Layer::AvgPool2d(PoolLayer::new(2).stride(1)), &[&depthwise]);
    let gelu = net.layer("gelu", Layer::Gelu, &[&pool]);
    let flat = net.layer("flat", Layer::Flatten, &[&gelu]);
    let global = net.layer("global", Layer::GlobalAvgPool2d, &[&sum]);
    let both = net.layer("both", Layer::Concat, &[&flat, &global]);
    let norm = net.layer("norm", Layer::LayerNorm { eps: 1e-5 }, &[&both]);
    let dense = net.layer("dense", Layer::Linear(LinearLayer::new(7)), &[&norm]);
    let tanh = net.layer("tanh", Layer::Tanh, &[&dense]);
    net.layer("head", Layer::Linear(LinearLayer::new(3)), &[&tanh]);
    net.build().unwrap()
}

/// The loss of a network and the gradient of all its parameters, on 3 examples.
fn program(network: &Network) -> Graph {
    let layout = network.layout().unwrap();
    let mut g = Graph::new();
    let mut inputs = Vec::new();
    for input in &network.inputs {
        let shape: Vec<usize> = std::iter::once(3).chain(input.shape.iter().copied()).collect();
        inputs.push(g.persistent(&input.name, Spec::f32(shape)));
    }
    let labels = g.persistent("labels", Spec::u32([3]));
    let control = g.persistent("control", Spec::u32([control::LEN]));
    let built = network.build(&mut g, &inputs, control, Mode::Train { seed: 5, first: 0 }, &layout).unwrap();
    let loss = ops::SoftmaxCrossEntropy { label_smoothing: 0.1 };
    let loss = g.apply1("loss", loss, &[built.output().unwrap(), labels]).unwrap();
    let one = g.constant("one", [1], vec![1.0]);
    backward(&mut g, (loss, one), &built.parameters, &layout, names::GRADIENTS).unwrap();
    let kept = g.persistent("kept_loss", Spec::f32([1]));
    g.place(loss, kept, 0).unwrap();
    g
}

/// Parameters, inputs and labels by name.
fn start(network: &Network) -> Vec<(String, Tensor<f64>)> {
    let layout = network.layout().unwrap();
    let [parameters, statistics] = layout.draw(1);
    let wide = |data: Vec<f32>| data.into_iter().enumerate().map(|(i, x)| f64::from(x) + 0.1 * uniform(9, i)).collect();
    let mut values = vec![
        (PARAMETERS.to_owned(), Tensor::float([layout.len], wide(parameters))),
        (STATISTICS.to_owned(), Tensor::float([layout.statistics_len.max(1)], wide(statistics))),
    ];
    for (number, input) in network.inputs.iter().enumerate() {
        let shape: Vec<usize> = std::iter::once(3).chain(input.shape.iter().copied()).collect();
        let data = (0..shape.iter().product()).map(|i| 2.0 * uniform(20 + number as u32, i)).collect();
        values.push((input.name.clone(), Tensor::float(shape, data)));
    }
    values
}

#[test]
fn every_parameter_of_a_branching_network_matches_central_differences() {
    let network = branching();
    let layout = network.layout().unwrap();
    let mut session = CpuSession::<f64>::new(vec![program(&network)], true);
    let values = start(&network);
    for (name, tensor) in &values {
        session.write(name, tensor).unwrap();
    }
    session.write("labels", &Tensor::u32([3], vec![2, 0, 1])).unwrap();
    let mut loss_at = |parameters: &Tensor<f64>| {
        session.write(PARAMETERS, parameters).unwrap();
        let read = session.run(0, 1, &["kept_loss", names::GRADIENTS]).unwrap();
        (read[0].floats()[0], read[1].clone())
    };
    let parameters = values[0].1.clone();
    let (_, gradients) = loss_at(&parameters);
    let mut worst = Vec::new();
    for placed in &layout.parameters {
        for index in (0..placed.parameter.len()).step_by(1 + placed.parameter.len() / 12) {
            let at = placed.offset + index;
            let shifted = |by: f64| {
                let mut data = parameters.floats().to_vec();
                data[at] += by;
                Tensor::float([layout.len], data)
            };
            const H: f64 = 1e-5;
            let numeric = (loss_at(&shifted(H)).0 - loss_at(&shifted(-H)).0) / (2.0 * H);
            let got = gradients.floats()[at];
            if (got - numeric).abs() > 1e-8 + 1e-6 * numeric.abs() {
                worst.push(format!("{}[{index}]: {got} instead of {numeric}", placed.parameter.name));
            }
        }
    }
    assert!(worst.is_empty(), "{}", worst.join("\n"));
}

#[test]
fn a_branching_network_has_the_same_gradients_on_the_gpu() {
    let Some(device) = crate::adapter() else { return };
    let network = branching();
    let mut exact = CpuSession::<f64>::new(vec![program(&network)], true);
    let mut session = Session::new(&device, vec![program(&network)], Options::default()).unwrap();
    for (name, tensor) in start(&network) {
        let narrow: Vec<f32> = tensor.floats().iter().map(|&x| x as f32).collect();
        exact
            .write(&name, &Tensor::float(tensor.shape.clone(), narrow.iter().map(|&x| f64::from(x)).collect()))
            .unwrap();
        session.write(&name, &Tensor::float(tensor.shape.clone(), narrow)).unwrap();
    }
    exact.write("labels", &Tensor::u32([3], vec![2, 0, 1])).unwrap();
    session.write("labels", &Tensor::u32([3], vec![2, 0, 1])).unwrap();
    let want = exact.run(0, 1, &[names::GRADIENTS]).unwrap();
    let got = pollster::block_on(session.run(0, 1, &[names::GRADIENTS]).unwrap().wait()).unwrap();
    let (mut error, mut norm) = (0.0, 0.0);
    for (&got, &want) in got[0].floats().iter().zip(want[0].floats()) {
        error += (f64::from(got) - want).powi(2);
        norm += want * want;
    }
    assert!((error / norm).sqrt() < 1e-5, "relative error {}", (error / norm).sqrt());
}

#[test]
fn a_value_used_several_times_gets_the_sum_of_its_gradients() {
    // y = x·x + x, so dy/dx = 2x + 1.
    let mut g = Graph::new();
    let x = g.persistent("x", Spec::f32([4]));
    let square = g.apply1("square", ops::Mul, &[x, x]).unwrap();
    let y = g.apply1("y", ops::Add, &[square, x]).unwrap();
    let seed = g.constant("seed", [4], vec![1.0; 4]);
    let dx = differentiate(&mut g, y, seed, &[x]).unwrap().of(x).unwrap();
    let kept = g.persistent("dx", Spec::f32([4]));
    g.place(dx, kept, 0).unwrap();
    let mut session = CpuSession::<f64>::new(vec![g], true);
    session.write("x", &Tensor::float([4], vec![0.5, -1.0, 3.0, 0.0])).unwrap();
    assert_eq!(session.run(0, 1, &["dx"]).unwrap()[0].floats(), [2.0, -1.0, 7.0, 1.0]);
}

#[test]
fn impossible_networks_are_refused_when_they_are_built() {
    let refused = |layers: &[(&str, Layer, &[&str])], part: &str| {
        let layers = layers.iter().map(|(name, layer, inputs)| wgrad::nn::NamedLayer {
            name: (*name).into(),
            inputs: inputs.iter().map(|&input| input.into()).collect(),
            layer: *layer,
        });
        let inputs = vec![wgrad::nn::Input { name: "image".into(), shape: vec![8, 8, 3] }];
        let error = Network { name: "bad".into(), init: Init::default(), inputs, layers: layers.collect() }
            .check()
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&[("conv1", Layer::Conv2d(Conv2dLayer::new(4, 9)), &[])], "conv1");
    refused(&[("conv1", Layer::Conv2d(Conv2dLayer::new(4, 3).groups(2)), &[])], "2 groups do not divide 3");
    refused(&[("dense", Layer::Linear(LinearLayer::new(3)), &[])], "dense");
    refused(&[("a", Layer::Relu, &["nowhere"])], "nowhere");
    refused(&[("a", Layer::Relu, &[]), ("a", Layer::Relu, &[])], "two layers are called `a`");
    refused(&[("a", Layer::Add, &["image"])], "two or more inputs");
    refused(&[("pool", Layer::MaxPool2d(PoolLayer::new(9)), &[])], "pool");
}
