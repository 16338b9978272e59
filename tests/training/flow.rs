//! Gradients that are watched while a run trains.

use wgrad::graph::Pass;
use wgrad::nn::{Builder, Conv2dLayer, Init, Layer, LinearLayer, Network, PoolLayer, shipped};
use wgrad::session::Device;
use wgrad::train::flow::Watch;
use wgrad::train::{Event, Flow, TrainConfig, Trainer};

fn trained(
    device: &Device,
    network: &Network,
    every: u64,
    change: impl Fn(TrainConfig) -> TrainConfig,
) -> (Vec<u32>, Vec<Flow>) {
    let data = crate::digits(200, 16);
    let config =
        TrainConfig { epochs: 2, batch: 16, watch: Watch { every, ..Watch::default() }, ..TrainConfig::default() };
    let mut trainer = Trainer::new(device, network, &data, &change(config)).unwrap();
    let mut flows = Vec::new();
    let observe = |event| {
        if let Event::Flow(flow) = event {
            flows.push(*flow);
        }
    };
    pollster::block_on(trainer.fit(observe)).unwrap();
    let state = pollster::block_on(trainer.state()).unwrap();
    (state.iter().flatten().map(|x| x.to_bits()).collect(), flows)
}

/// With a branch, a gradient that passes through unchanged, and every activation that is looked at in its own way.
fn branched() -> Network {
    let mut net = Builder::new("branched");
    let image = net.input("image", &[28, 28, 1]);
    let conv = || Layer::Conv2d(Conv2dLayer::new(6, 3).padding(1));
    let stem = net.layer("stem", Layer::Conv2d(Conv2dLayer::new(6, 3).stride(3)), &[&image]);
    let left = net.layer("left", conv(), &[&stem]);
    let left = net.layer("left_sigmoid", Layer::Sigmoid, &[&left]);
    let right = net.layer("right", conv(), &[&stem]);
    let right = net.layer("right_relu", Layer::Relu, &[&right]);
    let sum = net.layer("sum", Layer::Add, &[&left, &right]);
    let drop = net.layer("drop", Layer::Dropout { rate: 0.2 }, &[&sum]);
    let flat = net.layer("flat", Layer::Flatten, &[&drop]);
    net.layer("head", Layer::Linear(LinearLayer::new(10)), &[&flat]);
    net.build().unwrap()
}

#[test]
fn a_run_that_is_watched_is_the_same_run() {
    let networks =
        [shipped::reference([28, 28, 1], 10).unwrap(), shipped::residual_bn([28, 28, 1], 10).unwrap(), branched()];
    let clipped = |config| TrainConfig { clip_norm: Some(0.3), clip_weights: Some(0.2), ..config };
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        for network in &networks {
            let (plain, none) = trained(&device, network, 0, clipped);
            assert!(none.is_empty());
            // 24 steps: the first one and each fifth after it, over the end of an epoch.
            for (every, watched) in [(1, 24), (5, 5)] {
                let (bits, flows) = trained(&device, network, every, clipped);
                assert_eq!((flows.len(), flows[0].step), (watched, 1), "{}", network.name);
                assert!(!flows[0].parameters.is_empty(), "{}", network.name);
                assert!(bits == plain, "{}: watching one step in {every} changes the weights", network.name);
            }
        }
    }
}

/// The norm of some floats.
fn norm(numbers: impl Iterator<Item = f32>) -> f64 {
    numbers.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

#[test]
fn what_is_told_of_parameters_is_what_they_are() {
    let network = branched();
    let layout = network.layout().unwrap();
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        let data = crate::digits(32, 16);
        let watch = Watch { every: 1, ..Watch::default() };
        let config = TrainConfig { epochs: 1, batch: 16, watch, ..TrainConfig::default() };
        let mut trainer = Trainer::new(&device, &network, &data, &config).unwrap();
        let [before, _] = pollster::block_on(trainer.state()).unwrap();
        let stop = trainer.stop_flag();
        let mut flows = Vec::new();
        let observe = |event| {
            if let Event::Flow(flow) = event {
                flows.push(*flow);
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        };
        pollster::block_on(trainer.fit(observe)).unwrap();
        let [after, _] = pollster::block_on(trainer.state()).unwrap();
        assert_eq!(flows.len(), 1);
        assert_eq!(flows[0].parameters.len(), layout.parameters.len());
        let close = |got: f64, want: f64| (got - want).abs() <= 1e-5 * want;
        for (placed, told) in layout.parameters.iter().zip(&flows[0].parameters) {
            let here = placed.offset..placed.offset + placed.parameter.len();
            let (before, after) = (&before[here.clone()], &after[here]);
            let name = &placed.parameter.name;
            assert_eq!((&told.name, told.value.elements), (name, before.len() as u64));
            assert!(close(told.value.norm, norm(before.iter().copied())), "{name}: {told:?}");
            assert_eq!(told.value.zeros, before.iter().filter(|x| **x == 0.0).count() as u64, "{name}");
            let update = norm(after.iter().zip(before).map(|(after, before)| after - before));
            assert!(close(told.update.norm, update), "{name}: {} and {update}", told.update.norm);
            assert!(told.gradient.norm > 0.0 && told.gradient.largest <= told.gradient.norm, "{name}: {told:?}");
            let sampled: u32 = told.gradient.bins.iter().sum();
            assert!(u64::from(sampled) <= 4 * told.gradient.elements.div_ceil(64), "{name}: {sampled}");
        }
    }
}

/// Units of numbers that divide a turn of the lanes that measure a tensor, and of others, which are counted in another way.
#[test]
fn units_that_are_never_alive_are_dead_however_many_there_are() {
    let Some(device) = crate::adapter() else { return };
    let mut net = Builder::new("dead");
    let mut last = net.input("image", &[28, 28, 1]);
    for (channels, bias) in [(8, 0.1), (8, -100.0), (12, 0.1), (12, -100.0), (256, 0.1)] {
        let conv = Conv2dLayer::new(channels, 5).stride(2).padding(2).bias_init(Init::Constant { value: bias });
        let conv = net.layer(&format!("conv{channels}_{bias}"), Layer::Conv2d(conv), &[&last]);
        last = net.layer(&format!("relu{channels}_{bias}"), Layer::Relu, &[&conv]);
    }
    let flat = net.layer("flat", Layer::Flatten, &[&last]);
    net.layer("head", Layer::Linear(LinearLayer::new(10)), &[&flat]);
    let (_, flows) = trained(&device, &net.build().unwrap(), 8, |config| config);
    for flow in &flows {
        let units = flow.activations.iter().filter_map(|a| Some((a.units?.dead, a.units?.of)));
        assert_eq!(units.collect::<Vec<_>>(), [(0, 8), (8, 8), (0, 12), (12, 12), (0, 256)], "step {}", flow.step);
    }
    assert_eq!(flows.len(), 3);
}

#[test]
fn activations_stand_for_what_is_fused_into_them_and_pools_hide_none() {
    let Some(device) = crate::adapter() else { return };
    let network = shipped::reference([28, 28, 1], 10).unwrap();
    let (_, flows) = trained(&device, &network, 24, |config| config);
    let told: Vec<(&str, Vec<&str>, bool)> = flows[0]
        .activations
        .iter()
        .map(|a| (a.layer.as_str(), a.stands_for.iter().map(String::as_str).collect(), a.units.is_some()))
        .collect();
    assert_eq!(
        told,
        [
            ("relu1", vec!["conv1"], true),
            ("pool1", vec![], false),
            ("relu2", vec!["conv2"], true),
            ("pool2", vec![], false),
            ("relu3", vec!["conv3"], true),
            ("relu4", vec!["flatten1", "dense1"], true),
            ("dense2", vec![], false),
        ]
    );
    for activation in &flows[0].activations {
        assert!(activation.gradient.as_ref().is_none_or(|gradient| gradient.norm > 0.0), "{activation:?}");
    }
    let units: Vec<u64> = flows[0].activations.iter().filter_map(|a| Some(a.units?.of)).collect();
    assert_eq!(units, [32, 64, 64, 64]);
}

#[test]
fn what_a_pool_hides_is_measured_as_if_nothing_were_fused() {
    let tiled = shipped::reference([28, 28, 1], 10).unwrap();
    let gradients = ["relu1", "pool1", "conv2", "conv3", "dense1", "dense2"];
    for device in crate::adapters() {
        compare(&device, &tiled, &["relu1", "pool1", "relu2", "pool2"], &gradients);
        compare(&device, &overlapping(), &["bend", "pool"], &["bend", "pool", "head"]);
    }
}

/// With windows of which each shares elements with the next.
fn overlapping() -> Network {
    let mut net = Builder::new("overlapping");
    let image = net.input("image", &[28, 28, 1]);
    let conv = net.layer("conv", Layer::Conv2d(Conv2dLayer::new(6, 3)), &[&image]);
    let bend = net.layer("bend", Layer::Sigmoid, &[&conv]);
    let pool = net.layer("pool", Layer::MaxPool2d(PoolLayer::new(3).stride(2)), &[&bend]);
    let flat = net.layer("flat", Layer::Flatten, &[&pool]);
    net.layer("head", Layer::Linear(LinearLayer::new(10)), &[&flat]);
    net.build().unwrap()
}

/// Holds what is told of these layers, and of these layers' gradients, against what is told where nothing is fused.
fn compare(device: &Device, network: &Network, layers: &[&str], told: &[&str]) {
    // The first step begins with the same weights.
    let first = |no_fuse: &[Pass]| {
        let (_, flows) = trained(device, network, 24, |config| TrainConfig { no_fuse: no_fuse.to_vec(), ..config });
        flows.into_iter().next().unwrap()
    };
    let (fused, plain) = (first(&[]), first(&Pass::ALL));
    let of = |flow: &Flow, layer: &str| flow.activations.iter().find(|told| told.layer == layer).unwrap().clone();
    let close = |got: f64, want: f64| want > 0.0 && (got - want).abs() <= 1e-5 * want;
    for &layer in layers {
        let (got, want) = (of(&fused, layer), of(&plain, layer));
        assert!(close(got.value.norm, want.value.norm), "{layer}: {got:?} and {want:?}");
        assert_eq!((got.value.elements, got.value.zeros), (want.value.elements, want.value.zeros), "{layer}");
        assert_eq!((got.units, got.saturates), (want.units, want.saturates), "{layer}");
    }
    let mut gradients = Vec::new();
    for told in &fused.activations {
        let Some(got) = &told.gradient else { continue };
        let layer = told.gradient_of.as_ref().unwrap_or(&told.layer);
        let want = of(&plain, layer).gradient.unwrap();
        assert!(close(got.norm, want.norm) && close(got.largest, want.largest), "{layer}: {got:?} and {want:?}");
        // Rows and columns that no window covers are not computed, and are zero where they are.
        assert_eq!(got.elements - got.zeros, want.elements - want.zeros, "{layer}");
        assert!(
            close(got.mean * got.elements as f64, want.mean * want.elements as f64),
            "{layer}: {got:?} and {want:?}"
        );
        gradients.push(layer.as_str());
    }
    assert_eq!(gradients, told);
}
