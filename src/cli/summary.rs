//! `wgrad summary` and `wgrad networks`

use anyhow::Result;
use serde_json::json;
use wgrad::nn::{Network, shipped};
use wgrad::session::{Device, Options};
use wgrad::train::program::{self, Resident};
use wgrad::train::{Schedule, TrainConfig};
use wgrad::verify::trust;

use super::args::SummaryArgs;
use super::output::Output;
use super::text::{self, Table};
use super::{open, report};

/// Shows a network without training it.
pub fn run(args: &SummaryArgs) -> Result<()> {
    let output = Output::new(args.json);
    let (network, config) = open::task(&args.network, &args.images)?;
    let config = TrainConfig { batch: args.batch.unwrap_or(config.batch), ..config };
    if config.batch == 0 {
        anyhow::bail!("--batch must be at least 1");
    }
    let summary = network.summary(config.batch)?;
    report::summary(&output, &summary);
    let images = text::counted(config.batch as u64, "image");
    output.say(format!("forward   {} for {images}", text::flops(summary.flops)));
    let mut object = json!({ "event": "summary", "summary": summary });
    match step(&network, &config)? {
        None => {
            output.say("training  not possible: only networks with one input of images and class scores are trained")
        }
        Some(graph) => {
            let flops = graph.flops();
            output.say(format!("step      {} for one training step: forward, backward and update", text::flops(flops)));
            let device = open::device(&args.device)?;
            let graph = graph.fuse(&config.no_fuse)?.0;
            let most = largest_batch(&network, &config, &device)?;
            output.say(match most {
                0 => "batch     not even one image fits this device".to_owned(),
                most => format!("batch     tensors of up to {} fit this device", text::counted(most as u64, "image")),
            });
            object["largest_batch"] = json!(most);
            device.fits(&graph)?;
            let bytes = trust::session(&device, vec![graph], Options::default())?.bytes();
            output.say(format!(
                "memory    {} for training on {} ({}), the data set not counted",
                text::bytes(bytes),
                device.name(),
                device.backend()
            ));
            object["step_flops"] = json!(flops);
            object["memory_bytes"] = json!(bytes);
            object["device"] = json!(device.name());
            object["backend"] = json!(device.backend());
        }
    }
    output.event(&object);
    output.finish()
}

/// The largest batch whose tensors the device can bind, up to 2^24. How much memory it has, no device tells.
fn largest_batch(network: &Network, config: &TrainConfig, device: &Device) -> Result<usize> {
    const MOST: usize = 1 << 24;
    let fits = |batch: usize| -> Result<bool> {
        // A tensor of 2^31 elements is refused when the graph is built.
        let Ok(Some(graph)) = step(network, &TrainConfig { batch, ..config.clone() }) else { return Ok(false) };
        Ok(device.fits(&graph.fuse(&config.no_fuse)?.0).is_ok())
    };
    let (mut fitting, mut too_large) = (0, 1);
    while too_large <= MOST && fits(too_large)? {
        (fitting, too_large) = (too_large, 2 * too_large);
    }
    while too_large - fitting > 1 && fitting < MOST {
        let middle = fitting + (too_large - fitting) / 2;
        if fits(middle)? { fitting = middle } else { too_large = middle }
    }
    Ok(fitting)
}

/// A training step without a data set: on one batch that is there.
fn step(network: &Network, config: &TrainConfig) -> Result<Option<wgrad::graph::Graph>> {
    let [input] = network.inputs.as_slice() else { return Ok(None) };
    let Ok(image) = <[usize; 3]>::try_from(input.shape.clone()) else { return Ok(None) };
    let output = network.summary(1)?.rows.last().map_or(0, |row| row.output.len());
    if output != 2 {
        return Ok(None);
    }
    let data = Resident::new("train", config.batch, image, u64::MAX);
    let config = TrainConfig { schedule: Schedule::Constant, ..config.clone() };
    Ok(Some(program::train(network, &network.layout()?, &data, &config)?))
}

/// Lists the networks that come with the program.
pub fn networks(output: &Output) -> Result<()> {
    let mut table = Table::new(["name", ">layers", ">parameters", "for 28×28×1 images and 10 classes"]);
    for name in shipped::NAMES {
        let network = shipped::network(name, [28, 28, 1], 10)?;
        let summary = network.summary(1)?;
        let parameters = text::count(summary.parameters as u64);
        let flops = format!("{} an image", text::flops(summary.flops));
        table.row([name.to_owned(), network.layers.len().to_string(), parameters, flops]);
    }
    output.say(format!("{}\n\nwgrad summary NAME shows the layers; a TOML file describes your own.", table.lines()));
    output.finish()
}
