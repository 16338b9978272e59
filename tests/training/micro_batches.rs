//! A batch that is computed in parts trains as the whole batch does.

use wgrad::Error;
use wgrad::data::Dataset;
use wgrad::gpu::{BackendChoice, Gpu, Policy, Trust};
use wgrad::nn::{Conv2dLayer, Layer, Network, Sequential};
use wgrad::session::Device;
use wgrad::train::flow::{Measured, ParameterFlow, Watch};
use wgrad::train::{Event, Flow, Lockstep, OptimizerConfig, StepFigures, TrainConfig, Trainer};

/// Draws by the place in the batch, and has nothing that depends on the other images of it.
fn network(norm: Option<Layer>) -> Network {
    let mut net = Sequential::new("small", &[28, 28, 1]).layer(Layer::Conv2d(Conv2dLayer::new(8, 3).stride(2)));
    if let Some(norm) = norm {
        net = net.layer(norm);
    }
    net.relu().max_pool2d(2).layer(Layer::Dropout { rate: 0.3 }).flatten().linear(10).build().unwrap()
}

fn config(micro_batch: Option<usize>) -> TrainConfig {
    TrainConfig {
        epochs: 1,
        batch: 32,
        micro_batch,
        lr: 0.05,
        optimizer: OptimizerConfig::named("momentum").unwrap(),
        clip_norm: Some(2.0),
        watch: Watch { every: 1, ..Watch::default() },
        ..TrainConfig::default()
    }
}

/// What a run leaves and tells.
struct Trained {
    weights: Vec<f32>,
    steps: Vec<StepFigures>,
    flows: Vec<Flow>,
    micro_batch: Option<usize>,
}

fn train(device: &Device, network: &Network, data: &Dataset, config: &TrainConfig) -> Trained {
    let mut trainer = Trainer::new(device, network, data, config).unwrap();
    let (mut steps, mut flows) = (Vec::new(), Vec::new());
    let observe = |event| match event {
        Event::Progress(progress) => steps.extend(progress.recent),
        Event::Flow(flow) => flows.push(*flow),
        _ => {}
    };
    pollster::block_on(trainer.fit(observe)).unwrap();
    let [weights, _] = pollster::block_on(trainer.state()).unwrap();
    Trained { weights, steps, flows, micro_batch: trainer.config().micro_batch }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * a.abs().max(b.abs()).max(1e-6)
}

#[test]
fn a_run_in_micro_batches_is_the_run_of_the_whole_batch() {
    let (data, network) = (crate::digits(160, 20), network(None));
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        let whole = train(&device, &network, &data, &config(None));
        // 32 images come out even in the first case; in the second the parts have 6 or 7.
        for most in [8, 7] {
            let parts = train(&device, &network, &data, &config(Some(most)));
            assert_eq!((whole.micro_batch, parts.micro_batch), (None, Some(most)));
            let off = whole.weights.iter().zip(&parts.weights).map(|(a, b)| f64::from((a - b).abs()));
            assert!(off.fold(0.0, f64::max) < 1e-5, "weights differ after five steps");
            assert!(parts.weights != whole.weights, "the sums are not in another order");
            for (a, b) in whole.steps.iter().zip(&parts.steps) {
                assert!(close(a.loss, b.loss) && close(a.gradient_norm, b.gradient_norm), "{a:?} and {b:?}");
                assert_eq!(a.accuracy, b.accuracy);
            }
            assert_eq!((whole.steps.len(), parts.steps.len(), parts.flows.len()), (5, 5, 5));
            let same = |a: &Measured, b: &Measured| close(a.norm, b.norm) && a.zeros == b.zeros;
            // Later steps begin from weights that differ in their last digits.
            let (a, b) = (&whole.flows[0], &parts.flows[0]);
            for (a, b) in a.parameters.iter().zip(&b.parameters) {
                let norms = |of: &ParameterFlow| [of.gradient.norm, of.update.norm];
                let mut pairs = norms(a).into_iter().zip(norms(b));
                assert!(pairs.all(|(a, b)| close(a, b)), "{a:?} and {b:?}");
            }
            assert_eq!(a.activations.len(), b.activations.len());
            for (a, b) in a.activations.iter().zip(&b.activations) {
                assert!(same(&a.value, &b.value) && a.units == b.units, "{a:?} and {b:?}");
                let gradients = a.gradient.as_ref().zip(b.gradient.as_ref());
                assert!(gradients.is_none_or(|(a, b)| same(a, b)), "{a:?} and {b:?}");
            }
        }
    }
}

/// An adapter that binds this much.
fn small(most: u64) -> Option<Device> {
    let Device::Gpu(gpu) = crate::adapter()? else { return None };
    let index = gpu.adapter().index.to_string();
    let gpu = pollster::block_on(Gpu::open_within(&index, BackendChoice::Auto, most)).unwrap();
    // So small that not all quick cases fit.
    gpu.set_trust(Trust { policy: Policy::Baseline, checked: true });
    Some(Device::Gpu(gpu))
}

#[test]
fn a_device_of_small_bindings_splits_the_batch_by_itself() {
    let Some(device) = small(64 << 10) else { return };
    let (data, network) = (crate::digits(160, 20), network(None));
    let config = config(None);
    let whole = train(&crate::cpu(), &network, &data, &config);
    let parts = train(&device, &network, &data, &config);
    // The convolution's output takes 13 · 13 · 8 · 4 bytes an image, and 12 of them fit: three parts of at most 11.
    assert_eq!((whole.micro_batch, parts.micro_batch), (None, Some(11)));
    let off = whole.weights.iter().zip(&parts.weights).map(|(a, b)| f64::from((a - b).abs()));
    assert!(off.fold(0.0, f64::max) < 1e-4, "the device trains another network");
}

#[test]
fn an_image_that_does_not_fit_a_device_is_told() {
    let Some(device) = small(4 << 10) else { return };
    let error = Trainer::new(&device, &network(None), &crate::digits(64, 20), &config(None)).err().unwrap();
    let Error::Device(text) = &error else { panic!("{error}") };
    assert!(
        text.contains("not even in one image at a time") && text.ends_with("use smaller images or layers"),
        "{text}"
    );
}

#[test]
fn less_is_kept_in_memory() {
    let (data, network) = (crate::digits(160, 20), network(None));
    let Some(device) = crate::adapter() else { return };
    let plain = |micro_batch| TrainConfig { watch: Watch::off(), ..config(micro_batch) };
    let bytes = |micro_batch| Trainer::new(&device, &network, &data, &plain(micro_batch)).unwrap().bytes();
    let (whole, parts) = (bytes(None), bytes(Some(8)));
    assert!(parts < whole, "{parts} and {whole}");
}

#[test]
fn micro_batches_agree_with_the_float64_reference_value_by_value() {
    let Some(device) = crate::adapter() else { return };
    let network = network(Some(Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 }));
    let config = TrainConfig { batch: 20, ..config(Some(7)) };
    let data = crate::digits(60, 8);
    let mut lockstep = Lockstep::new([&crate::cpu(), &device], &network, &data, &config, None, false).unwrap();
    for _ in 0..4 {
        let report = pollster::block_on(lockstep.step()).unwrap();
        assert!(report.divergence.is_none(), "{}", report.divergence.unwrap());
        assert!(report.same_bits, "the plan that shares memory leaves other bits behind");
    }
}
