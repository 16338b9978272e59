//! The versions of a network of one's own: as it is, and with or without each cure.

use super::{Heals, Version};
use crate::error::{Error, Result};
use crate::nn::{Init, Network};
use crate::train::config::TrainConfig;
use crate::train::schedule::Schedule;

/// The version that all others are compared with.
pub const AS_IS: &str = "as_is";
/// Largest norm of a clipped gradient, where nobody has said one.
pub const CLIP_NORM: f64 = 1.0;
/// Largest magnitude of a clipped weight, where nobody has said one.
pub const CLIP_WEIGHTS: f64 = 0.5;

/// What is changed.
enum Change {
    /// A cure is added that the network lacks.
    With,
    /// A cure is taken away that it has.
    Without,
}

/// The network as it is, and in a version for each cure: with it where it lacks it, without it where it has it. `config` is that of all
/// of them but for the cure itself.
///
/// # Errors
/// [`Error::Invalid`] for an unknown name in `wanted`; whatever changing the network reports.
pub fn versions(network: &Network, config: &TrainConfig, wanted: &[String]) -> Result<Vec<Version>> {
    let mut all = vec![Version {
        name: AS_IS.into(),
        says: format!("{}, as it is", network.name),
        heals: Vec::new(),
        network: network.clone(),
        config: config.clone(),
    }];
    let mut add = |change: Change, cure: &str, by: &str, network: Network, config: TrainConfig| {
        let name = match change {
            Change::With => format!("with_{cure}"),
            Change::Without => format!("without_{cure}"),
        };
        let heals = |version: &str| Heals { version: version.to_owned(), by: by.to_owned() };
        let (says, heals) = match change {
            Change::With => (format!("with {by}"), vec![heals(AS_IS)]),
            Change::Without => {
                // The network as it is, is this one's cure.
                all[0].heals.push(heals(&name));
                (format!("without {by}"), Vec::new())
            }
        };
        all.push(Version { name, says, heals, network, config });
    };
    let networks = [
        (Change::With, "relu", "ReLU instead of sigmoid and tanh", network.with_relu()?),
        he(network)?,
        (Change::With, "batch_norm", "batch normalisation", network.with_batch_norm()?),
        (Change::Without, "norm", "normalisation", network.without_norm()?),
        (Change::With, "shortcuts", "residual connections", network.with_shortcuts()?),
        (Change::Without, "shortcuts", "residual connections", network.without_shortcuts()?),
    ];
    for (change, cure, by, changed) in networks {
        if let Some(changed) = changed {
            add(change, cure, by, changed, config.clone());
        }
    }
    let clip = |limit: Option<f64>, usual: f64| match limit {
        Some(_) => (Change::Without, None),
        None => (Change::With, Some(usual)),
    };
    let (change, clip_norm) = clip(config.clip_norm, CLIP_NORM);
    add(change, "gradient_clip", "gradient clipping", network.clone(), TrainConfig { clip_norm, ..config.clone() });
    let (change, clip_weights) = clip(config.clip_weights, CLIP_WEIGHTS);
    add(change, "weight_clip", "weight clipping", network.clone(), TrainConfig { clip_weights, ..config.clone() });
    let (change, schedule) = match config.schedule {
        Schedule::Constant => (Change::With, Schedule::Cosine { t_max: config.steps.unwrap_or(1), min_lr: 0.0 }),
        _ => (Change::Without, Schedule::Constant),
    };
    add(change, "lr_decay", "a falling learning rate", network.clone(), TrainConfig { schedule, ..config.clone() });
    if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|version| version.name == **name)) {
        let names: Vec<&str> = all.iter().map(|version| version.name.as_str()).collect();
        let names = names.join(", ");
        return Err(Error::Invalid(format!("network {} has no version `{unknown}`; it has {names}", network.name)));
    }
    all.retain(|version| wanted.is_empty() || wanted.contains(&version.name));
    Ok(all)
}

/// He's initialiser where not all begin so, else Glorot's.
fn he(network: &Network) -> Result<(Change, &'static str, &'static str, Option<Network>)> {
    let (cure, by) = ("he_init", "He's initialiser");
    let all_he = [Init::HeNormal, Init::HeUniform].map(|init| network.with_init(init));
    let all_he = all_he.into_iter().collect::<Result<Vec<_>>>()?;
    if all_he.iter().any(Option::is_none) {
        return Ok((Change::Without, cure, by, network.with_init(Init::GlorotUniform)?));
    }
    Ok((Change::With, cure, by, network.with_init(Init::HeNormal)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{DeepPlain, Layer, Norm, deep_plain::deep_plain};

    fn names(options: &DeepPlain, config: &TrainConfig) -> Vec<String> {
        let network = deep_plain([8, 8, 1], 10, options).unwrap();
        versions(&network, config, &[]).unwrap().into_iter().map(|version| version.name).collect()
    }

    #[test]
    fn each_cure_is_added_where_it_lacks_and_taken_away_where_it_is() {
        let plain = DeepPlain { depth: 4, width: 4, activation: Layer::Sigmoid, ..DeepPlain::default() };
        let config = TrainConfig { steps: Some(10), ..TrainConfig::default() };
        assert_eq!(
            names(&plain, &config),
            [
                "as_is",
                "with_relu",
                "with_he_init",
                "with_batch_norm",
                "with_shortcuts",
                "with_gradient_clip",
                "with_weight_clip",
                "with_lr_decay"
            ]
        );
        let cured =
            DeepPlain { activation: Layer::Relu, init: Init::HeUniform, norm: Norm::Batch, residual: true, ..plain };
        let clipped = TrainConfig {
            clip_norm: Some(1.0),
            clip_weights: Some(1.0),
            schedule: Schedule::Exponential { gamma: 0.9 },
            ..config
        };
        let network = deep_plain([8, 8, 1], 10, &cured).unwrap();
        let all = versions(&network, &clipped, &[]).unwrap();
        assert_eq!(
            all.iter().map(|version| version.name.as_str()).collect::<Vec<_>>(),
            [
                "as_is",
                "without_he_init",
                "without_norm",
                "without_shortcuts",
                "without_gradient_clip",
                "without_weight_clip",
                "without_lr_decay"
            ]
        );
        assert_eq!(all[0].heals.len(), 6, "it is the cure of each");
        let error = versions(&network, &clipped, &["with_norm".into()]).unwrap_err().to_string();
        assert!(error.contains("no version `with_norm`; it has as_is, without_he_init"), "{error}");
    }
}
