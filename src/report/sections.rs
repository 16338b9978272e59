//! The parts of the page about how the run went.

use std::path::Path;

use super::plot::{Curve, Plot, Scale};
use super::readings::{Epoch, Readings, Step};
use super::{Score, flow as layers, network as picture, page::escaped, text};
use crate::error::Result;
use crate::train::run::{RunRecord, Status};

/// Where the largest value is so many times the smallest, an axis runs by factors.
const WIDE: f64 = 100.0;

/// How the run stands.
fn standing(status: Status) -> &'static str {
    match status {
        Status::Running => "It goes on, or was killed.",
        Status::Finished => "It came to its end.",
        Status::Patience => "It stopped early: the validation loss no longer fell.",
        Status::Interrupted => "It was interrupted; the weights are those after its last step.",
        Status::Diverged => "It left the finite numbers; the weights are the last good ones.",
        Status::Disagreed => "The device computed a step wrongly; the weights are those before it.",
        Status::Failed => "The device failed.",
    }
}

fn tile(value: &str, name: &str) -> String {
    format!("<div class=\"tile\"><b>{value}</b><span>{name}</span></div>")
}

/// The figures that matter most.
pub fn figures(run: &Path, record: &RunRecord, readings: &Readings, score: Score) -> String {
    let last = readings.epochs.last();
    let mut tiles = String::new();
    let test = match (score, record.figures) {
        (Score::Found(findings), _) => Some((findings.accuracy, findings.loss)),
        (Score::Missing(_), figures) => figures.map(|figures| (figures.test_accuracy, figures.test_loss)),
    };
    if let Some((accuracy, loss)) = test {
        tiles += &tile(&format!("{:.2} %", 100.0 * accuracy), "test accuracy");
        tiles += &tile(&text::loss(loss), "test loss (nats)");
    } else if let Some((accuracy, loss)) = last.and_then(|last| last.validation_accuracy.zip(last.validation_loss)) {
        tiles += &tile(&text::percent(accuracy), "validation accuracy so far");
        tiles += &tile(&text::loss(loss), "validation loss so far (nats)");
    }
    let steps = readings.steps.last().map_or(0, |step| step.step).max(record.steps);
    tiles += &tile(&format!("{} of {}", readings.epochs.len(), text::count(record.config.epochs)), "epochs");
    tiles += &tile(&text::count(steps), "steps");
    let speed = record.figures.map(|figures| figures.images_per_second);
    if let Some(speed) = speed.or_else(|| last.and_then(|last| last.images_per_second)) {
        tiles += &tile(&text::speed(speed), "while training");
    }
    let seconds = readings.epochs.iter().filter_map(|epoch| epoch.seconds).sum();
    tiles += &tile(&text::duration(record.figures.map_or(seconds, |figures| figures.seconds)), "in training steps");
    if let Some(first) = record.figures.and_then(|figures| figures.first_step_seconds) {
        tiles += &tile(&text::duration(first), "until the first step was done");
    }
    let mut html = format!(
        "<p class=\"meta\">{} · {} · begun {}</p>\n<p>{}</p>\n",
        escaped(&run.display().to_string()),
        escaped(&record.device.name),
        escaped(&record.started.replace('T', " ")),
        standing(record.ending)
    );
    if let Some(error) = &record.error {
        html += &format!("<pre>{}</pre>\n", escaped(error));
    }
    if readings.damaged > 0 {
        let lines = text::counted(readings.damaged as u64, "line");
        html += &format!("<p class=\"meta\">{lines} of metrics.jsonl could not be read and are left out.</p>\n");
    }
    html + &format!("<div class=\"tiles\">{tiles}</div>\n")
}

/// Steps of an epoch.
fn epoch_length(record: &RunRecord) -> f64 {
    let images = record.data.training_images.saturating_sub(record.data.held_out_images);
    (images / record.config.batch.max(1)) as f64
}

/// What was written of some steps.
fn of_steps(name: &str, readings: &Readings, value: impl Fn(&Step) -> Option<f64>) -> Curve {
    let point = |step: &Step| [step.step as f64, value(step).unwrap_or(f64::NAN)];
    Curve { name: name.to_owned(), points: readings.steps.iter().map(point).collect(), marked: false }
}

/// What was written of the epochs, each at its last step.
fn of_epochs(name: &str, record: &RunRecord, readings: &Readings, value: impl Fn(&Epoch) -> Option<f64>) -> Curve {
    let length = epoch_length(record);
    let point = |epoch: &Epoch| [epoch.epoch as f64 * length, value(epoch).unwrap_or(f64::NAN)];
    Curve { name: name.to_owned(), points: readings.epochs.iter().map(point).collect(), marked: true }
}

/// By factors where the values ask for it.
fn scale(curves: &[Curve], otherwise: Scale) -> Scale {
    let values = curves.iter().flat_map(|curve| &curve.points).map(|point| point[1]).filter(|value| value.is_finite());
    let [low, high] = [values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max)];
    if low > 0.0 && high > WIDE * low { Scale::Log } else { otherwise }
}

/// Loss and accuracy.
pub fn curves(record: &RunRecord, readings: &Readings) -> Result<String> {
    let validation = if record.data.held_out_images > 0 { "validation" } else { "test images, as validation" };
    let x = format!("step ({} an epoch)", text::count(epoch_length(record) as u64));
    let loss = vec![
        of_steps("training, by step", readings, |step| step.loss),
        of_epochs(validation, record, readings, |epoch| epoch.validation_loss),
        of_epochs("training, by epoch", record, readings, |epoch| epoch.train_loss),
    ];
    let percent = |share: Option<f64>| share.map(|share| 100.0 * share);
    let accuracy = vec![
        of_steps("training, by step", readings, |step| percent(step.accuracy)),
        of_epochs(validation, record, readings, |epoch| percent(epoch.validation_accuracy)),
        of_epochs("training, by epoch", record, readings, |epoch| percent(epoch.train_accuracy)),
    ];
    let plots = [
        Plot {
            title: "Loss".into(),
            x: x.clone(),
            y: "cross-entropy (nats)".into(),
            scale: scale(&loss, Scale::FromZero),
            curves: loss,
        },
        Plot { title: "Accuracy".into(), x, y: "right answers (%)".into(), scale: Scale::Linear, curves: accuracy },
    ];
    Ok(format!("<h2>Loss and accuracy</h2>\n<div class=\"plots\">{}{}</div>\n", plots[0].figure()?, plots[1].figure()?))
}

/// Learning rate and images a second.
pub fn pace(record: &RunRecord, readings: &Readings) -> Result<String> {
    let rates = vec![of_steps("learning rate", readings, |step| step.lr)];
    let rate = Plot {
        title: "Learning rate".into(),
        x: "step".into(),
        y: "learning rate (no unit)".into(),
        scale: scale(&rates, Scale::FromZero),
        curves: rates,
    };
    let speed = Plot {
        title: "Throughput".into(),
        x: "step".into(),
        y: "training images a second".into(),
        scale: Scale::FromZero,
        curves: vec![
            of_steps("since the epoch began", readings, |step| step.images_per_second),
            of_epochs("by epoch, without validation", record, readings, |epoch| epoch.images_per_second),
        ],
    };
    Ok(format!(
        "<h2>Learning rate and throughput</h2>\n<div class=\"plots\">{}{}</div>\n",
        rate.figure()?,
        speed.figure()?
    ))
}

/// How gradients flow: the whole gradient, then the layers.
pub fn flow(readings: &Readings) -> Result<String> {
    let norm = Plot {
        title: "Whole gradient, before clipping".into(),
        x: "step".into(),
        y: "L2 norm (no unit)".into(),
        scale: Scale::Log,
        curves: vec![of_steps("norm", readings, |step| step.gradient_norm)],
    };
    Ok(format!("<h2>Gradient flow</h2>\n{}", layers::section(norm.figure()?, &readings.flow)?))
}

/// The network's picture.
pub fn network(record: &RunRecord) -> Result<String> {
    let network = &record.network;
    let summary = network.summary(1)?;
    let flops = text::flops(summary.flops);
    Ok(format!(
        "<h2>Network</h2>\n<p class=\"meta\">{} · {} · {} trained · {flops} an image forward</p>\n<div class=\"window\">{}</div>\n",
        escaped(&network.name),
        text::counted(network.layers.len() as u64, "layer"),
        text::counted(summary.parameters as u64, "parameter"),
        picture::picture(network)?
    ))
}
