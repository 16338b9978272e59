//! What explains an answer: gradients with respect to the image and to a layer's output, and the maps that are made of them.

use wgrad::nn::{Conv2dLayer, Layer, Network, PARAMETERS, STATISTICS, Sequential, shipped};
use wgrad::ops::random::random;
use wgrad::session::Device;
use wgrad::session::cpu::CpuSession;
use wgrad::tensor::Tensor;
use wgrad::train::explain::{self, Explainer, Map, Options, find, names};
use wgrad::train::{TrainConfig, Trainer};

/// Smooth, with running statistics, for images of 9×9×2 and three classes.
fn smooth() -> Network {
    Sequential::new("smooth", &[9, 9, 2])
        .layer(Layer::Conv2d(Conv2dLayer::new(5, 3).stride(2).no_bias()))
        .layer(Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 })
        .layer(Layer::Gelu)
        .layer(Layer::Dropout { rate: 0.5 })
        .flatten()
        .linear(7)
        .layer(Layer::Tanh)
        .linear(3)
        .build()
        .unwrap()
}

/// Weights as they begin, and running statistics that are no identity.
fn state(network: &Network, seed: u64) -> [Vec<f32>; 2] {
    let layout = network.layout().unwrap();
    let [parameters, mut statistics] = layout.draw(seed);
    for placed in &layout.statistics {
        let [least, step] = if placed.parameter.name.ends_with("running_var") { [0.5, 0.1] } else { [-0.04, 0.02] };
        for (i, value) in statistics[placed.offset..placed.offset + placed.parameter.len()].iter_mut().enumerate() {
            *value = least + step * (i % 5) as f32;
        }
    }
    [parameters, statistics]
}

fn picture(len: usize, seed: u32) -> Vec<u8> {
    (0..len).map(|i| random(seed, 7, i as u32) as u8).collect()
}

/// The graph of explanations in float64, for images that all ask for one class.
struct Wide {
    session: CpuSession<f64>,
    shape: [usize; 4],
}

impl Wide {
    fn new(network: &Network, state: &[Vec<f32>; 2], layer: &str, rows: usize, class: usize) -> Self {
        let layout = network.layout().unwrap();
        let layer = find(network, Some(layer)).unwrap().index;
        let graph = explain::graph(network, &layout, layer, rows).unwrap();
        let mut session = CpuSession::new(vec![graph], true);
        for (name, values) in [PARAMETERS, STATISTICS].into_iter().zip(state) {
            let mut values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            values.resize(values.len().max(1), 0.0);
            session.write(name, &Tensor::float([values.len()], values)).unwrap();
        }
        let classes = session.read(names::UPSTREAM).unwrap().shape[1];
        let pick = (0..rows * classes).map(|at| f64::from(u8::from(at % classes == class))).collect();
        session.write(names::UPSTREAM, &Tensor::float([rows, classes], pick)).unwrap();
        let shape = <[usize; 4]>::try_from(session.read(names::IMAGES).unwrap().shape.clone()).unwrap();
        Self { session, shape }
    }

    fn run(&mut self, images: Vec<f64>, read: &str) -> Vec<f64> {
        self.session.write(names::IMAGES, &Tensor::float(self.shape, images)).unwrap();
        self.session.run(0, 1, &[read]).unwrap()[0].floats().to_vec()
    }
}

#[test]
fn the_gradient_of_a_score_is_that_of_finite_differences() {
    let (network, class) = (smooth(), 1);
    let mut wide = Wide::new(&network, &state(&network, 3), "gelu1", 2, class);
    let images: Vec<f64> = picture(2 * 9 * 9 * 2, 1).into_iter().map(|byte| f64::from(byte) / 255.0).collect();
    let gradients = wide.run(images.clone(), names::IMAGE_GRADIENTS);
    let mut score = |at: usize, step: f64| {
        let mut moved = images.clone();
        moved[at] += step;
        wide.run(moved, names::SCORES)[at / (9 * 9 * 2) * 3 + class]
    };
    let largest = gradients.iter().fold(0.0f64, |most, g| g.abs().max(most));
    assert!(largest > 1e-3);
    for at in (0..gradients.len()).step_by(5) {
        let difference = (score(at, 1e-5) - score(at, -1e-5)) / 2e-5;
        assert!((difference - gradients[at]).abs() < 1e-8 * largest.max(1.0), "{at}: {difference} {}", gradients[at]);
    }
}

#[test]
fn behind_a_mean_over_space_the_gradient_of_a_channel_is_its_weight() {
    let network = Sequential::new("mean", &[6, 5, 1]).conv2d(4, 3).relu().layer(Layer::GlobalAvgPool2d).linear(3);
    let (network, class) = (network.build().unwrap(), 2);
    let state = state(&network, 5);
    let mut wide = Wide::new(&network, &state, "relu1", 1, class);
    let images = picture(30, 2).into_iter().map(|byte| f64::from(byte) / 255.0).collect();
    let gradient = wide.run(images, names::ACTIVATION_GRADIENT);
    let layout = network.layout().unwrap();
    let weight = &state[0][layout.find("dense1.weight").unwrap().offset..][class * 4..][..4];
    for (i, g) in gradient.iter().enumerate() {
        assert!((g - f64::from(weight[i % 4]) / 12.0).abs() < 1e-15, "{i}");
    }
}

fn devices() -> Vec<Device> {
    crate::adapter().into_iter().chain([crate::cpu()]).collect()
}

fn distance(got: &Map, want: &[f64]) -> f64 {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    length(&mut got.values.iter().zip(want).map(|(got, want)| got - want)) / length(&mut want.iter().copied())
}

#[test]
fn maps_on_a_device_are_those_of_the_float64_reference() {
    let residual = shipped::residual_bn([14, 14, 1], 4).unwrap();
    for (network, layer, image, classes) in
        [(residual, "block2_relu2", [14, 14, 1], 4), (smooth(), "gelu1", [9, 9, 2], 3)]
    {
        // More steps than go into one batch.
        let (state, class, steps) = (state(&network, 11), 2, 70);
        let picture = picture(image.iter().product(), 3);
        let x: Vec<f64> = picture.iter().map(|&byte| f64::from(f32::from(byte) / 255.0)).collect();
        let start = 0.25;
        let mut wide = Wide::new(&network, &state, layer, 1, class);
        let gradient = wide.run(x.clone(), names::IMAGE_GRADIENTS);
        let channels = image[2];
        let saliency: Vec<f64> =
            gradient.chunks(channels).map(|pixel| pixel.iter().fold(0.0f64, |most, g| g.abs().max(most))).collect();
        let mut attributions = vec![0.0; image[0] * image[1]];
        for step in 0..steps {
            let share = (step as f64 + 0.5) / steps as f64;
            let point: Vec<f64> = x.iter().map(|x| start + share * (x - start)).collect();
            for (i, g) in wide.run(point, names::IMAGE_GRADIENTS).into_iter().enumerate() {
                attributions[i / channels] += (x[i] - start) * g / steps as f64;
            }
        }
        for device in devices() {
            let options = Options { layer: Some(layer.into()), steps, baseline: start as f32 };
            let mut explainer = Explainer::new(&device, &network, (image, classes), &options, &state).unwrap();
            let found = pollster::block_on(explainer.run(&picture, class)).unwrap();
            let off = [distance(&found.saliency, &saliency), distance(&found.attributions, &attributions)];
            assert!(off.iter().all(|off| *off < 1e-4), "{} on {}: {off:?}", network.name, device.name());
        }
    }
}

#[test]
fn integrated_gradients_add_up_to_what_the_score_rises_by() {
    let (network, picture) = (smooth(), picture(9 * 9 * 2, 4));
    let state = state(&network, 8);
    let mut gaps = Vec::new();
    for steps in [4, 16, 64] {
        let options = Options { steps, ..Options::default() };
        let mut explainer = Explainer::new(&crate::cpu(), &network, ([9, 9, 2], 3), &options, &state).unwrap();
        let found = pollster::block_on(explainer.run(&picture, 0)).unwrap();
        gaps.push(found.gap().abs() / (found.score - found.baseline_score).abs());
    }
    // Midpoints: a quarter of the step, a sixteenth of the gap.
    assert!(gaps[0] > 8.0 * gaps[1] && gaps[1] > 8.0 * gaps[2] && gaps[2] < 1e-4, "{gaps:?}");
}

#[test]
fn with_random_weights_the_maps_are_others() {
    let data = crate::digits(1024, 12);
    let network = shipped::reference([28, 28, 1], 10).unwrap();
    let device = crate::adapter().unwrap_or_else(crate::cpu);
    let config = TrainConfig { epochs: 2, batch: 32, ..TrainConfig::default() };
    let mut trainer = Trainer::new(&device, &network, &data, &config).unwrap();
    pollster::block_on(trainer.fit(|_| {})).unwrap();
    let trained = pollster::block_on(trainer.state()).unwrap();

    let options = Options { steps: 16, ..Options::default() };
    let mut explainer = Explainer::new(&device, &network, ([28, 28, 1], 10), &options, &trained).unwrap();
    let mut maps = |state: &[Vec<f32>; 2]| -> Vec<[Map; 3]> {
        explainer.set_state(state).unwrap();
        let each = (0..data.test.len()).map(|image| {
            let class = data.test.labels[image] as usize;
            let found = pollster::block_on(explainer.run(data.test.image(image), class)).unwrap();
            [found.grad_cam, found.saliency, found.attributions]
        });
        each.collect()
    };
    let own = maps(&trained);
    assert_eq!(own, maps(&trained), "the same question twice");
    let random = maps(&network.layout().unwrap().draw(1));
    // Where the picture is blank, random weights see nothing either: what they make of its ink is compared.
    let inked = |map: &Map, image: usize| -> Map {
        let bytes = data.test.image(image).iter();
        let values: Vec<f64> = bytes.zip(&map.values).filter(|(byte, _)| **byte > 0).map(|(_, value)| *value).collect();
        Map { size: [1, values.len()], values }
    };
    for (kind, name) in ["Grad-CAM", "saliency", "integrated gradients"].into_iter().enumerate() {
        let alike = |image: usize| {
            let [own, random] = [&own[image][kind], &random[image][kind]].map(|map| map.resized([28, 28]));
            inked(&own, image).rank_correlation(&inked(&random, image))
        };
        let alike: Vec<f64> = (0..own.len()).filter_map(alike).collect();
        let mean = alike.iter().sum::<f64>() / alike.len().max(1) as f64;
        assert!(alike.len() > 6 && mean.abs() < 0.4, "{name}: {mean} of {alike:?}");
    }
}
