//! What `train` says before it begins and after it ended.

use std::ops::Range;

use wgrad::data::Dataset;
use wgrad::graph::{Fusion, Traffic};
use wgrad::nn::{Network, Summary};
use wgrad::session::PlanRow;
use wgrad::train::flow::{Finding, Verdict};
use wgrad::train::micro_batch;
use wgrad::train::run::Status;
use wgrad::train::{Drift, EpochReport, OptimizerConfig, Outcome, Schedule, ShadowReport, TrainConfig, Trainer};
use wgrad::verify::compare::{FLOAT32, Tolerance};

use super::output::Output;
use super::text::{self, Table};

/// The data set in a line.
pub fn data(output: &Output, data: &Dataset) {
    let (train, test) = (text::count(data.train.len() as u64), text::count(data.test.len() as u64));
    output.say(format!(
        "data      {} · {train} training and {test} test images of {} · {} classes",
        data.name,
        text::shape(&data.train.shape),
        data.classes.len()
    ));
}

/// A network's layers, aligned.
pub fn summary(output: &Output, summary: &Summary) {
    let layers = text::counted(summary.rows.len() as u64, "layer");
    let batch = text::counted(summary.batch as u64, "image");
    output.say(format!("network   {} · {layers} · forward pass of {batch}:", summary.network));
    let mut table = Table::new(["layer", "operator", ">output", ">parameters", ">FLOPs", ">bytes"]);
    for row in &summary.rows {
        let (name, kind) = (row.name.clone(), row.kind.to_owned());
        let costs = [text::count(row.parameters as u64), text::flops(row.flops), text::bytes(row.bytes)];
        let [parameters, flops, bytes] = costs;
        table.row([name, kind, text::shape(&row.output), parameters, flops, bytes]);
    }
    let [parameters, flops] = [text::count(summary.parameters as u64), text::flops(summary.flops)];
    table.row(["total".into(), String::new(), String::new(), parameters, flops, text::bytes(summary.bytes)]);
    output.say(format!("\n{}\n", table.lines()));
    for warning in &summary.warnings {
        let lines = text::wrapped(warning, "          ", 120);
        output.say(format!("warning   {}", lines.trim_start()));
    }
}

/// The nodes of a plan, aligned.
pub fn plan(output: &Output, rows: &[PlanRow], fusions: &[Fusion], traffic: Traffic) {
    let (watching, rows): (Vec<&PlanRow>, Vec<&PlanRow>) = rows.iter().partition(|row| row.watch);
    let dispatches: usize = rows.iter().map(|row| row.dispatches).sum();
    let copies: usize = rows.iter().map(|row| row.copies).sum();
    let nodes = text::counted(rows.len() as u64, "node");
    let copied = match copies {
        0 => String::new(),
        1 => " and 1 copy to a texture".to_owned(),
        more => format!(" and {more} copies to textures"),
    };
    output.say(format!(
        "plan      one training step is {nodes} in {}{copied}:",
        text::counted(dispatches as u64, "dispatch").replace("dispatchs", "dispatches")
    ));
    let mut table = Table::new(["node", "operator", "variant", ">dispatches"]);
    for row in rows {
        table.row([row.node.clone(), row.operator.into(), row.variant.into(), row.dispatches.to_string()]);
    }
    output.say(format!("\n{}\n", table.lines()));
    if !watching.is_empty() {
        let dispatches: usize = watching.iter().map(|row| row.dispatches).sum();
        let nodes = text::counted(watching.len() as u64, "node");
        output.say(format!("watching  a step that is watched has {nodes} more, in {dispatches} dispatches\n"));
    }
    if !fusions.is_empty() {
        let mut table = Table::new(["fusion", "instead of", "there is"]);
        for Fusion { pass, before, after } in fusions {
            // A node a line: some passes change many at once.
            for line in 0..before.len().max(after.len()) {
                let title = |titles: &[String]| titles.get(line).cloned().unwrap_or_default();
                let name = if line == 0 { pass.name() } else { "" };
                table.row([name.to_owned(), title(before), title(after)]);
            }
        }
        output.say(format!("{}\n", table.lines()));
    }
    let (moved, least) = (text::bytes(traffic.moved), text::bytes(traffic.least));
    output.say(format!("moves     {moved} a step; {least} are the least that any fusion could leave\n"));
}

/// The optimiser with its rate and decay, in words.
pub fn optimizer(config: &TrainConfig) -> String {
    let (name, decay) = match config.optimizer {
        OptimizerConfig::Sgd { momentum, weight_decay, .. } if momentum > 0.0 => {
            (format!("sgd with momentum {momentum}"), weight_decay)
        }
        OptimizerConfig::Sgd { weight_decay, .. } => ("sgd".to_owned(), weight_decay),
        OptimizerConfig::Adam { weight_decay, .. } => ("adam".to_owned(), weight_decay),
        OptimizerConfig::AdamW { weight_decay, .. } => ("adamw".to_owned(), weight_decay),
        OptimizerConfig::RmsProp { weight_decay, .. } => ("rmsprop".to_owned(), weight_decay),
    };
    let decay = if decay > 0.0 { format!(" · weight decay {decay}") } else { String::new() };
    let schedule = match config.schedule {
        Schedule::Constant => String::new(),
        Schedule::Step { .. } => " (step)".to_owned(),
        Schedule::Exponential { .. } => " (exponential)".to_owned(),
        Schedule::Cosine { .. } => " (cosine)".to_owned(),
        Schedule::LinearWarmup { .. } => " (warmup)".to_owned(),
        Schedule::OneCycle { .. } => " (one_cycle)".to_owned(),
        Schedule::ReduceOnPlateau { .. } => " (plateau)".to_owned(),
    };
    format!("{name} · learning rate {}{schedule}{decay}", text::rate(config.lr))
}

/// What is going to be done, and where its figures come from.
pub fn intentions(output: &Output, trainer: &Trainer, held_out: usize, asked: Option<usize>) {
    let config = trainer.config();
    let (epochs, steps) = (text::counted(config.epochs, "epoch"), text::counted(trainer.steps_per_epoch(), "step"));
    let batch = text::counted(config.batch as u64, "image");
    let most = config.steps.map_or(String::new(), |most| format!(", {} at most,", text::counted(most, "step")));
    output.say(format!(
        "training  {epochs} of {steps}{most} of {batch} · {} · seed {}",
        optimizer(config),
        config.seed
    ));
    if let Some(parts) = micro_batches(trainer.network(), config, asked) {
        output.say(format!("          {parts}"));
    }
    match trainer.dropped() as u64 {
        0 => {}
        dropped => {
            let images = text::counted(dropped, "training image");
            output.say(format!("          each epoch leaves out {images}, other ones each time: they fill no batch"));
        }
    }
    let images = text::counted(held_out as u64, "training image");
    output.say(match (trainer.holds_out(), config.patience) {
        (true, _) => format!("          validation figures come from {images} held out of training"),
        (false, None) => {
            "          validation figures come from the test images; --validation 0.1 holds some out instead".into()
        }
        (false, Some(_)) => "          validation figures, and so the moment to stop, come from the test images: \
                             the test score will flatter the network"
            .into(),
    });
    if !config.augment.is_off() {
        output.say(format!("augment   training images are {}", config.augment.describe()));
    }
    output.say(format!("memory    {} planned on the device", text::bytes(trainer.bytes())));
}

/// In how many parts a step is computed, and why, where that is more than one.
pub fn micro_batches(network: &Network, config: &TrainConfig, asked: Option<usize>) -> Option<String> {
    let parts = micro_batch::micro_batches(config.batch, config.micro_batch);
    let most = parts.iter().map(Range::len).max().filter(|_| parts.len() > 1)?;
    let even = if most * parts.len() == config.batch { "" } else { "at most " };
    let images = text::counted(most as u64, "image");
    let why = if asked.is_some_and(|asked| asked <= most) { "" } else { ", since the device takes no more" };
    let statistics = match micro_batch::depends_on_the_batch(network) {
        true => ";\n          batch normalisation takes its statistics from each of them, not from the whole batch",
        false => "",
    };
    let parts = parts.len();
    Some(format!("{parts} micro-batches of {even}{images} a step{why}; their gradients are added up{statistics}"))
}

/// The headings of the epochs' lines.
pub const EPOCH_HEADING: &str =
    "  epoch   train loss  accuracy   valid loss  accuracy   learning rate         speed      time";

/// An epoch in a line.
pub fn epoch(report: &EpochReport, epochs: u64) -> String {
    let EpochReport { epoch, loss, accuracy, validation, lr, images_per_second, seconds, .. } = report;
    format!(
        "  {:>5}   {:>10}  {:>8}   {:>10}  {:>8}   {:>13}  {:>12}  {:>8}",
        format!("{epoch}/{epochs}"),
        text::loss(*loss),
        text::percent(*accuracy),
        text::loss(validation.loss),
        text::percent(validation.accuracy),
        text::rate(*lr),
        text::speed(*images_per_second).replace("images", "img"),
        text::duration(*seconds)
    )
}

/// Columns that a verdict takes at most.
const WIDTH: usize = 118;

/// A verdict in words, and perhaps what helps.
pub fn verdict(verdict: &Verdict, with_cures: bool) -> String {
    let wrapped = |heading: &str, text: &str| {
        let behind = " ".repeat(heading.len());
        textwrap::fill(text, textwrap::Options::new(WIDTH).initial_indent(heading).subsequent_indent(&behind))
    };
    let mut lines: Vec<String> = Vec::new();
    for Finding { kind, words, cures, .. } in &verdict.findings {
        let heading = if lines.is_empty() { "          flow  " } else { "          and   " };
        let text = if words.is_empty() { kind.words().to_owned() } else { format!("{}: {words}", kind.words()) };
        lines.push(wrapped(heading, &text));
        let cures = cures.iter().filter(|_| with_cures);
        lines.extend(cures.map(|cure| wrapped("          try   ", &format!("{}: {}", cure.how, cure.what))));
    }
    lines.join("\n")
}

/// A verdict that is another one than before, with the step at which it was found.
pub fn change(verdict: &Verdict) -> String {
    format!("  at step {}, in epoch {}:\n{}", verdict.step, verdict.epoch, self::verdict(verdict, true))
}

/// A value's errors, each with what a float32 kernel may have.
pub fn errors(drift: &Drift) -> String {
    let (Drift { value, relative_l2, max_error }, Tolerance { relative_l2: l2, max_error: max }) = (drift, FLOAT32);
    format!("relative L2 {relative_l2:.1e} (allowed {l2:.0e}), largest element {max_error:.1e} ({max:.0e}), in {value}")
}

/// What the checks beside training found.
pub fn shadow(output: &Output, report: &ShadowReport) {
    let ShadowReport { checked, inherited, worst, .. } = report;
    output.say(format!("\nchecked   {} against the float64 reference", text::counted(*checked, "step")));
    if let Some(worst) = worst {
        output.say(format!("          {}", errors(worst)));
    }
    if *inherited > 0 {
        let steps = text::counted(*inherited, "step");
        output
            .say(format!("          {steps} beyond that, though every operator was right on the operands that it had"));
    }
}

/// How it ended, where it is, and what to do next.
pub fn end(
    output: &Output,
    outcome: &Outcome,
    images: usize,
    first_step: Option<f64>,
    (run, page): (&str, Option<&str>),
) {
    let test = &outcome.test;
    let steps = text::counted(outcome.steps, "step");
    let ended = match Status::from(outcome.ending) {
        Status::Patience => "stopped early: the validation loss no longer fell",
        Status::Interrupted => "interrupted; the weights are those after the last step",
        _ => "finished",
    };
    let right = (test.accuracy * images as f64).round() as u64;
    output.say(format!("\nended     {ended}"));
    output.say(format!(
        "test      loss {} · accuracy {:.2} % ({} of {} images)",
        text::loss(test.loss),
        100.0 * test.accuracy,
        text::count(right),
        text::count(images as u64)
    ));
    let first = first_step.map_or(String::new(), |first| format!(" · first step after {}", text::duration(first)));
    let (time, speed) = (text::duration(outcome.seconds), text::speed(outcome.images_per_second));
    output.say(format!("time      {time} for {steps} · {speed}{first}"));
    output.say(format!("saved     {run}"));
    if let Some(page) = page {
        output.say(format!("page      {page}"));
    }
    output.say(format!("\nnext      wgrad evaluate {run}\n          wgrad predict {run} IMAGE"));
}
