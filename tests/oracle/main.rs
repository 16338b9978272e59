//! PyTorch's float64 answers: operators in every variant, learning-rate schedules, whole training runs and a curve of losses, on the float64
//! reference, the float32 CPU session and the adapter, all through what `wgrad verify --oracle` uses.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../common/adapter.rs"]
mod adapter;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wgrad::session::Device;
use wgrad::train::oracle::ask;
use wgrad::verify::oracle::{OracleCase, cases_in};
use wgrad::verify::trial::{Outcome, Verdict};

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle").join(folder)
}

/// The adapter where there is one, else the CPU.
fn devices() -> Vec<Device> {
    let cpu = Device::Cpu("a test".into());
    adapter::adapter().map(Device::Gpu).into_iter().chain([cpu]).collect()
}

/// Asks every device; answers the variants that passed, and fails with every story.
fn check(cases: &[OracleCase]) -> BTreeSet<String> {
    let outcomes: Vec<Outcome> =
        devices().iter().flat_map(|device| cases.iter().flat_map(|case| ask(device, case, None))).collect();
    let told =
        |o: &Outcome| format!("{} / {} / {}: {}", o.operator, o.variant, o.case, o.story.clone().unwrap_or_default());
    let wrong: Vec<String> = outcomes.iter().filter(|o| o.verdict == Verdict::Failed).map(told).collect();
    assert!(wrong.is_empty(), "{} of {} answers are wrong\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));
    let passed = outcomes.into_iter().filter(|outcome| outcome.verdict == Verdict::Passed);
    passed.map(|outcome| format!("{} {}", outcome.operator, outcome.variant)).collect()
}

#[test]
fn every_operator_and_schedule_case_passes_everywhere() {
    let cases = cases_in(&fixtures("operators")).unwrap();
    assert_eq!(cases.len(), 72);
    let passed = check(&cases);
    for wanted in ["conv2d reference_f64", "conv2d reference_f32", "lr_schedule reference_f64", "adamw reference_f32"] {
        assert!(passed.contains(wanted), "{passed:?}");
    }
    if adapter::adapter().is_some() {
        assert!(passed.contains("linear tiled") && passed.contains("conv2d baseline"), "{passed:?}");
    }
}

#[test]
fn a_schedule_whose_steps_are_no_whole_numbers_above_0_is_refused() {
    let case = OracleCase::load(&fixtures("operators/lr_step_shared.safetensors")).unwrap();
    for size in [0.0, 1.5, -1.0] {
        let mut case = case.clone();
        case.attrs.insert("step_size".into(), size.into());
        let outcomes = ask(&Device::Cpu("a test".into()), &case, None);
        let story = outcomes[0].story.clone().unwrap_or_default();
        assert_eq!((outcomes.len(), outcomes[0].verdict), (1, Verdict::Failed));
        assert!(story.contains("`step_size` must be a whole number of at least 1, got"), "{story}");
    }
}

macro_rules! trainings {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            let file = fixtures("training").join(concat!(stringify!($name), ".safetensors"));
            check(&[OracleCase::load(&file).unwrap()]);
        })+

        #[test]
        fn every_training_case_is_asked() {
            let names: Vec<String> = cases_in(&fixtures("training")).unwrap().into_iter().map(|case| case.name).collect();
            let mut asked = vec![$(stringify!($name).to_owned()),+];
            asked.sort();
            assert_eq!(names, asked);
        }
    };
}

trainings!(seed_cnn_adam, seed_cnn_sgd_momentum, residual_bn_adamw, deep_plain_sigmoid, deep_plain_relu);

#[test]
fn the_losses_of_resnet20_on_pictures_follow_pytorch_step_by_step() {
    let case = OracleCase::load(&fixtures("curves/resnet20_cifar10.safetensors")).unwrap();
    let allowed = case.input("allowed").unwrap().floats();
    assert!(allowed.len() == 20 && allowed.iter().all(|most| *most < 0.01), "{allowed:?}");
    // The plain loops of the reference take the first steps alone, and the float32 of the CPU session is left to `wgrad verify`.
    let asked = [
        Some((Device::Cpu("a test".into()), "reference_f64")),
        adapter::adapter().map(|gpu| (Device::Gpu(gpu), "preferred")),
    ];
    for (device, variant) in asked.into_iter().flatten() {
        let outcomes = ask(&device, &case, Some(variant));
        assert_eq!((outcomes.len(), outcomes[0].verdict), (1, Verdict::Passed), "{variant}: {:?}", outcomes[0].story);
    }
}

#[test]
fn a_curve_that_began_at_other_weights_is_refused() {
    let mut case = OracleCase::load(&fixtures("curves/resnet20_cifar10.safetensors")).unwrap();
    case.attrs.insert("seed".into(), 1.into());
    let outcome = ask(&Device::Cpu("a test".into()), &case, Some("reference_f64")).remove(0);
    let story = outcome.story.unwrap_or_default();
    assert!(outcome.verdict == Verdict::Failed && story.contains("seed 1 draws other weights for resnet20"), "{story}");
}
