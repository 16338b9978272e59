//! What a step of training costs on a GPU, which this machine need not have: plans follow from a device's capabilities alone.

use std::collections::{BTreeSet, HashMap, HashSet};

use wgrad::gpu::{Caps, Module};
use wgrad::graph::{Graph, Node, Pass};
use wgrad::kernels::{self, Lowered};
use wgrad::nn::shipped;
use wgrad::ops::Operator;
use wgrad::train::TrainConfig;
use wgrad::train::program::{self, Resident};
use wgrad::verify::case::Depth;
use wgrad::verify::export::DEVICES;
use wgrad::verify::sweep::cases;

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

/// Networks with images that they are usual for.
const NETWORKS: [(&str, [usize; 3]); 4] =
    [("reference", DIGIT), ("vgg", [32, 32, 3]), ("resnet20", [32, 32, 3]), ("resnet18", [32, 32, 3])];

/// On GPUs every program of a plan is in quick cases of the very kernel that runs it, so that it is proven first and runs without
/// checks. On processors, where programs are specialised to the sizes of a layer, the standard sweep asks each.
#[test]
fn programs_of_plans_are_among_the_cases_of_the_sweep() {
    let mut missing = BTreeSet::new();
    for (device, caps) in &DEVICES {
        let depth = if caps.cpu { Depth::Standard } else { Depth::Quick };
        let mut asked: HashMap<(&str, &str), HashSet<Module>> = HashMap::new();
        for case in cases(Depth::Standard, caps).iter().filter(|case| case.depth <= depth) {
            for variant in kernels::known(&case.op).iter().filter(|variant| case.asks(variant.name)) {
                let lowered = case.lowered(variant.name, caps).unwrap();
                let dispatches = lowered.into_iter().flat_map(|lowered| lowered.dispatches);
                let of_kernel = asked.entry((case.op.name(), variant.name)).or_default();
                of_kernel.extend(dispatches.map(|dispatch| dispatch.module));
            }
        }
        let without: Vec<_> = Pass::ALL.into_iter().filter(|pass| caps.cpu && !pass.serves_processors()).collect();
        for (network, image) in NETWORKS {
            let graph = step(network, image, &without);
            for (node, lowered) in graph.nodes().iter().zip(kernels::plan(&graph, caps).unwrap()) {
                let (name, variant) = (node.op.name(), lowered.variant);
                let known = &asked[&(name, variant)];
                let left = lowered.dispatches.into_iter().filter(|dispatch| !known.contains(&dispatch.module));
                missing.extend(left.map(|it| format!("{device}: {name} {variant} of {network}: {:?}", it.module)));
            }
        }
    }
    let listed = missing.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(missing.is_empty(), "{} are in no such case:\n{listed}", missing.len());
}
