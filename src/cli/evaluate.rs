//! `wgrad evaluate`

use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use wgrad::data::Dataset;
use wgrad::session::Device;
use wgrad::train::run::{self, DeviceRecord, Run, Status};
use wgrad::train::{Evaluation, Evaluator};

use super::args::{EvaluateArgs, ScoreArgs};
use super::open;
use super::output::{Output, complain};
use super::text::{self, Table};

/// Classes that fit in a confusion matrix on a screen.
const MOST_CLASSES: usize = 30;

/// A run's weights, scored.
pub struct Scored {
    pub run: Run,
    pub data: Dataset,
    pub evaluation: Evaluation,
    pub seconds: f64,
}

/// Scores the weights of a run on test images, and warns where these are not the run's own.
pub fn scored(output: &Output, args: &ScoreArgs, run: Run, device: &Device) -> Result<Scored> {
    let record = &run.record;
    let source = args.data.as_deref().unwrap_or(&record.data.source);
    let pictures = open::pictures_of(record, args.data.as_deref(), args.skip.skip_bad);
    let data = open::data(output, source, &args.mirror, record.classes.len(), pictures)?;
    if data.classes != record.classes {
        complain(&format!(
            "warning: the classes of {source} have other names than the run's; they are matched by number"
        ));
    }
    if args.data.is_none() && data.fingerprint() != record.data.fingerprint {
        complain(&format!("warning: {source} no longer holds the images that this run was trained and tested on"));
    }
    let mut evaluator = Evaluator::new(device, &record.network, &data.test, data.classes.len(), &run.state)?;
    let begun = Instant::now();
    let evaluation = pollster::block_on(evaluator.run())?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Scored { run, data, evaluation, seconds })
}

/// Scores a run.
pub fn run(args: &EvaluateArgs) -> Result<()> {
    let args = &args.score;
    let output = Output::new(args.json);
    let run = run::read(&args.run)?;
    let device = open::device(&args.device)?;
    output.say(format!("run       {} · {} · {}", args.run.display(), run.record.network.name, ending(&run.record)));
    open::introduce(&output, &device);
    let Scored { run: Run { record, .. }, data, evaluation, seconds } = scored(&output, args, run, &device)?;
    let speed = data.test.len() as f64 / seconds.max(1e-9);
    print(&output, &evaluation, &record.classes);
    let Evaluation { loss, accuracy, confusion, .. } = &evaluation;
    output.say(format!(
        "\nloss      {}\naccuracy  {:.2} % of {}\ntime      {} · {}",
        text::loss(*loss),
        100.0 * accuracy,
        text::counted(data.test.len() as u64, "image"),
        text::duration(seconds),
        text::speed(speed)
    ));
    let DeviceRecord { name, backend, .. } = (&device).into();
    output.event(&json!({
        "event": "evaluation", "test_accuracy": accuracy, "test_loss": loss, "images_per_second": speed,
        "seconds": seconds, "steps": record.steps, "images": data.test.len(), "device": name, "backend": backend,
        "run": args.run.display().to_string(), "network": record.network.name, "ending": record.ending,
        "seed": record.seed, "data": data.name, "classes": record.classes, "confusion": confusion,
    }));
    output.finish()
}

/// How the run that made the weights ended.
pub fn ending(record: &run::RunRecord) -> String {
    let steps = text::counted(record.steps, "step");
    match record.ending {
        Status::Finished | Status::Patience => format!("trained for {steps}"),
        Status::Interrupted => format!("interrupted after {steps}"),
        Status::Diverged => format!("diverged; the last good weights, after {steps}"),
        Status::Disagreed => format!("stopped where the device was wrong; weights after {steps}"),
        Status::Running | Status::Failed => format!("did not come to an end; weights after {steps}"),
    }
}

fn print(output: &Output, evaluation: &Evaluation, classes: &[String]) {
    if classes.len() > MOST_CLASSES {
        let most = format!("{} classes make too large a matrix to print; --json has it", classes.len());
        return output.say(format!("\n{most}"));
    }
    let headings = std::iter::once("label".to_owned()).chain(classes.iter().cloned());
    let mut table = Table::matrix(headings.chain(["right".to_owned()]).collect());
    for (index, (name, row)) in classes.iter().zip(&evaluation.confusion).enumerate() {
        let total: u64 = row.iter().sum();
        let right = if total == 0 { "–".to_owned() } else { text::percent(row[index] as f64 / total as f64) };
        // A dot is easier to overlook than a nought, and the matrix is about the others.
        let cells = row.iter().map(|&count| if count == 0 { "·".to_owned() } else { count.to_string() });
        table.row(std::iter::once(name.clone()).chain(cells).chain([right]).collect::<Vec<_>>());
    }
    output.say(format!("\nImages by label (down) and by the network's answer (across):\n\n{}", table.lines()));
}
