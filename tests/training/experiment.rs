//! The experiment on vanishing gradients: what the device measures is what the reference in float64 says.

use std::sync::Arc;

use wgrad::train::experiment::{Common, Place, Trial, Tried, first_over_last, versions};
use wgrad::train::flow::Kind;

/// How far apart the ratios may be.
const CLOSE: f64 = 0.01;

#[test]
fn the_first_layers_share_of_the_gradient_is_that_of_float64() {
    let data = crate::digits(64, 32);
    let common = Common { steps: 3, batch: 8, seed: 3, watch: 0 };
    let wanted = ["sigmoid_small", "sigmoid_glorot", "tanh_glorot", "relu_batch_norm_residual"].map(String::from);
    let all = versions::of_depth(12, data.train.shape, 10, data.train.len(), common, &wanted).unwrap();
    for device in [Some(crate::cpu()), crate::adapter()].into_iter().flatten() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::check(&folder.path().join("flow"), false).unwrap();
        let trial = Trial { device: &device, data: &data, reference: true, stop: Arc::default() };
        for version in &all {
            let directory = place.run(&version.name).unwrap();
            let mut flows = 0;
            let count = |event: &wgrad::train::Event| flows += u64::from(matches!(event, wgrad::train::Event::Flow(_)));
            let tried = pollster::block_on(trial.run(version, 12, (directory, version.name.clone()), count)).unwrap();
            let Tried::Measured(measured) = tried else { panic!("{} was interrupted", version.name) };
            assert_eq!((flows, measured.steps), (3, 3), "every step of few is watched");
            let [device, float64] = [measured.first_over_last_start, measured.first_over_last_start_float64];
            let (device, float64) = (device.unwrap(), float64.unwrap());
            assert!(float64 > 0.0 && (device / float64 - 1.0).abs() < CLOSE, "{}: {device} {float64}", version.name);
            assert_eq!(first_over_last(version, &data).unwrap(), Some(float64));
            match version.name.as_str() {
                "sigmoid_small" | "sigmoid_glorot" => {
                    assert!(device < 1e-6 && measured.verdict == Kind::Vanishing, "{measured:?}");
                }
                _ => assert!((0.01..100.0).contains(&device), "{measured:?}"),
            }
        }
    }
}
