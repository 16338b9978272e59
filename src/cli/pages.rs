//! `wgrad report`: the page of a run, written again.

use anyhow::Result;
use serde_json::json;
use wgrad::report::{self, Findings, Score};
use wgrad::session::Device;
use wgrad::train::run::{self, MODEL};

use super::args::{ReportArgs, ScoreArgs};
use super::evaluate::{self, Scored};
use super::output::{Output, complain};
use super::{open, text};

/// Writes the page.
pub fn run(args: &ReportArgs) -> Result<()> {
    let args = &args.score;
    let output = Output::new(args.json);
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

/// What the test images show.
fn found(output: &Output, args: &ScoreArgs, device: &Device) -> Result<Findings> {
    let Scored { run, data, evaluation, .. } = evaluate::scored(output, args, run::read(&args.run)?, device)?;
    let found = Findings::new(device, &run.record.network, &run.state, &data.test, &evaluation);
    Ok(pollster::block_on(found)?)
}
