//! Augmentation: its words, its tables, and that nothing of it is nothing in the graph.

use super::super::config::TrainConfig;
use super::super::program::{self, Resident};
use super::*;
use crate::nn::Sequential;
use crate::ops::Operator as _;

#[test]
fn words_of_the_command_line_are_read_or_told_apart() {
    let wanted = Augmentation { crop: 4, flip: true, rotate: 10.0, mixup: 0.2, ..Augmentation::default() };
    assert_eq!(Augmentation::parse("crop:4,flip,rotate:10,mixup:0.2").unwrap(), wanted);
    assert!(Augmentation::parse("none").unwrap().is_off());
    for (text, said) in [
        ("crop", "`crop` is no augmentation; write some of crop:PIXELS"),
        ("flip,", "`` is no augmentation"),
        ("crop:1.5", "`crop:1.5` is no augmentation"),
        ("rotate:181", "`rotate` must be a number from 0 to 180, not 181"),
        ("scale:1", "`scale` must be a number from 0, below 1, not 1"),
        ("mixup:NaN", "`mixup` must be a number from 0 to 100, not NaN"),
    ] {
        let error = Augmentation::parse(text).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    let large = Augmentation { crop: 8, ..wanted }.check([8, 9, 1]).unwrap_err().to_string();
    assert!(large.contains("`crop` 8 would move images of 8×9 out of sight; it must be below 8"), "{large}");
    let large = Augmentation { cutout: 9, ..wanted }.check([8, 9, 1]).unwrap_err().to_string();
    assert!(large.contains("a `cutout` of 9 pixels is larger than images of 8×9"), "{large}");
}

/// The distribution function of Beta(α, α) has a closed form for these.
#[test]
fn shares_are_the_quantiles_of_the_beta_distribution() {
    let check = |alpha: f64, below: &dyn Fn(f64) -> f64| {
        for (k, share) in shares(alpha).into_iter().enumerate() {
            let (got, wanted) = (below(share.into()), (k as f64 + 0.5) / (2 * SHARES) as f64);
            assert!((got - wanted).abs() < 1e-7, "α {alpha}: quantile {k} is {share}, of {got} instead of {wanted}");
        }
    };
    check(0.5, &|t| 2.0 / std::f64::consts::PI * t.sqrt().asin());
    check(1.0, &|t| t);
    check(2.0, &|t| t * t * (3.0 - 2.0 * t));
    // At the ends of the range too they rise from 0 to ½.
    for alpha in [1e-3, 0.2, f64::from(MOST_ALPHA)] {
        let shares = shares(alpha);
        assert!(shares.is_sorted() && shares[0] >= 0.0 && shares[SHARES - 1] <= 0.5, "α {alpha}");
    }
}

#[test]
fn angles_are_spread_evenly_to_both_sides() {
    assert_eq!(turns(0.0), [1.0, 0.0]);
    let angles: Vec<f64> = turns(90.0).chunks(2).map(|t| f64::from(t[1]).atan2(t[0].into()).to_degrees()).collect();
    assert!(angles.is_sorted() && (angles[0] + 90.0).abs() < 0.03 && (angles[TURNS - 1] - 90.0).abs() < 0.03);
    assert!(angles.iter().sum::<f64>().abs() < 1e-3);
}

#[test]
fn a_step_has_the_nodes_of_what_is_asked_for_and_no_more() {
    let network = Sequential::new("net", &[8, 8, 1]).flatten().linear(10).build().unwrap();
    let data = Resident::new("train", 32, [8, 8, 1], 1 << 20);
    let nodes = |augment: Augmentation| {
        let config = TrainConfig { batch: 8, augment, ..TrainConfig::default() };
        let graph = program::train(&network, &network.layout().unwrap(), &data, &config).unwrap();
        graph.nodes().iter().map(|node| node.op.name().to_owned()).collect::<Vec<_>>()
    };
    let (plain, flip) = (nodes(Augmentation::default()), Augmentation { flip: true, ..Augmentation::default() });
    // A level to fill with changes nothing where nothing is to be filled.
    assert_eq!(nodes(Augmentation { fill: 0.5, ..Augmentation::default() }), plain);
    let mut with = nodes(flip);
    assert_eq!(with.drain(1..3).collect::<Vec<_>>(), ["augment_draw", "augment"]);
    assert_eq!(with, plain);
    let mixed = nodes(Augmentation { mixup: 0.2, ..Augmentation::default() });
    assert_eq!(mixed[..2], ["gather_batch", "mixup"]);
    assert!(mixed.iter().any(|name| name == "mixup_cross_entropy_grad"));
    assert_eq!(mixed.len(), plain.len() + 1);
}
