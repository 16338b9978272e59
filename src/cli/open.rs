//! From words on the command line to a device, a data set and a network.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use wgrad::Error;
use wgrad::data::{Dataset, Event, LoadOptions, PictureOptions, Source};
use wgrad::gpu::device::NO_ADAPTER;
use wgrad::nn::Network;
use wgrad::nn::shipped::{self, Choices};
use wgrad::session::Device;
use wgrad::train::TrainConfig;
use wgrad::train::recipe::shipped::{ALL, Shipped};
use wgrad::train::recipe::{DataRecipe, NetworkRecipe, Recipe};
use wgrad::train::run::{DeviceRecord, RunRecord, read_record};

use super::args::{DataArgs, DeviceArgs, ImageArgs, MirrorArgs, PictureArgs};
use super::bar::{Loading, Proofs};
use super::output::Output;
use super::{report, text};

/// Opens the device.
pub fn device(args: &DeviceArgs) -> wgrad::Result<Device> {
    let device = pollster::block_on(Device::open(&args.device, args.backend.choice()?))?;
    if let Device::Gpu(gpu) = &device {
        gpu.set_trust(args.trust.trust());
        let proofs = Proofs::default();
        gpu.on_proof(move |proving| proofs.show(proving));
    }
    Ok(device)
}

/// Says which device it is, and why.
pub fn introduce(output: &Output, device: &Device) {
    let DeviceRecord { name, kind, backend, driver } = device.into();
    if let Device::Cpu(why) = device {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = text::counted(threads as u64, "thread");
        output.say(format!("device    CPU reference, on {threads}: correct, but slow"));
        output.say(format!("          {why}"));
        if why != NO_ADAPTER {
            output.say("          a GPU is much faster; `wgrad devices` lists what this machine has");
        }
        return;
    }
    output.say(format!("device    {name}"));
    let kind = if kind == "CPU" { "software adapter" } else { kind.as_str() };
    let driver = if driver.is_empty() { String::new() } else { format!(" · driver {driver}") };
    output.say(format!("          {kind} · {backend}{driver}"));
    output.say(format!("          chosen: {}", device.why()));
}

/// Says that a device computes on the processor, though it looks like a GPU.
pub fn warn_of_software(output: &Output, device: &Device) {
    if matches!(device, Device::Gpu(gpu) if gpu.caps().cpu) {
        output.say("          a software adapter computes on the processor: a GPU with its driver is much faster");
    }
}

/// How the pictures of a run's own folder, or of another one in its place, are read for its network.
pub fn pictures_of(record: &RunRecord, other: Option<&str>, skip_bad: bool) -> PictureOptions {
    let Some(other) = other else {
        let own = record.data.pictures.unwrap_or_default();
        return PictureOptions { skip_bad: own.skip_bad || skip_bad, ..own };
    };
    let is_folder = matches!(other.parse(), Ok(Source::Pictures(_)));
    PictureOptions { size: is_folder.then(|| record.input_shape.into()), skip_bad }
}

/// Loads a data set, shows how far that is, and says what it is.
pub fn data(
    output: &Output,
    source: &str,
    mirror: &MirrorArgs,
    classes: usize,
    pictures: PictureOptions,
) -> anyhow::Result<Dataset> {
    let (loading, notes) = (Mutex::new(Loading::default()), Mutex::new(Vec::new()));
    let observe = |event: Event| match event {
        Event::Note(note) => notes.lock().unwrap_or_else(PoisonError::into_inner).push(note.to_owned()),
        event => loading.lock().unwrap_or_else(PoisonError::into_inner).show(event),
    };
    let mirror = mirror.mirror.clone();
    let options = LoadOptions { mirror, classes, pictures, observe: &observe, ..LoadOptions::default() };
    let loaded = wgrad::data::load(source, &options);
    loading.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let data = loaded?;
    report::data(output, &data);
    for note in notes.into_inner().unwrap_or_else(PoisonError::into_inner) {
        output.say(format!("          {note}"));
    }
    Ok(data)
}

/// Loads the data set of a recipe, whose images must be those that it is for.
pub fn data_of(output: &Output, recipe: &DataRecipe, asked: PictureArgs) -> anyhow::Result<Dataset> {
    let (own, asked) = (recipe.pictures(), asked.options());
    let pictures = PictureOptions { size: asked.size.or(own.size), skip_bad: asked.skip_bad || own.skip_bad };
    let mirror = MirrorArgs { mirror: recipe.mirror.clone() };
    let data = data(output, &recipe.source, &mirror, recipe.classes, pictures)?;
    let wanted = recipe.image.filter(|image| asked.size.is_none() && *image != data.train.shape);
    if let Some(wanted) = wanted {
        let [wanted, found] = [wanted, data.train.shape].map(|shape| text::shape(&shape));
        anyhow::bail!(
            "the recipe is for images of {wanted}, but those of {} are {found}; mend `image` in [data]",
            data.name
        );
    }
    Ok(data)
}

/// Loads the data set of a run, or the one that is asked for instead, with its pictures read as the run's were.
pub fn data_of_run(output: &Output, record: &RunRecord, asked: &DataArgs) -> anyhow::Result<Dataset> {
    let source = asked.source.as_deref();
    let wanted = asked.pictures.options();
    let of_run = pictures_of(record, source, wanted.skip_bad);
    let pictures = PictureOptions { size: wanted.size.or(of_run.size), ..of_run };
    let classes = asked.classes.unwrap_or(record.classes.len());
    data(output, source.unwrap_or(&record.data.source), &asked.mirror, classes, pictures)
}

/// Images of a network that comes with the program, where nobody says another size.
pub const USUAL_IMAGE: [usize; 3] = [28, 28, 1];

/// The recipe of a file or one that comes with the program, data and training included; without a word the usual one.
pub fn whole_recipe(word: Option<&str>) -> anyhow::Result<Recipe> {
    word.map_or_else(|| Ok(Recipe::default()), |word| recipe_named(word, "or a TOML file"))
}

/// The recipe of a file, or the usual one with a network that has a name.
pub fn recipe(word: &str) -> anyhow::Result<Recipe> {
    let path = Path::new(word);
    let is_file = path.extension().is_some_and(|extension| extension == "toml") || path.is_file();
    if shipped::NAMES.contains(&word) || !is_file {
        let network = NetworkRecipe::Shipped { name: word.to_owned(), choices: Choices::default() };
        return Ok(Recipe { network, ..Recipe::default() });
    }
    Ok(Recipe::read(path)?)
}

/// The recipe of a file, or one that comes with the program; where it is neither, the error ends in what it may be besides.
pub fn recipe_named(word: &str, besides: &str) -> anyhow::Result<Recipe> {
    // A shipped recipe's name is no file's, and a file's may end as it likes.
    let is_shipped = ALL.iter().any(|shipped| shipped.name == word);
    if !is_shipped && (Path::new(word).exists() || word.ends_with(".toml")) {
        return Ok(Recipe::read(Path::new(word))?);
    }
    Ok(Shipped::find(word).map_err(|error| Error::Invalid(format!("{error}, {besides}")))?.recipe()?)
}

/// The network of a run, of a recipe, of a file, or with a name; and how it was or would be trained.
pub fn task(word: &str, images: &ImageArgs) -> anyhow::Result<(Network, TrainConfig)> {
    let path = Path::new(word);
    if path.is_dir() && !shipped::NAMES.contains(&word) {
        let record = read_record(path)?;
        return Ok((record.network, record.config));
    }
    let recipe = recipe(word)?;
    let image = images.image.or(recipe.data.image).unwrap_or(USUAL_IMAGE);
    let network = recipe.network(image, images.classes.unwrap_or(recipe.data.classes))?;
    Ok((network, recipe.config(0)))
}
