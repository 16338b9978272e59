//! `wgrad summary` and `wgrad networks`

use anyhow::Result;
use serde_json::json;
use wgrad::gpu::Caps;
use wgrad::graph::{Graph, Node};
use wgrad::kernels::{self, Lowered};
use wgrad::nn::{Network, shipped};
use wgrad::ops::Operator;
use wgrad::session::{Device, Options, PlanRow};
use wgrad::train::program::{self, Resident};
use wgrad::train::{TrainConfig, micro_batch};
use wgrad::verify::trust;

use super::args::SummaryArgs;
use super::output::Output;
use super::text::{self, Table};
use super::{open, report};

/// Shows a network without training it.
pub fn run(args: &SummaryArgs) -> Result<()> {
    let output = Output::new(args.json);
    let (network, config) = open::task(&args.network, &args.images)?;
    let micro_batch = args.micro_batch.or(config.micro_batch);
    let config = TrainConfig { batch: args.batch.unwrap_or(config.batch), micro_batch, ..config };
    config.check(usize::MAX)?;
    let summary = network.summary(config.batch)?;
    report::summary(&output, &summary);
    let images = text::counted(config.batch as u64, "image");
    output.say(format!("forward   {} for {images}", text::flops(summary.flops)));
    let mut object = json!({ "event": "summary", "summary": summary });
    match image(&network)? {
        None => {
            output.say("training  not possible: only networks with one input of images and class scores are trained")
        }
        Some(image) => {
            let device = open::device(&args.device)?;
            let most = largest_batch(&network, image, &config, &device)?;
            let data = one_batch(image, config.batch);
            let layout = network.layout()?;
            let settled = micro_batch::fitting(&device, (&network, &layout), &data, &config)?;
            let (settled, flops, (graph, fusions), bytes) = micro_batch::within_memory(&settled, |config| {
                let graph = step(&network, image, config)?;
                let here = device.fuse(graph.clone(), &config.no_fuse)?.0;
                let bytes = trust::session(&device, vec![here], Options::default())?.bytes();
                let (flops, fused) = (graph.flops(), graph.fuse(&config.no_fuse)?);
                Ok((config.clone(), flops, fused, bytes))
            })?;
            output.say(format!("step      {} for one training step: forward, backward and update", text::flops(flops)));
            if let Some(parts) = report::micro_batches(&network, &settled, config.micro_batch) {
                output.say(format!("          {parts}"));
            }
            let rows = plan(&graph, &Caps::DESKTOP)?;
            let dispatches = |rows: &[PlanRow]| rows.iter().map(|row| row.dispatches).sum::<usize>();
            let (desktop, default) = (dispatches(&rows), dispatches(&plan(&graph, &Caps::DEFAULT)?));
            output.say(format!(
                "          {desktop} dispatches on a desktop GPU, {default} on one with WebGPU's default limits"
            ));
            object["gpu_dispatches"] = json!(desktop);
            if args.explain_plan {
                report::plan(&output, &rows, &fusions, graph.traffic());
            }
            output.say(match most {
                0 => "batch     not even one image fits this device".to_owned(),
                most => format!(
                    "batch     tensors of up to {} fit this device; larger batches are computed in parts",
                    text::counted(most as u64, "image")
                ),
            });
            object["largest_batch"] = json!(most);
            object["micro_batch"] = json!(settled.micro_batch);
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

/// The nodes of a step as such a GPU would run them, which this machine need not have.
fn plan(graph: &Graph, caps: &Caps) -> Result<Vec<PlanRow>> {
    let row = |(node, lowered): (&Node, Lowered)| PlanRow {
        node: node.name.clone(),
        operator: node.op.name(),
        variant: lowered.variant,
        dispatches: lowered.dispatches.len(),
        copies: 0,
        watch: node.watch,
    };
    Ok(graph.nodes().iter().zip(kernels::plan(graph, caps)?).map(row).collect())
}

/// The largest batch whose tensors the device can bind, up to 2^24. How much memory it has, no device tells.
fn largest_batch(network: &Network, image: [usize; 3], config: &TrainConfig, device: &Device) -> Result<usize> {
    const MOST: usize = 1 << 24;
    let fits = |batch: usize| -> Result<bool> {
        // A tensor of 2^31 elements is refused when the graph is built.
        let config = TrainConfig { batch, micro_batch: None, ..config.clone() };
        let Ok(graph) = step(network, image, &config) else { return Ok(false) };
        Ok(device.fits(&device.fuse(graph, &config.no_fuse)?.0).is_ok())
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

/// Height, width and channels of the images of a network that can be trained.
fn image(network: &Network) -> Result<Option<[usize; 3]>> {
    let [input] = network.inputs.as_slice() else { return Ok(None) };
    let Ok(image) = <[usize; 3]>::try_from(input.shape.clone()) else { return Ok(None) };
    let output = network.summary(1)?.rows.last().map_or(0, |row| row.output.len());
    Ok((output == 2).then_some(image))
}

/// A data set of one batch.
fn one_batch(image: [usize; 3], batch: usize) -> Resident {
    Resident::new("train", batch, image, u64::MAX)
}

/// A training step on one batch that is there.
fn step(network: &Network, image: [usize; 3], config: &TrainConfig) -> wgrad::Result<Graph> {
    program::train(network, &network.layout()?, &one_batch(image, config.batch), config)
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
