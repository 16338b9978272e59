//! Recipes: one TOML file that says what is trained on what, and how. [`keys`] has every key, `docs/recipes.md` shows them.

pub mod keys;
pub mod shipped;

use std::path::Path;

use super::augment::Augmentation;
use super::config::{OptimizerConfig, TrainConfig};
use super::schedule::Schedule;
use crate::data::{PictureOptions, Source};
use crate::error::{Error, Result};
use crate::format::document::{Document, Table, nearest};
use crate::nn::shipped::{Choices, NAMES, chosen};
use crate::nn::{Init, Layer, Network, Norm};

/// Share of the training images that is held out where patience is asked for and no share is named.
pub const PATIENCE_VALIDATION: f64 = 0.1;

/// What a recipe asks for; the default is the reference run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recipe {
    /// What is trained on.
    pub data: DataRecipe,
    /// What is trained.
    pub network: NetworkRecipe,
    /// How. [`Recipe::config`] fills in what depends on the data: the share that is held out and the steps of the schedule.
    pub train: TrainConfig,
}

/// The data set.
#[derive(Debug, Clone, PartialEq)]
pub struct DataRecipe {
    /// As [`crate::data::load`] takes it.
    pub source: String,
    /// Classes of IDX files.
    pub classes: usize,
    /// Height, width and channels, where the recipe says them: a folder's pictures are brought to them, other images must have them.
    pub image: Option<[usize; 3]>,
    /// Whether pictures of a folder that cannot be used are left out.
    pub skip_bad: bool,
    /// Where a data set with a name comes from, if not from the usual address.
    pub mirror: Option<String>,
    /// Share of the training images that is held out for validation, where the recipe says it.
    pub validation: Option<f64>,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self { source: "builtin".into(), classes: 10, image: None, skip_bad: false, mirror: None, validation: None }
    }
}

impl DataRecipe {
    /// The same with another source. Pictures of a folder follow the recipe's size; other images have one of their own.
    #[must_use]
    pub fn with_source(self, source: &str) -> Self {
        let other = Self { source: source.to_owned(), ..self };
        Self { image: other.image.filter(|_| other.is_folder()), ..other }
    }

    /// How the pictures of the source are read.
    pub fn pictures(&self) -> PictureOptions {
        let size = self.image.filter(|_| self.is_folder()).map(Into::into);
        PictureOptions { size, skip_bad: self.skip_bad }
    }

    fn is_folder(&self) -> bool {
        matches!(self.source.parse(), Ok(Source::Pictures(_)))
    }
}

/// The network, or how to build it once the images are known.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkRecipe {
    /// A network of [`crate::nn::shipped`].
    Shipped {
        /// Its name.
        name: String,
        /// What is asked of it.
        choices: Choices,
    },
    /// A network that is described layer by layer.
    Described(Network),
}

impl Default for NetworkRecipe {
    fn default() -> Self {
        Self::Shipped { name: "reference".into(), choices: Choices::default() }
    }
}

impl Recipe {
    /// Reads a recipe from its file. A file that describes a network alone is a recipe with the usual data and training.
    ///
    /// # Errors
    /// [`Error::File`] with one sentence, and with line and column where the mistake has them.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::file(path, "is a directory, not the file of a recipe"));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| Error::file(path, format!("cannot be read: {error}")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_toml(&text, folder).map_err(|error| match error {
            Error::Invalid(problem) => Error::file(path, problem),
            other => other,
        })
    }

    /// Reads a recipe that lies, or would lie, in `folder`: what it names as a network's file is seen from there.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one sentence that begins with line and column; [`Error::File`] about a network's file.
    pub fn from_toml(text: &str, folder: &Path) -> Result<Self> {
        let document = Document::parse(text)?;
        if document.table().has("layers") {
            return Ok(Self { network: NetworkRecipe::Described(Network::from_toml(text)?), ..Self::default() });
        }
        let table = document.table();
        table.check(&keys::RECIPE)?;
        let mut recipe = Self::default();
        if let Some(table) = table.section("data") {
            recipe.data = data(&table);
        }
        if let Some(table) = table.section("network") {
            recipe.network = network(&table, text, folder)?;
        }
        if let Some(table) = table.section("train") {
            recipe.train = train(&table)?;
        }
        if let Some(table) = table.section("augment") {
            recipe.train.augment = augment(&table);
        }
        Ok(recipe)
    }

    /// The network for images `[h, w, c]` and this many classes; one that is described has its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] where such images do not fit the network.
    pub fn network(&self, image: [usize; 3], classes: usize) -> Result<Network> {
        match &self.network {
            NetworkRecipe::Described(network) => Ok(network.clone()),
            NetworkRecipe::Shipped { name, choices } => {
                chosen(name, image, classes, choices).map_err(|error| match error {
                    Error::Shape { .. } => {
                        let [h, w, c] = image;
                        Error::Invalid(format!("network {name} cannot read images of {h}×{w}×{c}: {error}"))
                    }
                    other => other,
                })
            }
        }
    }

    /// The configuration for so many training images.
    pub fn config(&self, images: usize) -> TrainConfig {
        let by_patience = if self.train.patience.is_some() { PATIENCE_VALIDATION } else { 0.0 };
        let validation = self.data.validation.unwrap_or(by_patience);
        let config = TrainConfig { validation, ..self.train.clone() };
        let steps = images.saturating_sub(config.held_out(images)) / config.batch.max(1);
        let schedule = config.schedule.over(config.total_steps(steps as u64));
        TrainConfig { schedule, ..config }
    }
}

fn data(table: &Table) -> DataRecipe {
    let usual = DataRecipe::default();
    DataRecipe {
        source: table.text("source").map_or(usual.source, str::to_owned),
        classes: table.size("classes").unwrap_or(usual.classes),
        image: table.sizes("image"),
        skip_bad: table.flag("skip_bad").unwrap_or(usual.skip_bad),
        mirror: table.text("mirror").map(str::to_owned),
        validation: table.number("validation"),
    }
}

fn network(table: &Table, text: &str, folder: &Path) -> Result<NetworkRecipe> {
    if let Some(file) = table.text("file") {
        if let Some(other) = keys::NETWORK.keys.iter().find(|key| key.name != "file" && table.has(key.name)) {
            return table
                .wrong(other.name, format!("`{}` and `file` exclude each other: the file says it", other.name));
        }
        let path = folder.join(file);
        let text =
            std::fs::read_to_string(&path).map_err(|error| Error::file(&path, format!("cannot be read: {error}")))?;
        let network = Network::from_toml(&text).map_err(|error| Error::file(&path, error))?;
        return Ok(NetworkRecipe::Described(network));
    }
    let own = table.has("layers") || table.has("inputs");
    let name = table.text("name").unwrap_or(if own { "recipe" } else { "reference" });
    if let Some(option) = keys::DEEP_PLAIN.into_iter().find(|option| table.has(option) && (own || name != "deep_plain"))
    {
        let what = if own { "layers of one's own" } else { name };
        return table.wrong(option, format!("`{option}` is an option of the network deep_plain, not of {what}"));
    }
    if own {
        return described(table, text, name).map(NetworkRecipe::Described);
    }
    if !NAMES.contains(&name) {
        let meant = nearest(name, NAMES)
            .map_or("`wgrad networks` lists all".to_owned(), |near| format!("did you mean `{near}`?"));
        let problem = format!("there is no network `{name}`, and [network] has no `layers` of its own; {meant}");
        return table.wrong("name", problem);
    }
    let choices = Choices {
        depth: table.size("depth"),
        width: table.size("width"),
        activation: table.text("activation").map(Layer::activation_named).transpose()?,
        norm: table
            .text("norm")
            .and_then(|word| Norm::ALL.into_iter().find(|(name, _)| *name == word))
            .map(|found| found.1),
        residual: table.flag("residual"),
        pool: table.size("pool"),
        flatten: table.flag("flatten"),
        init: init(table)?,
    };
    Ok(NetworkRecipe::Shipped { name: name.to_owned(), choices })
}

fn init(table: &Table) -> Result<Option<Init>> {
    let Some((word, options)) = table.choice("init", &crate::nn::keys::INITS) else { return Ok(None) };
    Init::named(word, |key| options.as_ref()?.number(key)).map(Some)
}

/// Layers inside a recipe, as a network's description has them.
fn described(table: &Table, text: &str, name: &str) -> Result<Network> {
    for key in ["inputs", "layers"] {
        if !table.has(key) {
            return table.wrong(
                key,
                format!("[network] has {}, but lacks `{key}`", if key == "layers" { "inputs" } else { "layers" }),
            );
        }
    }
    // The places are checked; what is left of reading it again is the network alone.
    let bad = |error: toml::de::Error| Error::Invalid(error.message().replace('\n', ", "));
    let mut root: toml::Table = toml::from_str(text).map_err(bad)?;
    let mut written = root.remove("network").unwrap_or(toml::Value::Table(toml::Table::new()));
    if let Some(table) = written.as_table_mut() {
        table.entry("name").or_insert_with(|| name.into());
    }
    Network::placed(written.try_into().map_err(bad)?, table)
}

fn train(table: &Table) -> Result<TrainConfig> {
    let usual = TrainConfig::default();
    Ok(TrainConfig {
        epochs: table.whole("epochs").unwrap_or(usual.epochs),
        steps: table.whole("steps"),
        batch: table.size("batch").unwrap_or(usual.batch),
        micro_batch: table.size("micro_batch"),
        lr: table.number("lr").unwrap_or(usual.lr),
        schedule: schedule(table).unwrap_or(usual.schedule),
        optimizer: optimizer(table)?.unwrap_or(usual.optimizer),
        seed: table.whole("seed").unwrap_or(usual.seed),
        label_smoothing: table.number("label_smoothing").unwrap_or(usual.label_smoothing),
        clip_norm: table.number("clip_norm"),
        clip_value: table.number("clip_value"),
        clip_weights: table.number("clip_weights"),
        validation: usual.validation,
        patience: table.whole("patience"),
        augment: usual.augment,
        no_fuse: table.texts("no_fuse").into_iter().map(str::parse).collect::<Result<_>>()?,
        watch: usual.watch,
    })
}

fn augment(table: &Table) -> Augmentation {
    let (whole, number) = (|key| table.whole(key).unwrap_or(0), |key| table.number(key).unwrap_or(0.0));
    Augmentation {
        crop: whole("crop"),
        flip: table.flag("flip").unwrap_or(false),
        rotate: number("rotate"),
        scale: number("scale"),
        brightness: number("brightness"),
        contrast: number("contrast"),
        cutout: whole("cutout"),
        fill: number("fill"),
        mixup: number("mixup"),
    }
}

fn optimizer(table: &Table) -> Result<Option<OptimizerConfig>> {
    let Some((word, options)) = table.choice("optimizer", &keys::OPTIMIZERS) else { return Ok(None) };
    let mut config = OptimizerConfig::named(word)?;
    let Some(options) = options else { return Ok(Some(config)) };
    let set = |field: &mut f64, key: &str| *field = options.number(key).unwrap_or(*field);
    match &mut config {
        OptimizerConfig::Sgd { momentum, nesterov, weight_decay } => {
            set(momentum, "momentum");
            set(weight_decay, "weight_decay");
            *nesterov = options.flag("nesterov").unwrap_or(*nesterov);
            if *nesterov && *momentum == 0.0 {
                return options.wrong("nesterov", "`nesterov` needs a momentum above 0");
            }
        }
        OptimizerConfig::Adam { betas, eps, weight_decay } | OptimizerConfig::AdamW { betas, eps, weight_decay } => {
            *betas = options.numbers("betas").unwrap_or(*betas);
            set(eps, "eps");
            set(weight_decay, "weight_decay");
        }
        OptimizerConfig::RmsProp { alpha, eps, momentum, weight_decay } => {
            set(alpha, "alpha");
            set(eps, "eps");
            set(momentum, "momentum");
            set(weight_decay, "weight_decay");
        }
    }
    Ok(Some(config))
}

fn schedule(table: &Table) -> Option<Schedule> {
    let (word, options) = table.choice("schedule", &keys::SCHEDULES)?;
    let number = |key: &str, usual: f64| options.as_ref().and_then(|table| table.number(key)).unwrap_or(usual);
    let whole = |key: &str, usual: u64| options.as_ref().and_then(|table| table.whole(key)).unwrap_or(usual);
    Some(match word {
        "step" => Schedule::Step { step_size: whole("step_size", 1), gamma: number("gamma", 1.0) },
        "exponential" => Schedule::Exponential { gamma: number("gamma", 1.0) },
        "cosine" => Schedule::Cosine { t_max: whole("t_max", 0), min_lr: number("min_lr", 0.0) },
        "warmup" => {
            Schedule::LinearWarmup { warmup_steps: whole("warmup_steps", 1), start_factor: number("start_factor", 0.1) }
        }
        "one_cycle" => Schedule::OneCycle {
            total_steps: whole("total_steps", 0),
            pct_start: number("pct_start", 0.3),
            div_factor: number("div_factor", 25.0),
            final_div_factor: number("final_div_factor", 1e4),
        },
        "plateau" => Schedule::ReduceOnPlateau {
            factor: number("factor", 0.1),
            patience: whole("patience", 2),
            threshold: number("threshold", 1e-4),
            min_lr: number("min_lr", 0.0),
        },
        _ => Schedule::Constant,
    })
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
