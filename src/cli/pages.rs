//! `wgrad report`: the page of a run or of an experiment, written again.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use wgrad::report::experiment::Written;
use wgrad::report::{self, Findings, Score};
use wgrad::session::Device;
use wgrad::train::experiment::RECORD;
use wgrad::train::run::{self, MODEL};

use super::args::{ReportArgs, ScoreArgs};
use super::evaluate::{self, Scored};
use super::output::{Output, complain};
use super::{open, text};

/// Writes the page.
pub fn run(args: &ReportArgs) -> Result<()> {
    let args = &args.score;
    let output = Output::new(args.json);
    if args.run.join(RECORD).is_file() {
        return experiment(&output, &args.run);
    }
    let record = run::read_record(&args.run)?;
    output.say(format!("run       {} · {} · {}", args.run.display(), record.network.name, evaluate::ending(&record)));
    let findings = match args.run.join(MODEL).exists() {
        true => {
            let device = open::device(&args.device)?;
            open::introduce(&output, &device);
            // A page without its mistakes is better than none, unless somebody asked for these very images.
            match found(&output, args, &device) {
                Err(error) if args.data.is_none() => Err(text::sentence(&format!("{error:#}"))),
                found => Ok(found?),
            }
        }
        false => Err(format!("the run holds no {MODEL}")),
    };
    let missing = findings.as_ref().err().map(|why| format!("Nobody asked the network: {why}."));
    if let Some(why) = findings.as_ref().err() {
        complain(&format!("warning: the page lacks what the test images showed: {why}"));
    }
    let score = match (&findings, &missing) {
        (Ok(findings), _) => Score::Found(findings),
        (Err(_), why) => Score::Missing(why.as_deref().unwrap_or_default()),
    };
    let file = report::write(&args.run, score)?;
    output.say(format!("page      {}", file.display()));
    let findings = findings.as_ref().ok();
    output.event(&json!({
        "event": "report", "page": file.display().to_string(), "run": args.run.display().to_string(),
        "test_accuracy": findings.map(|findings| findings.accuracy), "test_loss": findings.map(|findings| findings.loss),
    }));
    output.finish()
}

/// Writes the page and the plots of an experiment.
fn experiment(output: &Output, path: &Path) -> Result<()> {
    let Written { page, plots, warnings } = report::experiment::write(path)?;
    warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    output.say(format!("page      {}\nplots     {}", page.display(), plots.display()));
    output.event(&json!({
        "event": "report", "page": page.display().to_string(), "plots": plots.display().to_string(),
        "experiment": path.display().to_string(),
    }));
    output.finish()
}

/// What the test images show.
fn found(output: &Output, args: &ScoreArgs, device: &Device) -> Result<Findings> {
    let Scored { run, data, evaluation, .. } = evaluate::scored(output, args, run::read(&args.run)?, device)?;
    let found = Findings::new(device, &run.record.network, &run.state, &data.test, &evaluation);
    Ok(pollster::block_on(found)?)
}
