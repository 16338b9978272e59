//! A step that is measured is the same step.

use wgrad::nn::{PARAMETERS, shipped};
use wgrad::session::{Clock, Device, Options, Session, Timeline};
use wgrad::tensor::{Elements, Tensor};
use wgrad::train::profile::{Settings, profile};
use wgrad::train::program::{Resident, names, train};
use wgrad::train::{Profile, TrainConfig};

const BATCH: usize = 8;
const STEPS: usize = 3;
/// What a step leaves behind.
const LASTING: [&str; 6] =
    [PARAMETERS, names::MOMENTS[0], names::GRADIENTS, names::LOSSES, names::NORMS, names::CONTROL];

/// The bits that some steps leave behind.
fn left_behind(device: &Device, mut step: impl FnMut(&mut Session)) -> Vec<Vec<u32>> {
    let data = crate::digits(STEPS * BATCH, 10);
    let network = shipped::reference(data.train.shape, 10).unwrap();
    let layout = network.layout().unwrap();
    let resident = Resident::new("train", data.train.len(), data.train.shape, device.max_binding_bytes());
    let config = TrainConfig { batch: BATCH, ..TrainConfig::default() };
    let graph = train(&network, &layout, &resident, &config).unwrap();
    let mut session = Session::new(device, vec![graph], Options::default()).unwrap();
    let [h, w, c] = data.train.shape;
    let images = Tensor::u8([data.train.len(), h, w, c], data.train.images.clone());
    session.write(&resident.shards()[0].0, &images).unwrap();
    session.write(&resident.labels(), &Tensor::u32([data.train.len()], data.train.labels.clone())).unwrap();
    session.write(PARAMETERS, &Tensor::float([layout.len], layout.draw(1)[0].clone())).unwrap();
    let rates = config.rates(STEPS as u64, 1, config.lr).into_iter().flatten().collect();
    session.write(names::RATES, &Tensor::float([STEPS, 4], rates)).unwrap();
    (0..STEPS).for_each(|_| step(&mut session));
    let read = pollster::block_on(session.read(&LASTING)).unwrap();
    let bits = |tensor: Tensor| match tensor.elements {
        Elements::Float(data) => data.iter().map(|x| x.to_bits()).collect(),
        Elements::U32(data) => data,
        Elements::U8(data) => data.into_iter().map(u32::from).collect(),
    };
    read.into_iter().map(bits).collect()
}

fn measured(session: &mut Session, wall_clock: bool) -> Timeline {
    let timeline = pollster::block_on(session.profile(0, wall_clock)).unwrap();
    let (plan, nodes) = (session.plan(0), &timeline.nodes);
    assert_eq!(plan.len(), nodes.len());
    let counts = plan.iter().map(|row| (row.dispatches + row.copies).max(usize::from(row.variant == "reference")));
    assert!(counts.eq(nodes.iter().map(Vec::len)), "every dispatch of a node is timed");
    let times = nodes.iter().flatten().filter_map(|timed| timed.at);
    let sum: f64 = times.clone().map(|at| at.seconds).sum();
    assert!(sum > 0.0 && sum <= 1.05 * timeline.wall, "{sum} s of {} s", timeline.wall);
    assert!(times.clone().all(|at| at.start >= 0.0 && at.end() <= 1.05 * timeline.wall));
    timeline
}

#[test]
fn a_measured_step_leaves_the_same_bits_behind() {
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        let run = left_behind(&device, |session| drop(session.run(0, 1, &[]).unwrap()));
        assert!(run[0].iter().any(|&bits| bits != 0) && run[5][0] == STEPS as u32, "{:?}", run[5]);
        for wall_clock in [false, true] {
            let taken_apart = left_behind(&device, |session| drop(measured(session, wall_clock)));
            assert!(run == taken_apart, "{device:?}, wall clock: {wall_clock}");
        }
        let timed = left_behind(&device, |session| {
            let (reading, launch) = session.run_timed(0, 1, &[names::CONTROL]).unwrap();
            assert_eq!(pollster::block_on(reading.wait()).unwrap().len(), 1);
            assert_eq!(launch.is_some(), matches!(device, Device::Gpu(_)));
        });
        assert!(run == timed, "{device:?}");
    }
}

#[test]
fn where_the_adapter_has_timestamps_they_are_the_clock() {
    let Some(device) = crate::adapter() else { return };
    let Device::Gpu(gpu) = &device else { return };
    let has = gpu.adapter().features.contains(&"timestamps");
    left_behind(&device, |session| match measured(session, false).clock {
        Clock::Timestamps { period_ns, empty } => assert!(has && period_ns > 0.0 && empty >= 0.0),
        clock => assert!(!has, "{clock:?}"),
    });
}

#[test]
fn a_profile_accounts_for_the_whole_step() {
    let network = shipped::residual_bn([8, 8, 3], 4).unwrap();
    let config = TrainConfig { batch: 4, ..TrainConfig::default() };
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        let settings = Settings { steps: 2, wall_clock: false };
        let profile: Profile = pollster::block_on(profile(&device, &network, &config, settings)).unwrap();
        let shares: f64 = profile.nodes.iter().filter_map(|node| node.cost.seconds).map(|s| profile.share(s)).sum();
        assert!((shares + profile.share(profile.rest()) - 1.0).abs() < 1e-9, "{shares}");
        let groups = profile.groups();
        assert_eq!(groups.iter().map(|group| group.nodes).sum::<usize>(), profile.nodes.len());
        let of_groups: f64 = groups.iter().filter_map(|group| group.cost.seconds).sum();
        assert!((of_groups / profile.kernels() - 1.0).abs() < 1e-9, "{of_groups} {}", profile.kernels());
        let find = |operator, direction| {
            groups.iter().find(|group| (group.operator, group.direction) == (operator, direction)).unwrap()
        };
        assert_eq!(find("conv2d", "grad_weight").part, "backward");
        assert!(find("conv2d", "forward").cost.gflops().unwrap() > 0.0);
        assert_eq!((find("adam", "update").nodes, find("batch_norm2d", "grad").part), (1, "backward"));
        assert!(profile.discarded < profile.measured && profile.ordinary > 0 && profile.step > 0.0);
        assert_eq!(profile.host.is_some(), matches!(device, Device::Gpu(_)));
    }
}
