//! What the host does: planning a step, composing and reading shaders, recording. None of it waits for a GPU.
//!
//! ```text
//! cargo bench --bench host -- --quick
//! ```
#![allow(missing_docs, reason = "criterion_group! makes a function without a doc comment")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgrad::gpu::compose::{Module, compose, files};
use wgrad::gpu::reflect::reflect;
use wgrad::gpu::{Caps, Gpu};
use wgrad::graph::{Graph, lifetimes};
use wgrad::kernels::{Problem, lower, variants};
use wgrad::nn::{Network, shipped};
use wgrad::session::gpu::GpuSession;
use wgrad::session::memory::{Need, plan};
use wgrad::session::{Device, Options};
use wgrad::train::TrainConfig;
use wgrad::train::program::{Resident, train};

const IMAGE: [usize; 3] = [28, 28, 1];
const IMAGES: usize = 60_000;

fn ok<T>(result: wgrad::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn networks() -> [Network; 2] {
    ["reference", "residual_bn"].map(|name| ok(shipped::network(name, IMAGE, 10)))
}

/// The graph of a training step: forward, backward, update.
fn step(network: &Network) -> Graph {
    let layout = ok(network.layout());
    let data = Resident::new("train", IMAGES, IMAGE, Caps::DEFAULT.max_binding_bytes);
    ok(train(network, &layout, &data, &TrainConfig::default()))
}

fn planning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("planning");
    for network in networks() {
        let graph = step(&network);
        group.throughput(Throughput::Elements(graph.nodes().len() as u64));
        group.bench_function(format!("{}/graph", network.name), |b| b.iter(|| step(black_box(&network))));
        group.bench_function(format!("{}/lower", network.name), |b| b.iter(|| lower_all(black_box(&graph))));
        group.bench_function(format!("{}/memory", network.name), |b| b.iter(|| plan_memory(black_box(&graph))));
    }
}

fn lower_all(graph: &Graph) -> usize {
    let dispatches = graph.nodes().iter().map(|node| {
        let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps: &Caps::DEFAULT };
        ok(lower(&node.op, &problem, variants(&node.op, &problem)[0])).dispatches.len()
    });
    dispatches.sum()
}

fn plan_memory(graph: &Graph) -> u64 {
    let lives = lifetimes(graph).into_iter();
    let needs: Vec<Need> = lives
        .map(|life| Need {
            bytes: graph.spec(life.value).bytes() as u64,
            first: life.first,
            last: life.last,
            watch: false,
        })
        .collect();
    plan(&needs, true).peak()
}

fn shaders(criterion: &mut Criterion) {
    let programs: Vec<Module> = files().filter(|file| !file.starts_with("shared/")).map(Module::new).collect();
    let mut group = criterion.benchmark_group("shaders");
    group.throughput(Throughput::Elements(programs.len() as u64));
    group.bench_function("compose", |b| b.iter(|| programs.iter().map(|m| ok(compose(m)).text.len()).sum::<usize>()));
    group.bench_function("compose_and_reflect", |b| {
        b.iter(|| programs.iter().map(|m| ok(reflect(&ok(compose(m)))).len()).sum::<usize>());
    });
}

/// Recording and submitting one step; the GPU's own time is waited for, but not counted.
fn recording(criterion: &mut Criterion) {
    let gpu = match Gpu::shared() {
        Ok(gpu) => gpu,
        Err(error) => return eprintln!("recording: nothing is timed ({error})"),
    };
    let mut group = criterion.benchmark_group("recording");
    for network in networks() {
        // Few images: only the work of the host is of interest.
        let config = TrainConfig { batch: 2, ..TrainConfig::default() };
        let data = Resident::new("train", 4, IMAGE, Device::Gpu(gpu.clone()).max_binding_bytes());
        let graph = ok(train(&network, &ok(network.layout()), &data, &config));
        ok(wgrad::verify::trust::certify(&Device::Gpu(gpu.clone()), std::slice::from_ref(&graph), Options::default()));
        let mut session = ok(GpuSession::new(&gpu, vec![graph], Options::default()));
        let dispatches: usize = session.plan(0).iter().map(|row| row.dispatches).sum();
        group.throughput(Throughput::Elements(dispatches as u64));
        group.bench_function(network.name, |b| {
            b.iter_custom(|steps| {
                let mut recorded = Duration::ZERO;
                for _ in 0..steps {
                    let start = Instant::now();
                    ok(session.run(0, 1, &[]));
                    recorded += start.elapsed();
                    let waited = gpu.device().poll(wgpu::PollType::wait_indefinitely());
                    waited.unwrap_or_else(|error| panic!("waiting for the GPU failed: {error}"));
                }
                recorded
            });
        });
    }
}

fn short() -> Criterion {
    let criterion = Criterion::default().sample_size(10);
    criterion.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500))
}

criterion_group! {
    name = benches;
    config = short();
    targets = planning, shaders, recording
}
criterion_main!(benches);
