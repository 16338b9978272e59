//! What a step of training costs on a GPU, which this machine need not have: plans follow from a device's capabilities alone.

use wgrad::gpu::Caps;
use wgrad::graph::{Graph, Node, Pass};
use wgrad::kernels::{self, Lowered};
use wgrad::nn::shipped;
use wgrad::train::TrainConfig;
use wgrad::train::program::{self, Resident};

/// A step of a network at 64 images, without some passes.
fn step(network: &str, image: [usize; 3], without: &[Pass]) -> Graph {
    step_of(network, image, without, TrainConfig::default())
}

/// The same with clipping, as far as the configuration says so.
fn step_of(network: &str, image: [usize; 3], without: &[Pass], config: TrainConfig) -> Graph {
    let network = shipped::network(network, image, 10).unwrap();
    let data = Resident::new("train", 8000, image, u64::MAX);
    let config = TrainConfig { batch: 64, ..config };
    let graph = program::train(&network, &network.layout().unwrap(), &data, &config).unwrap();
    graph.fuse(without).unwrap().0
}

/// Dispatches of a step of ResNet-20.
const RESNET20: usize = 192;

const DIGIT: [usize; 3] = [28, 28, 1];
/// The passes that are about residual networks and batch normalisation.
const RESIDUAL: [Pass; 3] = [Pass::ResidualGradient, Pass::Statistics, Pass::Normalisation];

/// Each dispatch on such a device, with the node that it is of.
fn dispatches(graph: &Graph, caps: &Caps) -> Vec<String> {
    let of = |(node, lowered): (&Node, Lowered)| {
        let named = lowered.dispatches.iter().map(|dispatch| format!("{}: {}", node.name, dispatch.entry));
        named.collect::<Vec<_>>()
    };
    graph.nodes().iter().zip(kernels::plan(graph, caps).unwrap()).flat_map(of).collect()
}

#[test]
fn the_reference_networks_step_is_few_dispatches_on_a_gpu() {
    let default = dispatches(&step("reference", DIGIT, &[]), &Caps::DEFAULT);
    assert!(default.len() <= 14, "{} dispatches:\n{}", default.len(), default.join("\n"));
    let all = dispatches(&step("reference", DIGIT, &[]), &Caps::DESKTOP);
    assert!(all.len() <= 12, "{} dispatches:\n{}", all.len(), all.join("\n"));
    // Each pass is worth something there.
    for pass in Pass::ALL.into_iter().filter(|pass| !RESIDUAL.contains(pass) && *pass != Pass::Clipping) {
        let without = dispatches(&step("reference", DIGIT, &[pass]), &Caps::DESKTOP);
        assert!(without.len() > all.len(), "{pass:?}: {} dispatches without it, {} with it", without.len(), all.len());
    }
}

#[test]
fn clipping_costs_no_dispatch() {
    let [clip_norm, clip_value, clip_weights] = [Some(1.0), Some(0.1), Some(2.0)];
    let plain = TrainConfig::default();
    let count = |without: &[Pass], config: TrainConfig| {
        dispatches(&step_of("reference", DIGIT, without, config), &Caps::DESKTOP).len()
    };
    let least = count(&[], plain.clone());
    let configs = [
        (TrainConfig { clip_norm, ..plain.clone() }, 1),
        (TrainConfig { clip_value, ..plain.clone() }, 1),
        (TrainConfig { clip_norm, clip_weights, ..plain.clone() }, 2),
        (TrainConfig { clip_value, clip_weights, ..plain.clone() }, 2),
    ];
    for (config, clips) in configs {
        assert_eq!(count(&[], config.clone()), least, "{config:?}");
        assert_eq!(count(&[Pass::Clipping], config.clone()), least + clips, "{config:?}");
    }
    // By value first, and then by the norm of what that leaves: this stays, and so does the norm.
    let both = TrainConfig { clip_norm, clip_value, clip_weights, ..plain };
    assert_eq!(count(&[Pass::Clipping], both.clone()) - count(&[], both), 2);
}

#[test]
fn a_residual_networks_step_is_few_dispatches_on_a_gpu() {
    let step = |without: &[Pass]| step("resnet20", [32, 32, 3], without);
    let all = dispatches(&step(&[]), &Caps::DESKTOP);
    assert!(all.len() <= RESNET20, "{} dispatches:\n{}", all.len(), all.join("\n"));
    for pass in RESIDUAL {
        let without = dispatches(&step(&[pass]), &Caps::DESKTOP);
        assert!(without.len() > all.len(), "{pass:?}: {} dispatches without it, {} with it", without.len(), all.len());
    }
}
