//! The trainer from the outside.

use std::sync::atomic::Ordering;

use wgrad::Error;
use wgrad::nn::{Conv2dLayer, Layer, Network, Sequential, shipped};
use wgrad::session::Device;
use wgrad::train::{Ending, Event, OptimizerConfig, Schedule, TrainConfig, Trainer};

fn fit(device: &Device, network: &Network, data: &wgrad::data::Dataset, config: &TrainConfig) -> (Trainer, Vec<Event>) {
    let mut trainer = Trainer::new(device, network, data, config).unwrap();
    let mut events = Vec::new();
    pollster::block_on(trainer.fit(|event| events.push(event))).unwrap();
    (trainer, events)
}

fn bits(trainer: &mut Trainer) -> Vec<u32> {
    let state = pollster::block_on(trainer.state()).unwrap();
    state.iter().flatten().map(|x| x.to_bits()).collect()
}

/// Small and with everything in it that could differ from run to run.
fn small(image: [usize; 3], classes: usize) -> Network {
    Sequential::new("small", &image)
        .layer(Layer::Conv2d(Conv2dLayer::new(8, 3).stride(2).no_bias()))
        .layer(Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 })
        .relu()
        .max_pool2d(2)
        .layer(Layer::Dropout { rate: 0.2 })
        .flatten()
        .linear(classes)
        .build()
        .unwrap()
}

fn the_same_seed_gives_the_same_bits(device: &Device) {
    let data = crate::digits(512, 100);
    for network in [shipped::reference([28, 28, 1], 10).unwrap(), small([28, 28, 1], 10)] {
        let config = TrainConfig { epochs: 1, batch: 32, ..TrainConfig::default() };
        let first = bits(&mut fit(device, &network, &data, &config).0);
        assert_eq!(first, bits(&mut fit(device, &network, &data, &config).0), "{}", network.name);
        let other = TrainConfig { seed: 1, ..config };
        assert_ne!(first, bits(&mut fit(device, &network, &data, &other).0));
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_the_gpu() {
    let Some(device) = crate::adapter() else { return };
    the_same_seed_gives_the_same_bits(&device);
}

#[test]
fn both_sessions_learn_the_same() {
    let Some(gpu) = crate::adapter() else { return };
    let data = crate::digits(640, 200);
    let network = small([28, 28, 1], 10);
    let config = TrainConfig { epochs: 2, batch: 32, clip_norm: Some(1.0), ..TrainConfig::default() };
    let epochs = |device: &Device| {
        let (_, events) = fit(device, &network, &data, &config);
        let reports = events.into_iter().filter_map(|event| match event {
            Event::Epoch(report) => Some((report.loss, report.validation.loss)),
            _ => None,
        });
        reports.collect::<Vec<_>>()
    };
    let (on_gpu, on_cpu) = (epochs(&gpu), epochs(&crate::cpu()));
    for (a, b) in on_gpu.iter().zip(&on_cpu) {
        assert!((a.0 - b.0).abs() < 1e-3 && (a.1 - b.1).abs() < 5e-3, "{on_gpu:?} and {on_cpu:?}");
    }
    assert!(on_gpu[1].0 < on_gpu[0].0, "nothing was learnt: {on_gpu:?}");
}

fn a_run_that_diverges_keeps_its_last_good_state(device: &Device) {
    let data = crate::noise(64, [8, 8, 1], 3);
    let network = Sequential::new("tiny", &[8, 8, 1]).conv2d(4, 3).relu().flatten().linear(3).build().unwrap();
    let optimizer = OptimizerConfig::named("sgd").unwrap();
    let config = TrainConfig { epochs: 3, batch: 8, lr: 1e30, optimizer, ..TrainConfig::default() };
    let mut trainer = Trainer::new(device, &network, &data, &config).unwrap();
    let error = pollster::block_on(trainer.fit(|_| {})).unwrap_err();
    let Error::Diverged { step, operator, .. } = &error else { panic!("{error}") };
    assert!(*step >= 2 && !operator.is_empty(), "{error}");
    assert_eq!(trainer.steps() + 1, *step);
    let state = pollster::block_on(trainer.state()).unwrap();
    assert!(state[0].iter().all(|weight| weight.is_finite()), "the last good state is not finite");
    assert!(operator.contains('('), "{error}");
}

#[test]
fn a_run_that_diverges_keeps_its_last_good_state_on_the_gpu() {
    let Some(device) = crate::adapter() else { return };
    a_run_that_diverges_keeps_its_last_good_state(&device);
}

#[test]
fn a_run_that_diverges_keeps_its_last_good_state_on_the_cpu() {
    a_run_that_diverges_keeps_its_last_good_state(&crate::cpu());
}

#[test]
fn nan_weights_are_named() {
    let data = crate::noise(64, [8, 8, 1], 3);
    let network = Sequential::new("tiny", &[8, 8, 1]).conv2d(4, 3).relu().flatten().linear(3).build().unwrap();
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        let config = TrainConfig { epochs: 1, batch: 8, ..TrainConfig::default() };
        let mut trainer = Trainer::new(&device, &network, &data, &config).unwrap();
        let mut state = pollster::block_on(trainer.state()).unwrap();
        state[0][3] = f32::NAN;
        trainer.set_state(&state).unwrap();
        let error = pollster::block_on(trainer.fit(|_| {})).unwrap_err().to_string();
        assert!(error.contains("step 1") && error.contains("parameters") && error.contains("NaN"), "{error}");
    }
}

#[test]
fn patience_schedules_and_interruption_end_or_steer_a_run() {
    let data = crate::noise(64, [8, 8, 1], 3);
    let network = Sequential::new("tiny", &[8, 8, 1]).flatten().linear(3).build().unwrap();
    let device = crate::cpu();
    // Noise cannot be learnt: the validation loss soon rises.
    let base =
        TrainConfig { epochs: 60, batch: 8, lr: 0.05, validation: 0.25, patience: Some(2), ..TrainConfig::default() };
    let mut trainer = Trainer::new(&device, &network, &data, &base).unwrap();
    assert!(trainer.holds_out() && trainer.steps_per_epoch() == 6);
    assert_eq!(pollster::block_on(trainer.fit(|_| {})).unwrap().ending, Ending::Patience);
    let schedule = Schedule::Step { step_size: 1, gamma: 0.5 };
    let config = TrainConfig { epochs: 3, patience: None, schedule, ..base.clone() };
    let (_, events) = fit(&device, &network, &data, &config);
    let rates = events.iter().filter_map(|event| match event {
        Event::Epoch(report) => Some(report.lr),
        _ => None,
    });
    let rates: Vec<f64> = rates.map(|rate| (rate * 1e6).round() / 1e6).collect();
    assert_eq!(rates, [0.05, 0.025, 0.0125]);
    let mut trainer = Trainer::new(&device, &network, &data, &TrainConfig { patience: None, ..base }).unwrap();
    let stop = trainer.stop_flag();
    let outcome = pollster::block_on(trainer.fit(|event| {
        if matches!(event, Event::Progress(progress) if progress.total == 9) {
            stop.store(true, Ordering::Relaxed);
        }
    }));
    let outcome = outcome.unwrap();
    assert_eq!((outcome.ending, outcome.steps, outcome.epochs), (Ending::Interrupted, 9, 1));
}

#[test]
fn images_in_shards_train_like_images_in_one_piece() {
    let Some(device) = crate::adapter() else { return };
    use wgrad::session::{Options, Session};
    use wgrad::tensor::Tensor;
    use wgrad::train::program::{Resident, names, train};
    let data = crate::noise(50, [6, 6, 3], 4);
    let network = small([6, 6, 3], 4);
    let layout = network.layout().unwrap();
    let config = TrainConfig { batch: 8, ..TrainConfig::default() };
    let losses = |bytes: u64| {
        let resident = Resident::new("train", 50, [6, 6, 3], bytes);
        let graph = train(&network, &layout, &resident, &config).unwrap();
        let mut session = Session::new(&device, vec![graph], Options::default()).unwrap();
        session.write("train.labels", &Tensor::u32([50], data.train.labels.clone())).unwrap();
        for (name, rows) in resident.shards() {
            let images = data.train.images[rows.start * 108..rows.end * 108].to_vec();
            session.write(&name, &Tensor::u8([rows.len(), 6, 6, 3], images)).unwrap();
        }
        let [parameters, statistics] = layout.draw(0);
        session.write(wgrad::nn::PARAMETERS, &Tensor::float([parameters.len()], parameters)).unwrap();
        session.write(wgrad::nn::STATISTICS, &Tensor::float([statistics.len()], statistics)).unwrap();
        let rates = [1e-2, 0.1, 0.1, 0.0].repeat(6);
        session.write(names::RATES, &Tensor::float([6, 4], rates)).unwrap();
        let read = pollster::block_on(session.run(0, 6, &[names::LOSSES]).unwrap().wait()).unwrap();
        (resident.shards().len(), read[0].floats().to_vec())
    };
    let (whole, shards) = (losses(u64::MAX), losses(20 * 108));
    assert_eq!((whole.0, shards.0), (1, 3));
    assert_eq!(whole.1, shards.1);
}
