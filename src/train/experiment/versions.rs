//! The versions of the plain deep network.

use super::{Common, Heals, Version};
use crate::error::{Error, Result};
use crate::nn::{DeepPlain, Init, Layer, Norm, deep_plain::deep_plain};
use crate::train::config::{OptimizerConfig, TrainConfig};
use crate::train::schedule::Schedule;

/// Channels of every convolution: 144 weights come together in a number.
pub const WIDTH: usize = 16;
/// The learning rate of all that are not meant to be too hot, with momentum 0.9.
pub const LR: f64 = 0.003;
/// A learning rate that is too high.
pub const HOT: f64 = 0.05;
/// Standard deviation of weights that are too small for a sigmoid, half of Glorot's.
pub const SMALL: f64 = 0.04;
/// Standard deviation of weights that saturate a sigmoid: what goes into it deviates by 10, and it is flat beyond 6.
pub const SIGMOID_LARGE: f64 = 1.25;
/// Standard deviation of weights that saturate a tanh, which is flat beyond 3.
pub const TANH_LARGE: f64 = 0.5;
/// Largest magnitude of a clipped weight before a sigmoid.
pub const SIGMOID_CLIP: f64 = 0.3;
/// Largest magnitude of a clipped weight before a tanh: close to Glorot's deviation.
pub const TANH_CLIP: f64 = 0.1;
/// Largest norm of a clipped gradient.
pub const CLIP_NORM: f64 = 0.5;

/// How a version differs from `depth` convolutions with Glorot's initialiser.
struct Row {
    name: &'static str,
    says: &'static str,
    /// The version that it heals, and by what.
    heals: Option<(&'static str, &'static str)>,
    activation: Layer,
    init: Init,
    norm: Norm,
    residual: bool,
    train: fn(TrainConfig) -> TrainConfig,
}

const fn row(name: &'static str, says: &'static str, activation: Layer) -> Row {
    let (init, norm, residual) = (Init::GlorotUniform, Norm::None, false);
    Row { name, says, heals: None, activation, init, norm, residual, train: |config| config }
}

impl Row {
    const fn heals(self, version: &'static str, by: &'static str) -> Self {
        Self { heals: Some((version, by)), ..self }
    }

    const fn init(self, init: Init) -> Self {
        Self { init, ..self }
    }

    const fn normal(self, std: f64) -> Self {
        self.init(Init::Normal { std })
    }

    const fn norm(self) -> Self {
        Self { norm: Norm::Batch, ..self }
    }

    const fn residual(self) -> Self {
        Self { residual: true, ..self }
    }

    const fn train(self, train: fn(TrainConfig) -> TrainConfig) -> Self {
        Self { train, ..self }
    }
}

fn hot(config: TrainConfig) -> TrainConfig {
    TrainConfig { lr: HOT, ..config }
}

/// All of them, sick ones before their cures.
static ROWS: [Row; 16] = [
    row("sigmoid_small", "sigmoid, weights too small", Layer::Sigmoid).normal(SMALL),
    row("sigmoid_glorot", "sigmoid, Glorot's weights", Layer::Sigmoid).heals("sigmoid_small", "Glorot's initialiser"),
    row("sigmoid_large", "sigmoid, weights too large", Layer::Sigmoid).normal(SIGMOID_LARGE),
    row("sigmoid_large_weight_clip", "sigmoid, weights too large, then clipped", Layer::Sigmoid)
        .normal(SIGMOID_LARGE)
        .heals("sigmoid_large", "weight clipping")
        .train(|config| TrainConfig { clip_weights: Some(SIGMOID_CLIP), ..config }),
    row("tanh_glorot", "tanh, Glorot's weights", Layer::Tanh).heals("sigmoid_glorot", "tanh instead of sigmoid"),
    row("tanh_large", "tanh, weights too large", Layer::Tanh).normal(TANH_LARGE),
    row("tanh_large_weight_clip", "tanh, weights too large, then clipped", Layer::Tanh)
        .normal(TANH_LARGE)
        .heals("tanh_large", "weight clipping")
        .train(|config| TrainConfig { clip_weights: Some(TANH_CLIP), ..config }),
    row("relu_glorot", "ReLU, Glorot's weights", Layer::Relu).heals("sigmoid_glorot", "ReLU instead of sigmoid"),
    row("relu_he", "ReLU, He's weights", Layer::Relu).init(Init::HeNormal).heals("relu_glorot", "He's initialiser"),
    row("relu_hot", "ReLU, He's weights, learning rate too high", Layer::Relu).init(Init::HeNormal).train(hot),
    row("relu_hot_gradient_clip", "the same, gradient clipped by its norm", Layer::Relu)
        .init(Init::HeNormal)
        .heals("relu_hot", "gradient clipping")
        .train(|config| TrainConfig { clip_norm: Some(CLIP_NORM), ..hot(config) }),
    row("relu_hot_lr_decay", "the same, learning rate falling along a cosine", Layer::Relu)
        .init(Init::HeNormal)
        .heals("relu_hot", "a falling learning rate")
        .train(|config| TrainConfig { schedule: Schedule::Cosine { t_max: 0, min_lr: 0.0 }, ..hot(config) }),
    row("sigmoid_batch_norm", "sigmoid, batch normalisation", Layer::Sigmoid)
        .norm()
        .heals("sigmoid_glorot", "batch normalisation"),
    row("relu_batch_norm", "ReLU, batch normalisation", Layer::Relu).norm().heals("relu_glorot", "batch normalisation"),
    row("relu_residual", "ReLU, shortcuts", Layer::Relu).residual().heals("relu_glorot", "residual connections"),
    row("relu_batch_norm_residual", "ReLU, batch normalisation and shortcuts", Layer::Relu)
        .norm()
        .residual()
        .heals("relu_glorot", "batch normalisation with residual connections"),
];

/// The names of all versions.
pub fn names() -> [&'static str; 16] {
    std::array::from_fn(|index| ROWS[index].name)
}

/// The versions of this depth, all or those with these names, for images `[h, w, c]`, so many classes and so many training images.
///
/// # Errors
/// [`Error::Invalid`] for an unknown name; whatever [`deep_plain`] reports.
pub fn of_depth(
    depth: usize,
    image: [usize; 3],
    classes: usize,
    images: usize,
    common: Common,
    wanted: &[String],
) -> Result<Vec<Version>> {
    if let Some(unknown) = wanted.iter().find(|name| !names().contains(&name.as_str())) {
        let all = names().join(", ");
        return Err(Error::Invalid(format!("there is no version `{unknown}`; there are {all}")));
    }
    // What is left of an image behind the first layer has about eight pixels a side: depth costs time, not size.
    let pool = image[0].min(image[1]).div_ceil(8);
    let base = TrainConfig {
        lr: LR,
        optimizer: OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        ..TrainConfig::default()
    };
    let base = common.applied(base, images);
    let rows = ROWS.iter().filter(|row| wanted.is_empty() || wanted.iter().any(|name| name == row.name));
    rows.map(|row| {
        let Row { name, says, heals, activation, init, norm, residual, train } = *row;
        let options = DeepPlain { depth, width: WIDTH, activation, norm, residual, pool, flatten: true, init };
        let config = train(base.clone());
        Ok(Version {
            name: name.to_owned(),
            says: says.to_owned(),
            heals: heals
                .map(|(version, by)| Heals { version: version.to_owned(), by: by.to_owned() })
                .into_iter()
                .collect(),
            network: deep_plain(image, classes, &options)?,
            config: TrainConfig { schedule: config.schedule.over(common.steps), ..config },
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cure_is_its_sick_version_but_for_one_thing() {
        let common = Common { steps: 100, batch: 32, seed: 7, watch: 0 };
        let all = of_depth(6, [28, 28, 1], 10, 1000, common, &[]).unwrap();
        assert_eq!(all.len(), 16);
        for (index, version) in all.iter().enumerate() {
            assert_eq!((version.config.total_steps(31), version.config.seed), (100, 7), "{}", version.name);
            version.config.check(1000).unwrap();
            let [heals] = version.heals.as_slice() else { continue };
            // The sick one is trained before, so that a page can compare as soon as a cure is done.
            let sick = all[..index].iter().find(|sick| sick.name == heals.version).unwrap();
            let trained_alike = sick.config == version.config;
            let built_alike = sick.network == version.network;
            assert!(trained_alike != built_alike, "{} differs from {} in both or in none", version.name, sick.name);
        }
        let some = of_depth(2, [8, 8, 3], 5, 100, common, &["relu_he".into()]).unwrap();
        assert_eq!(some.iter().map(|version| version.name.as_str()).collect::<Vec<_>>(), ["relu_he"]);
        let error = of_depth(2, [8, 8, 3], 5, 100, common, &["relu_cold".into()]).unwrap_err().to_string();
        assert!(error.contains("no version `relu_cold`; there are sigmoid_small, "), "{error}");
    }
}
