//! Two devices in step, and training under observation.

use wgrad::nn::{Conv2dLayer, Layer, Network, Sequential, shipped};
use wgrad::session::Device;
use wgrad::train::lockstep::{Start, StepReport};
use wgrad::train::{Augmentation, Lockstep, OptimizerConfig, TrainConfig, Trainer};

fn steps(lockstep: &mut Lockstep, count: u64) -> Vec<StepReport> {
    let reports: Vec<StepReport> = (0..count).map(|_| pollster::block_on(lockstep.step()).unwrap()).collect();
    for report in &reports {
        assert!(report.divergence.is_none(), "{}", report.divergence.as_ref().unwrap());
        assert!(report.same_bits, "step {}: the plan that shares memory leaves other bits behind", report.step);
        assert!(report.values > 20 && report.worst.as_ref().unwrap().of_allowed() <= 1.0, "{report:?}");
    }
    reports
}

/// With what the shipped networks lack: a bias before a normalisation, an odd stride, dropout.
fn awkward() -> Network {
    Sequential::new("awkward", &[28, 28, 1])
        .layer(Layer::Conv2d(Conv2dLayer::new(5, 3).stride(2)))
        .layer(Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 })
        .layer(Layer::Gelu)
        .max_pool2d(2)
        .layer(Layer::Dropout { rate: 0.2 })
        .flatten()
        .linear(10)
        .build()
        .unwrap()
}

#[test]
fn the_shipped_networks_agree_with_the_float64_reference_step_by_step() {
    let data = crate::digits(34, 8);
    // The reference takes too long for ResNet-18, which is built as ResNet-20 is.
    let names = shipped::NAMES.into_iter().filter(|name| *name != "resnet18");
    for (device, name) in
        crate::adapters().into_iter().flat_map(|device| names.clone().map(move |name| (device.clone(), name)))
    {
        let network = shipped::network(name, [28, 28, 1], 10).unwrap();
        let config = TrainConfig { batch: 8, ..TrainConfig::default() };
        let mut lockstep = Lockstep::new([&crate::cpu(), &device], &network, &data, &config, None, false).unwrap();
        // Four steps an epoch: the fifth one takes the next epoch's order and rates.
        let count = if name == "reference" { 6 } else { 2 };
        let reports = steps(&mut lockstep, count);
        assert_eq!(reports.last().unwrap().step, count, "{name}");
    }
}

#[test]
fn updates_in_place_agree_too() {
    let data = crate::digits(40, 8);
    let updates = [("momentum", Some(0.5), Some(0.05)), ("adamw", Some(0.5), None), ("rmsprop", None, Some(0.05))];
    let devices = crate::adapters();
    for (device, (optimizer, clip_norm, clip_value)) in devices.iter().flat_map(|d| updates.map(|update| (d, update))) {
        let config = TrainConfig {
            batch: 8,
            optimizer: OptimizerConfig::named(optimizer).unwrap(),
            clip_norm,
            clip_value,
            clip_weights: Some(0.2),
            label_smoothing: 0.1,
            validation: 0.25,
            ..TrainConfig::default()
        };
        let mut lockstep = Lockstep::new([&crate::cpu(), device], &awkward(), &data, &config, None, false).unwrap();
        steps(&mut lockstep, 3);
    }
}

#[test]
fn augmented_and_mixed_batches_agree_too() {
    let Some(device) = crate::adapter() else { return };
    let data = crate::digits(40, 8);
    for spec in ["crop:4,flip", "crop:2,rotate:30,scale:0.2,contrast:0.3,brightness:0.2,cutout:7,fill:0.5,mixup:0.4"] {
        let augment = Augmentation::parse(spec).unwrap();
        let config = TrainConfig { batch: 8, label_smoothing: 0.1, augment, ..TrainConfig::default() };
        let mut lockstep = Lockstep::new([&crate::cpu(), &device], &awkward(), &data, &config, None, false).unwrap();
        steps(&mut lockstep, 6);
    }
}

#[test]
fn devices_that_drift_are_judged_by_what_they_have() {
    let Some(device) = crate::adapter() else { return };
    let (data, network) = (crate::digits(64, 8), awkward());
    let config = TrainConfig { batch: 8, lr: 0.01, ..TrainConfig::default() };
    let mut lockstep = Lockstep::new([&crate::cpu(), &device], &network, &data, &config, None, true).unwrap();
    let reports = steps(&mut lockstep, 8);
    assert!(reports.last().unwrap().inherited > reports[0].inherited, "nothing drifts: {reports:?}");
}

#[test]
fn an_adapter_may_be_the_reference_and_steps_may_begin_anywhere() {
    let Some(device) = crate::adapter() else { return };
    let (data, network) = (crate::digits(64, 8), awkward());
    let config = TrainConfig { batch: 8, ..TrainConfig::default() };
    let start = Start { state: network.layout().unwrap().draw(5), step: 11 };
    let devices = [&device, &crate::cpu()];
    let mut lockstep = Lockstep::new(devices, &network, &data, &config, Some(start), false).unwrap();
    assert_eq!(steps(&mut lockstep, 2)[0].step, 12);
}

fn trained(device: &Device, every: Option<u64>) -> (Trainer, Vec<u32>) {
    let (data, network) = (crate::digits(96, 16), awkward());
    let config = TrainConfig { epochs: 2, batch: 8, ..TrainConfig::default() };
    let mut trainer = Trainer::new(device, &network, &data, &config).unwrap();
    if let Some(every) = every {
        trainer.shadow_check(every).unwrap();
    }
    pollster::block_on(trainer.fit(|_| {})).unwrap();
    let state = pollster::block_on(trainer.state()).unwrap();
    (trainer, state.iter().flatten().map(|x| x.to_bits()).collect())
}

#[test]
fn a_run_whose_steps_are_checked_is_the_same_run() {
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        let (plain, bits) = trained(&device, None);
        assert!(plain.shadow().is_none());
        // 24 steps: the first one and each fifth after it, over the end of an epoch.
        for (every, checked) in [(1, 24), (5, 5), (100, 1)] {
            let (trainer, same) = trained(&device, Some(every));
            let report = trainer.shadow().unwrap();
            assert_eq!((report.every, report.checked, trainer.steps()), (every, checked, 24));
            assert!(report.inherited <= checked && bits == same);
        }
    }
}

#[test]
fn one_step_in_none_cannot_be_checked() {
    let (data, network) = (crate::digits(16, 8), awkward());
    let config = TrainConfig { batch: 8, ..TrainConfig::default() };
    let mut trainer = Trainer::new(&crate::cpu(), &network, &data, &config).unwrap();
    assert!(trainer.shadow_check(0).unwrap_err().to_string().contains("--shadow-check"));
}
