//! What training promises: gradients of whole graphs, reuse of memory, the same bits twice, nothing allocated or uploaded
//! on the way, and a clear end when numbers leave the finite.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../common/adapter.rs"]
mod adapter;
mod experiment;
mod explain;
mod fitting;
mod flow;
mod graphs;
mod lockstep;
mod memory;
mod micro_batches;
mod profile;
mod proofs;
mod recipes;
mod steady;

use wgrad::data::{Dataset, Split};
use wgrad::session::Device;

/// The adapter as a device, see `tests/common/adapter.rs`.
fn adapter() -> Option<Device> {
    adapter::adapter().map(Device::Gpu)
}

/// The adapter, with its own plans and, where it computes on a processor, with those of a GPU.
fn adapters() -> Vec<Device> {
    let Some(gpu) = adapter::adapter() else { return Vec::new() };
    let as_gpu = gpu.caps().cpu.then(|| gpu.as_gpu());
    [gpu].into_iter().chain(as_gpu).map(Device::Gpu).collect()
}

fn cpu() -> Device {
    Device::Cpu("a test".into())
}

/// The first images of the built-in data.
fn digits(train: usize, test: usize) -> Dataset {
    let mut data = wgrad::data::load("builtin", &Default::default()).unwrap();
    data.train.truncate(train);
    data.test.truncate(test);
    data
}

/// Random images of any shape.
fn noise(count: usize, shape: [usize; 3], classes: u32) -> Dataset {
    let split = |seed: u32| {
        let random = |i: usize| wgrad::ops::random::random(seed, 0, i as u32);
        let pixels = count * shape.iter().product::<usize>();
        let labels = (0..count).map(|i| random(i + pixels) % classes).collect();
        Split::new((0..pixels).map(|i| random(i) as u8).collect(), labels, shape).unwrap()
    };
    Dataset::new("noise", split(1), split(2), (0..classes).map(|class| class.to_string()).collect()).unwrap()
}
mod plan;
