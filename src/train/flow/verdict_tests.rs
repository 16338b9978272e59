use super::*;
use crate::nn::{Conv2dLayer, LinearLayer, Sequential};
use crate::train::flow::{ActivationFlow, Measured, ParameterFlow, Units};

/// Four convolutions with an activation each, and a linear layer.
fn network(activation: Layer) -> Network {
    let mut net = Sequential::new("plain", &[8, 8, 1]);
    for number in 1..=4 {
        let conv = Layer::Conv2d(Conv2dLayer::new(8, 3).padding(1));
        net = net.named(&format!("conv{number}"), conv).named(&format!("act{number}"), activation);
    }
    net.layer(Layer::GlobalAvgPool2d).named("head", Layer::Linear(LinearLayer::new(10))).build().unwrap()
}

fn facts(activation: Layer) -> Facts {
    Facts::new(&network(activation), &TrainConfig::default(), 10)
}

fn of_norm(norm: f64) -> Measured {
    Measured { elements: 100, norm, ..Measured::default() }
}

/// A reading of five weighted layers whose gradients have these norms, and whose updates are such parts of weights of norm 2.
fn reading(step: u64, loss: f64, gradients: [f64; 5], ratios: [f64; 5]) -> Flow {
    let names = ["conv1", "conv2", "conv3", "conv4", "head"];
    let parameter = |(name, (gradient, ratio)): (&str, (f64, f64))| ParameterFlow {
        name: format!("{name}.weight"),
        value: of_norm(2.0),
        gradient: of_norm(gradient),
        update: of_norm(2.0 * ratio),
    };
    let activation = |number: u64| ActivationFlow {
        layer: format!("act{number}"),
        stands_for: Vec::new(),
        gradient_of: None,
        value: of_norm(1.0),
        gradient: None,
        saturates: true,
        units: Some(Units { dead: 0, of: 8 }),
    };
    Flow {
        epoch: 1,
        step,
        loss,
        lr: 1e-3,
        images: 128,
        parameters: names.into_iter().zip(gradients.into_iter().zip(ratios)).map(parameter).collect(),
        activations: (1..=4).map(activation).collect(),
    }
}

const EVEN: [f64; 5] = [1e-3; 5];

fn verdict(activation: Layer, flows: &[Flow]) -> Verdict {
    judge(&facts(activation), &Thresholds::default(), flows).unwrap()
}

/// The finding of a kind, whose words must say this and whose cures must be asked for so, the best first.
#[track_caller]
fn expect(verdict: &Verdict, kind: Kind, words: &str, first_cure: &str) -> Finding {
    assert_eq!(verdict.kind, kind, "{verdict:#?}");
    let finding = verdict.findings[0].clone();
    assert!(finding.words.contains(words), "{}", finding.words);
    assert!(!finding.numbers.is_empty(), "no verdict without numbers");
    let how = finding.cures.first().map_or("", |cure| &cure.how);
    assert!(how.contains(first_cure), "{:#?}", finding.cures);
    finding
}

#[test]
fn gradients_of_one_size_are_healthy() {
    let verdict = verdict(Layer::Relu, &[reading(1, 2.3, [0.1, 0.2, 0.3, 0.2, 0.4], EVEN)]);
    let finding = expect(&verdict, Kind::Healthy, "gradients 0.1 (conv1) to 0.4 (head)", "");
    assert!(finding.cures.is_empty());
}

#[test]
fn gradients_that_shrink_towards_the_first_layer_vanish() {
    let flow = reading(1, 2.3, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1], EVEN);
    let finding =
        expect(&verdict(Layer::Sigmoid, std::slice::from_ref(&flow)), Kind::Vanishing, "loses 90.0 %", "relu");
    assert_eq!(finding.layers, ["conv1", "conv2"]);
    assert!((finding.numbers["kept_by_a_layer"].as_f64().unwrap() - 0.1).abs() < 1e-12);
    // A network without sigmoids is not told to replace them.
    expect(&verdict(Layer::Relu, &[flow]), Kind::Vanishing, "loses 90.0 %", "batch_norm2d");
    let nothing = reading(1, 2.3, [0.0; 5], EVEN);
    expect(&verdict(Layer::Relu, &[nothing]), Kind::Vanishing, "no gradient at all reaches conv1", "batch_norm2d");
}

#[test]
fn an_initialiser_is_named_where_another_one_fits_the_activation() {
    let flow = reading(1, 2.3, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1], EVEN);
    let named = |network: &Network| {
        let facts = Facts::new(network, &TrainConfig::default(), 10);
        let judged = judge(&facts, &Thresholds::default(), std::slice::from_ref(&flow)).unwrap();
        let found = judged.findings[0].cures.iter().find(|cure| cure.how.contains("init = "));
        found.map(|cure| cure.how.split('"').nth(1).unwrap().to_owned())
    };
    let begun = |activation, init| Network { init, ..network(activation) };
    let (small, he) = (Init::Normal { std: 1e-3 }, Some("he_normal".to_owned()));
    assert_eq!(named(&begun(Layer::Relu, Init::GlorotUniform)), he);
    assert_eq!(named(&begun(Layer::Relu, small)), he);
    assert_eq!(named(&begun(Layer::Relu, Init::HeUniform)), None);
    assert_eq!(named(&begun(Layer::Tanh, small)), Some("glorot_uniform".into()));
    assert_eq!(named(&begun(Layer::Sigmoid, Init::GlorotNormal)), None);
    assert_eq!(named(&begun(Layer::Tanh, Init::Orthogonal { gain: 1.0 })), None);
}

#[test]
fn a_small_gradient_of_a_small_loss_has_converged_whatever_the_step_is() {
    let small = [1e-9, 1e-7, 1e-6, 1e-5, 1e-4];
    for step in [1, 51, 100_001] {
        let tiny = [1e-9; 5];
        expect(
            &verdict(Layer::Sigmoid, &[reading(step, 1e-3, small, tiny)]),
            Kind::Converged,
            "little left",
            "--patience",
        );
        expect(&verdict(Layer::Sigmoid, &[reading(step, 2.0, small, tiny)]), Kind::Vanishing, "conv1", "relu");
    }
    // With label smoothing the loss never comes close to 0.
    let smoothed = Facts { label_smoothing: 0.1, ..facts(Layer::Relu) };
    let least = smoothed.losses()[0];
    assert!((least - 0.5003).abs() < 1e-3, "{least}");
    let judged = judge(&smoothed, &Thresholds::default(), &[reading(9, least + 0.01, small, EVEN)]);
    assert_eq!(judged.unwrap().kind, Kind::Converged);
}

#[test]
fn gradients_that_grow_or_are_no_numbers_explode() {
    let upwards = reading(1, 2.3, [1e4, 1e3, 1e2, 10.0, 1.0], EVEN);
    let finding = expect(&verdict(Layer::Relu, &[upwards]), Kind::Exploding, "it grows 10 times", "--clip-norm 1");
    assert_eq!(finding.layers, ["conv1"]);
    let calm = reading(1, 2.3, [0.1; 5], EVEN);
    let wild = reading(51, 9.0, [1e3; 5], EVEN);
    expect(
        &verdict(Layer::Relu, &[calm.clone(), wild.clone()]),
        Kind::Exploding,
        "the loss went from 2.3 to 9",
        "--clip",
    );
    // Large beside the first gradient, but the loss falls: it only began small.
    assert_eq!(verdict(Layer::Relu, &[calm.clone(), Flow { loss: 1.0, ..wild }]).kind, Kind::Healthy);
    let mut broken = calm;
    broken.parameters[2].gradient.non_finite = 50;
    expect(&verdict(Layer::Relu, &[broken]), Kind::Exploding, "50.0 % of the gradient of conv3.weight", "--clip-norm");
}

#[test]
fn dead_units_are_counted_once_enough_images_were_seen() {
    let mut flow = reading(1, 2.3, [0.1; 5], EVEN);
    flow.activations[1].units = Some(Units { dead: 6, of: 8 });
    let finding =
        expect(&verdict(Layer::Relu, std::slice::from_ref(&flow)), Kind::Dead, "6 of 8 units of act2", "--lr 0.0001");
    assert_eq!(finding.layers, ["act2"]);
    assert!(finding.cures[1].how.contains("leaky_relu"), "{:?}", finding.cures);
    flow.images = 64;
    assert_eq!(verdict(Layer::Relu, &[flow]).kind, Kind::Healthy);
}

#[test]
fn flat_outputs_are_saturated() {
    let mut flow = reading(1, 2.3, [0.1; 5], EVEN);
    flow.activations[3].value.saturated = 70;
    let finding =
        expect(&verdict(Layer::Tanh, &[flow]), Kind::Saturated, "70.0 % of the outputs of act4", "batch_norm2d");
    assert_eq!(finding.layers, ["act4"]);
}

#[test]
fn updates_beside_their_weights_are_stuck_or_too_hot() {
    let stuck = reading(1, 2.3, [0.1; 5], [1e-3, 1e-8, 1e-3, 1e-7, 1e-3]);
    let finding = expect(
        &verdict(Layer::Relu, std::slice::from_ref(&stuck)),
        Kind::Stuck,
        "weights of conv2 by 1.0e-8",
        "--lr 0.01",
    );
    assert_eq!(finding.layers, ["conv2", "conv4"]);
    // At a rate that the schedule has lowered a thousand times, an update says nothing else.
    let late = Flow { lr: 1e-6, ..reading(1, 2.3, [0.1; 5], [1e-8; 5]) };
    assert_eq!(verdict(Layer::Relu, &[late]).kind, Kind::Healthy);
    let clipped = Facts { clip_norm: Some(1e-6), ..facts(Layer::Relu) };
    let judged = judge(&clipped, &Thresholds::default(), &[stuck]).unwrap();
    expect(&judged, Kind::Stuck, "conv2", "--clip-norm");
    let hot = reading(1, 2.3, [0.1; 5], [1e-3, 0.5, 1e-3, 1e-3, 1e-3]);
    expect(&verdict(Layer::Relu, &[hot]), Kind::TooHot, "weights of conv2 by 0.5", "--lr 2e-5");
}

#[test]
fn thresholds_move_verdicts() {
    let flow = reading(1, 2.3, [0.01, 0.1, 0.1, 0.1, 0.1], EVEN);
    let mut thresholds = Thresholds::default();
    assert_eq!(judge(&facts(Layer::Relu), &thresholds, std::slice::from_ref(&flow)).unwrap().kind, Kind::Healthy);
    thresholds.set("vanishing=0.5").unwrap();
    assert_eq!(judge(&facts(Layer::Relu), &thresholds, &[flow]).unwrap().kind, Kind::Vanishing);
}

#[test]
fn a_verdict_is_told_when_it_changes_and_rests_on_the_last_readings() {
    let mut judge = Judge::new(facts(Layer::Relu), Thresholds::default());
    let well = |step| reading(step, 2.0, [0.1; 5], EVEN);
    let ill = |step| reading(step, 2.0, [1e-6, 0.1, 0.1, 0.1, 0.1], EVEN);
    assert_eq!(judge.observe(well(1)), None);
    let told: Vec<Option<Kind>> = (2..9).map(|step| judge.observe(ill(step)).map(|verdict| verdict.kind)).collect();
    // The median of the last five readings: three of them decide.
    let changes: Vec<usize> = (0..told.len()).filter(|&i| told[i].is_some()).collect();
    assert_eq!((changes.len(), told[changes[0]]), (1, Some(Kind::Vanishing)), "{told:?}");
    let verdict = judge.verdict().unwrap();
    assert_eq!((verdict.step, verdict.readings, verdict.kind), (8, 5, Kind::Vanishing));
    let again: Vec<_> = (9..14).filter_map(|step| judge.observe(well(step))).collect();
    assert_eq!((again.len(), again[0].kind), (1, Kind::Healthy));
}
