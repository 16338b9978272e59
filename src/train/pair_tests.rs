//! Devices with one wrong operator: a CPU session in float32 whose graph differs in that operator from the one it is
//! judged by.

use super::*;
use crate::nn::{Layer, Network, PARAMETERS, STATISTICS, Sequential};
use crate::ops::random::random;
use crate::train::divergence::planned;
use crate::train::program::{names, train};
use crate::train::{Drift, TrainConfig};

const IMAGES: usize = 8;

struct Place {
    network: Network,
    config: TrainConfig,
    resident: Resident,
    split: Split,
}

/// A small network with a kink, a maximum and a normalisation, on random images.
fn place(activation: Layer, clip_norm: Option<f64>) -> Place {
    let network = Sequential::new("small", &[6, 6, 1])
        .conv2d(3, 3)
        .layer(Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 })
        .layer(activation)
        .max_pool2d(2)
        .flatten()
        .linear(3);
    let pixels = (0..IMAGES * 36).map(|i| random(1, 0, i as u32) as u8).collect();
    let split = Split::new(pixels, (0..IMAGES).map(|i| i as u32 % 3).collect(), [6, 6, 1]).unwrap();
    let config = TrainConfig { batch: 4, clip_norm, ..TrainConfig::default() };
    Place { network: network.build().unwrap(), config, resident: Resident::new("train", IMAGES, [6, 6, 1], 100), split }
}

impl Place {
    fn graph(&self) -> Graph {
        train(&self.network, &self.network.layout().unwrap(), &self.resident, &self.config).unwrap()
    }

    fn state(&self) -> State {
        let layout = self.network.layout().unwrap();
        let [parameters, statistics] = layout.draw(3);
        let rates = self.config.rates(2, 1, self.config.lr).into_iter().flatten().collect();
        vec![
            (PARAMETERS.into(), Tensor::float([layout.len], parameters)),
            (STATISTICS.into(), Tensor::float([layout.statistics_len], statistics)),
            (names::RATES.into(), Tensor::float([2, 4], rates)),
        ]
    }

    /// Walks through a step on a device that computes `broken` where the network is this one.
    fn walk(&self, broken: Graph, state: &State) -> Walk {
        let (graph, data) = (self.graph(), (&self.resident, &self.split));
        let mut reference = Side::reference(&graph, data).unwrap();
        let session = Session::Cpu(CpuSession::new(vec![broken], false));
        let mut other = Side::of("broken".into(), session, &graph, data).unwrap();
        reference.load(state).unwrap();
        other.load(state).unwrap();
        pollster::block_on(walk(&graph, &mut reference, &mut other, 1)).unwrap()
    }
}

#[test]
fn a_right_device_passes_and_every_output_is_looked_at() {
    let place = place(Layer::Relu, Some(0.1));
    let walk = place.walk(place.graph(), &place.state());
    assert!(walk.divergence.is_none(), "{}", walk.divergence.unwrap());
    let outputs: usize = place.graph().nodes().iter().map(|node| node.outputs.len()).sum();
    assert_eq!(walk.values, outputs);
    assert!(walk.worst.unwrap().of_allowed() <= 1.0);
}

#[test]
fn the_first_wrong_operator_is_named() {
    let right = place(Layer::Relu, Some(0.1));
    let wrong = place(Layer::LeakyRelu { slope: 0.5 }, Some(0.1));
    let mut found = right.walk(wrong.graph(), &right.state()).divergence.unwrap();
    assert_eq!((found.node.as_str(), found.operator.as_str(), found.direction), ("relu1", "relu", "forward"));
    assert_eq!((found.cause, found.variant.as_str(), found.axes), (Cause::Kernel, "reference", "(n, h, w, c)"));
    assert_eq!((found.shape.as_slice(), found.step), ([4, 4, 4, 3].as_slice(), 1));
    let element = &found.difference.first[0];
    assert!(element.got < 0.0 && element.want == 0.0 && element.index.len() == 4, "{element:?}");
    let story = found.to_string();
    for said in ["relu1 (relu) diverges on broken", "expected 0e0", "more", "[4, 4, 4, 3], axes (n, h, w, c)"] {
        assert!(story.contains(said), "`{said}` is missing: {story}");
    }
    found.difference.relative_l2 = f64::INFINITY;
    assert_eq!(found.json()["relative_l2"], "inf");
}

#[test]
fn an_operator_that_updates_in_place_is_named_though_another_one_overwrites_its_output() {
    // Clipping writes where the gradients were, and the optimiser's weights follow from that.
    let (right, mut wrong) = (place(Layer::Relu, Some(0.01)), place(Layer::Relu, Some(0.02)));
    let found = right.walk(wrong.graph(), &right.state()).divergence.unwrap();
    assert_eq!((found.node.as_str(), found.direction), ("clip_norm", "update"));
    wrong.config = TrainConfig { lr: 0.1, clip_norm: Some(0.01), ..wrong.config };
    // A table of rates is data, not an operator: with the same table nothing is wrong.
    assert!(right.walk(wrong.graph(), &right.state()).divergence.is_none());
}

#[test]
fn a_gradient_that_cancels_is_no_divergence() {
    // The bias before a normalisation has a gradient of zero: what is computed is rounding alone.
    let place = place(Layer::Relu, None);
    let walk = place.walk(place.graph(), &place.state());
    assert!(walk.divergence.is_none(), "{}", walk.divergence.unwrap());
    let drift: Drift = walk.drift.unwrap();
    assert!(walk.inherited > 0 && drift.relative_l2 > 1e-3, "{drift:?}");
}

#[test]
fn numbers_that_no_float32_holds_are_told_from_wrong_kernels() {
    let place = place(Layer::Relu, None);
    let mut state = place.state();
    let Elements::Float(parameters) = &mut state[0].1.elements else { panic!() };
    parameters[0] = 3e38;
    let found = place.walk(place.graph(), &state).divergence.unwrap();
    assert_eq!(found.cause, Cause::NotFinite, "{found}");
    let Elements::Float(parameters) = &mut state[0].1.elements else { panic!() };
    parameters[0] = f32::NAN;
    let found = place.walk(place.graph(), &state).divergence.unwrap();
    assert_eq!((found.cause, found.node.as_str()), (Cause::NotFinite, "conv1"), "{found}");
}

#[test]
fn a_plan_that_leaves_something_else_behind_is_named_with_the_parameter() {
    let place = place(Layer::Relu, None);
    let (layout, state) = (place.network.layout().unwrap(), place.state());
    let device = Device::Cpu("a test".into());
    let same = planned(&device, &layout, &state, &state, 1);
    assert!(same.same_bits && same.divergence.is_none());
    let mut other = state.clone();
    let at = layout.find("dense1.weight").unwrap().offset + 1;
    let Elements::Float(parameters) = &mut other[0].1.elements else { panic!() };
    parameters[at] += 1.0;
    let found = planned(&device, &layout, &other, &state, 1);
    let divergence = found.divergence.unwrap();
    assert!(!found.same_bits && divergence.cause == Cause::Plan);
    assert_eq!(divergence.difference.first[0].index, [0, 1]);
    let story = divergence.to_string();
    assert!(story.contains("the memory plan or the schedule, seen in parameters of dense1.weight"), "{story}");
}

#[test]
fn a_place_names_a_number_in_its_window_alone() {
    let pool = Pool2d { kernel: [2, 2], stride: [2, 2], padding: [0; 4], ceil_mode: false };
    let image = Tensor::float([1, 2, 4, 2], (0..16).map(f64::from).collect());
    let at = |places: [u32; 4]| named(&pool, &image, &Tensor::u32([1, 1, 2, 2], places.to_vec()));
    assert_eq!(at([5, 0, 2, 7]), Some(vec![10.0, 1.0, 4.0, 15.0]));
    // In the other window, and below the image.
    assert_eq!(at([2, 0, 2, 7]), None);
    assert_eq!(at([8, 0, 2, 7]), None);
}
