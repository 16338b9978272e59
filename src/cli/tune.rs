//! `wgrad tune`, and what `train --tune` does before the first step.

use anyhow::Result;
use serde_json::json;
use wgrad::bench::tune::{Tuned, Tuning, tune};
use wgrad::nn::Network;
use wgrad::session::Device;
use wgrad::train::TrainConfig;
use wgrad::verify::preference;

use super::args::TuneArgs;
use super::open;
use super::output::Output;
use super::text::{self, Table, counted};

/// Seconds that tuning takes where nobody says.
pub const SECONDS: f64 = 10.0;

/// Times the kernels of a network's training step and remembers the fastest.
pub fn run(args: &TuneArgs) -> Result<()> {
    let output = Output::new(args.json);
    let (network, config) = open::task(&args.network, &args.images)?;
    let batch = args.batch.unwrap_or(config.batch);
    if batch == 0 {
        anyhow::bail!("--batch must be at least 1");
    }
    let device = open::device(&args.device)?;
    open::introduce(&output, &device);
    open::warn_of_software(&output, &device);
    output.say(format!("network   {} · {} a step", network.name, counted(batch as u64, "image")));
    if matches!(device, Device::Cpu(_)) {
        anyhow::bail!("the CPU reference has one way to compute each operator: there is nothing to tune");
    }
    let Tuning { kinds: all, left, better } =
        tuned(&output, &device, &network, &TrainConfig { batch, ..config }, args.seconds as f64)?;
    let spared: f64 = all.iter().map(Tuned::spared).sum();
    if let Some(file) = &args.export {
        let held = preference::export(file, &better)?;
        let added = counted(better.len() as u64, "choice");
        output.say(format!("exported  {added} to {}, which holds {held}", file.display()));
    }
    output.event(&json!({
        "event": "tuned", "network": network.name, "batch": batch, "device": device.name(), "backend": device.backend(),
        "kinds": all.len(), "left": left, "changed": all.iter().filter(|kind| changed(kind)).count(), "spared_ms": 1e3 * spared,
    }));
    output.finish()
}

fn changed(kind: &Tuned) -> bool {
    kind.times.first().is_some_and(|(guess, _)| *guess != kind.chosen)
}

/// Tunes and tells what was found.
pub fn tuned(
    output: &Output,
    device: &Device,
    network: &Network,
    config: &TrainConfig,
    seconds: f64,
) -> Result<Tuning> {
    let tuning = tune(device, network, config, seconds, |kind| {
        let times = kind.times.iter().map(|(variant, seconds)| json!({ "variant": variant, "ms": 1e3 * seconds }));
        output.event(&json!({
            "event": "kind", "node": kind.node, "operator": kind.operator, "nodes": kind.nodes,
            "times": times.collect::<Vec<_>>(), "chosen": kind.chosen,
        }));
    })?;
    let all = &tuning.kinds;
    if all.is_empty() {
        output.say("tuning    nothing: no node has several proven kernels");
        return Ok(tuning);
    }
    let mut table = Table::new(["node", "operator", ">nodes", "chosen", ">takes", "instead of", ">takes"]);
    for kind in all {
        let chosen = kind.times.iter().find(|(variant, _)| *variant == kind.chosen);
        let rest = kind.times.iter().filter(|(variant, _)| *variant != kind.chosen);
        for (row, other) in rest.enumerate() {
            let [chosen_name, chosen_time] = match (row, chosen) {
                (0, Some((name, seconds))) => [(*name).to_owned(), text::moment(*seconds)],
                _ => Default::default(),
            };
            let [node, operator, nodes] = match row {
                0 => [kind.node.clone(), kind.operator.to_owned(), kind.nodes.to_string()],
                _ => Default::default(),
            };
            table.row([node, operator, nodes, chosen_name, chosen_time, other.0.to_owned(), text::moment(other.1)]);
        }
    }
    output.say(format!("\n{}\n", table.lines()));
    let other = all.iter().filter(|kind| changed(kind)).count();
    let spared: f64 = all.iter().map(Tuned::spared).sum();
    output.say(match other {
        0 => "tuning    every guess was the fastest, or within 3 % of it".to_owned(),
        other => format!(
            "tuning    of {} kinds of nodes {other} got another kernel, which spares a step {}",
            all.len(),
            text::moment(spared)
        ),
    });
    if tuning.left > 0 {
        let left = tuning.left;
        output.say(format!(
            "          for {left} more there was no time, and the guess is used; `wgrad tune --seconds N` has more"
        ));
    }
    Ok(tuning)
}
