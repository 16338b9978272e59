//! After the first submission nothing is allocated and nothing uploaded, and one submission serves several steps.

use wgrad::nn::shipped;
use wgrad::session::{Device, Options, Session};
use wgrad::tensor::Tensor;
use wgrad::train::TrainConfig;
use wgrad::train::program::{Resident, names, train};

/// What exists on the device just now; an upload shows as a staging buffer until its submission is done.
fn existing(device: &Device) -> [isize; 6] {
    let Device::Gpu(gpu) = device else { panic!("not a GPU") };
    let hal = gpu.device().get_internal_counters().hal;
    let counters = [
        hal.buffers,
        hal.buffer_memory,
        hal.memory_allocations,
        hal.bind_groups,
        hal.compute_pipelines,
        hal.shader_modules,
    ];
    counters.map(|counter| counter.read())
}

#[test]
fn steps_allocate_nothing_and_upload_nothing() {
    // A device of its own: other tests allocate on the shared one.
    let device = match pollster::block_on(Device::open("auto", Default::default())).unwrap() {
        Device::Gpu(gpu) => Device::Gpu(gpu),
        Device::Cpu(_) => return drop(crate::adapter()),
    };
    let data = crate::digits(256, 10);
    let network = shipped::reference(data.train.shape, 10).unwrap();
    let layout = network.layout().unwrap();
    let resident = Resident::new("train", 256, data.train.shape, device.max_binding_bytes());
    let config = TrainConfig { batch: 16, ..TrainConfig::default() };
    let graph = train(&network, &layout, &resident, &config).unwrap();
    let mut session = Session::new(&device, vec![graph], Options::default()).unwrap();
    let read = [names::CONTROL, names::LOSSES];
    // The first step, waited for, so that everything of the start is done with.
    let first = session.run(0, 1, &read).unwrap();
    pollster::block_on(first.wait()).unwrap();
    let before = existing(&device);
    let mut flight = Vec::new();
    for _ in 0..6 {
        flight.push(session.run(0, 4, &read).unwrap());
        assert_eq!(existing(&device), before, "something was allocated or uploaded beside the steps");
        if flight.len() == 2 {
            let steps = pollster::block_on(flight.remove(0).wait()).unwrap();
            assert_eq!(steps[0].u32s()[0] % 4, 1, "one submission is four steps");
        }
    }
    while let Some(reading) = flight.pop() {
        pollster::block_on(reading.wait()).unwrap();
    }
    assert_eq!(existing(&device), before);
    // The counters do see an upload.
    session.write(names::LOSSES, &Tensor::float([16], vec![0.0; 16])).unwrap();
    assert_ne!(existing(&device), before);
}
