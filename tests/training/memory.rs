//! Slots are really reused.

use wgrad::graph::{Graph, lifetimes};
use wgrad::nn::{Builder, Conv2dLayer, Layer, LinearLayer, Network};
use wgrad::session::memory::{Need, plan};
use wgrad::session::{Options, Session};
use wgrad::train::TrainConfig;
use wgrad::train::program::{Resident, train};

/// Twenty convolutions with batch normalisation, in blocks of two with a connection around each.
fn residual20() -> Network {
    let mut net = Builder::new("residual20");
    let conv = || Layer::Conv2d(Conv2dLayer::new(16, 3).padding(1).no_bias());
    let norm = Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 };
    let image = net.input("image", &[16, 16, 3]);
    let mut x = net.layer("stem", conv(), &[&image]);
    for block in 0..10 {
        let mut y = x.clone();
        for half in 0..2 {
            let conv = net.layer(&format!("conv{block}_{half}"), conv(), &[&y]);
            y = net.layer(&format!("bn{block}_{half}"), norm, &[&conv]);
            if half == 0 {
                y = net.layer(&format!("relu{block}_{half}"), Layer::Relu, &[&y]);
            }
        }
        let sum = net.layer(&format!("add{block}"), Layer::Add, &[&y, &x]);
        x = net.layer(&format!("relu{block}"), Layer::Relu, &[&sum]);
    }
    let pool = net.layer("pool", Layer::GlobalAvgPool2d, &[&x]);
    net.layer("head", Layer::Linear(LinearLayer::new(10)), &[&pool]);
    net.build().unwrap()
}

fn graph() -> Graph {
    let network = residual20();
    let data = Resident::new("train", 32, [16, 16, 3], u64::MAX);
    let config = TrainConfig { batch: 8, ..TrainConfig::default() };
    train(&network, &network.layout().unwrap(), &data, &config).unwrap()
}

#[test]
fn a_residual_network_needs_at_most_60_percent_of_its_values() {
    let graph = graph();
    let need = |life: &wgrad::graph::Lifetime| Need {
        bytes: graph.spec(life.value).bytes() as u64,
        first: life.first,
        last: life.last,
    };
    let needs: Vec<Need> = lifetimes(&graph).iter().map(need).collect();
    let all: u64 = needs.iter().map(|need| need.bytes).sum();
    let peak = plan(&needs, true).peak();
    println!("planned peak {peak} of {all} bytes: {:.1} %", 100.0 * peak as f64 / all as f64);
    assert!(peak * 100 <= all * 60, "{peak} of {all}");
    // No plan can need less than what lives at one time.
    let live = |at: usize| needs.iter().filter(|n| n.first <= at && at <= n.last).map(|n| n.bytes).sum::<u64>();
    assert!(peak >= (0..graph.nodes().len()).map(live).max().unwrap());
}

#[test]
fn a_session_allocates_what_its_plan_says() {
    let Some(device) = crate::adapter() else { return };
    let bytes = |reuse| Session::new(&device, vec![graph()], Options { reuse, ..Options::default() }).unwrap().bytes();
    let (shared, separate) = (bytes(true), bytes(false));
    println!("{shared} bytes with reuse, {separate} without");
    assert!(shared * 100 <= separate * 60, "{shared} of {separate}");
}
