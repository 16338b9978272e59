//! Slots are really reused.

use wgrad::graph::{Graph, lifetimes};
use wgrad::nn::{Builder, Conv2dLayer, Layer, LinearLayer, Network};
use wgrad::ops;
use wgrad::session::memory::{Need, plan};
use wgrad::session::{Options, Session};
use wgrad::tensor::{Spec, Tensor};
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
        watch: false,
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

#[test]
fn what_is_copied_for_those_who_watch_serves_nobody_else() {
    let Some(device) = crate::adapter() else { return };
    let mut g = Graph::new();
    let x = g.persistent("x", Spec::f32([4, 16, 16, 32]));
    let w = g.persistent("w", Spec::f32([3, 3, 32, 32]));
    let conv = ops::Conv2d { stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 };
    g.apply1("first", ops::Copy, &[x]).unwrap();
    let y = g.apply1("y", conv, &[x, w]).unwrap();
    let kept = g.persistent("kept", g.spec(y).clone());
    g.place(y, kept, 0).unwrap();
    // The same operands, which a device that reads them from textures has copied for whoever comes first.
    g.watch(0, "again", conv, &[x, w]).unwrap();
    let mut session = Session::new(&device, vec![g], Options::default()).unwrap();
    let mut result = |value: f32, watched: bool| {
        session.write("x", &Tensor::float([4, 16, 16, 32], vec![value; 4 * 16 * 16 * 32])).unwrap();
        session.write("w", &Tensor::float([3, 3, 32, 32], vec![0.5; 3 * 3 * 32 * 32])).unwrap();
        let reading = match watched {
            true => session.run_watched(0, 1, &["kept"]),
            false => session.run(0, 1, &["kept"]),
        };
        let read = pollster::block_on(reading.unwrap().wait()).unwrap();
        read[0].floats()[0]
    };
    assert_eq!([result(1.0, false), result(2.0, true), result(4.0, false)], [144.0, 288.0, 576.0]);
}
