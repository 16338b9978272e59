//! `wgrad verify`

mod html;
mod rows;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use wgrad::gpu::{Caps, device};
use wgrad::kernels;
use wgrad::ops::Operator;
use wgrad::session::Device;
use wgrad::train::oracle;
use wgrad::train::run::DeviceRecord;
use wgrad::verify::case::{Case, Depth};
use wgrad::verify::compare::ORIGIN;
use wgrad::verify::oracle::{OracleCase, files_in};
use wgrad::verify::trial::{self, Outcome, Passes, Settings, Verdict};
use wgrad::verify::{dump, export, gradients, sweep, trust};

use super::args::VerifyArgs;
use super::output::{Output, complain, writable};
use super::{bar, open, text};
use rows::Row;

/// Stories that are printed in full; --json has the rest.
const MOST_STORIES: usize = 20;

/// Everything that was asked of one device.
struct Report {
    name: String,
    backend: String,
    driver: String,
    outcomes: Vec<Outcome>,
    seconds: f64,
    pipelines: usize,
}

/// How many cases passed, failed, and were not run.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    not_run: usize,
}

impl Counts {
    fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Failed => counts.failed += 1,
                Verdict::NotRun => counts.not_run += 1,
            }
        }
        counts
    }
}

/// Proves kernels.
pub fn run(args: &VerifyArgs) -> Result<()> {
    let output = Output::new(args.json);
    let started = Instant::now();
    if let Some(folder) = &args.export {
        return write_suite(args, &output, folder);
    }
    let (mut devices, refused) = devices(args)?;
    if args.no_subgroups {
        devices = devices.into_iter().map(without_subgroups).collect();
    }
    let replaced = wgrad::gpu::sources::replaced()?;
    if !replaced.is_empty() {
        complain(&format!("note: {} stand in for the program's own shaders", replaced.join(", ")));
    }
    if let Some(folder) = &args.dump {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    args.html.iter().try_for_each(|file| writable(file))?;
    let mut reports = Vec::new();
    for device in &devices {
        let report = verify(args, &output, device)?;
        show(&output, &report);
        write_evidence(args, &output, &report)?;
        reports.push(report);
    }
    let mut counts = Counts::of(reports.iter().flat_map(|report| &report.outcomes));
    counts.not_run += refused;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(file) = &args.html {
        html::write(file, &reports, seconds)?;
        output.say(format!("page      {}", file.display()));
    }
    output.say(format!("\n{}", sentence(counts, seconds)));
    output.event(&json!({
        "event": "summary", "passed": counts.passed, "failed": counts.failed, "not_run": counts.not_run,
        "seconds": seconds, "devices": devices.len(), "seed": args.seed,
        "sweep": if args.oracle.is_some() { "oracle" } else if args.full { "full" } else { "standard" },
        "pipelines": reports.iter().map(|report| report.pipelines).sum::<usize>(),
    }));
    output.finish()?;
    if counts.failed > 0 {
        bail!(
            "{} of {} cases failed",
            text::count(counts.failed as u64),
            text::count((counts.failed + counts.passed) as u64)
        );
    }
    if counts.passed == 0 {
        bail!("nothing could be run, so nothing is proven");
    }
    Ok(())
}

/// The standard sweep as files.
fn write_suite(args: &VerifyArgs, output: &Output, folder: &Path) -> Result<()> {
    let started = Instant::now();
    let cases = |caps: &Caps| {
        selected(args, Depth::Standard, caps).map_err(|error| wgrad::Error::Invalid(format!("{error:#}")))
    };
    let (programs, cases) = export::write(folder, cases, args.seed)?;
    let seconds = started.elapsed().as_secs_f64();
    output.say(format!(
        "suite     {} with {} in {} ({seconds:.0} s)",
        text::counted(cases as u64, "case"),
        text::counted(programs as u64, "program"),
        folder.display()
    ));
    output.event(
        &json!({ "event": "suite", "cases": cases, "programs": programs, "folder": folder, "seconds": seconds }),
    );
    output.finish()
}

fn without_subgroups(device: Device) -> Device {
    match device {
        Device::Gpu(gpu) => Device::Gpu(gpu.without_subgroups()),
        cpu @ Device::Cpu(_) => cpu,
    }
}

/// The devices that are asked for, and how many adapters refused to open.
fn devices(args: &VerifyArgs) -> Result<(Vec<Device>, usize)> {
    let backend = args.backend.choice()?;
    if args.device != "all" {
        return Ok((vec![pollster::block_on(Device::open(&args.device, backend))?], 0));
    }
    let count = pollster::block_on(device::list(backend)).len();
    if count == 0 {
        bail!(device::NO_ADAPTER);
    }
    let mut devices = Vec::new();
    for index in 0..count {
        match pollster::block_on(Device::open(&index.to_string(), backend)) {
            Ok(device) => devices.push(device),
            Err(error) => complain(&format!("not run: adapter {index}: {error}")),
        }
    }
    let refused = count - devices.len();
    Ok((devices, refused))
}

fn verify(args: &VerifyArgs, output: &Output, device: &Device) -> Result<Report> {
    let started = Instant::now();
    open::introduce(output, device);
    let DeviceRecord { name, backend, driver, .. } = device.into();
    let told = &|outcome: &Outcome| output.event(&event(outcome, &name, &backend));
    let mut outcomes = match &args.oracle {
        Some(folder) => answered(args, output, device, folder, told)?,
        None => swept(args, output, device, told)?,
    };
    let pipelines = match device {
        Device::Gpu(gpu) => {
            // What was found out before a device was lost is worth its report.
            if let Err(error) = gpu.check() {
                let lost = Outcome::of_device(error.to_string());
                told(&lost);
                outcomes.push(lost);
            }
            gpu.kernels().count()
        }
        Device::Cpu(_) => 0,
    };
    Ok(Report { name, backend, driver, outcomes, seconds: started.elapsed().as_secs_f64(), pipelines })
}

/// The cases of an oracle.
fn answered(
    args: &VerifyArgs,
    output: &Output,
    device: &Device,
    folder: &Path,
    told: impl Fn(&Outcome),
) -> Result<Vec<Outcome>> {
    let mut files = files_in(folder)?;
    let found = files.len();
    let stem = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files.retain(|file| args.case.as_ref().is_none_or(|text| stem(file).contains(text.as_str())));
    if files.is_empty() {
        let (folder, cases) = (folder.display(), text::counted(found as u64, "oracle case"));
        match &args.case {
            Some(text) if found > 0 => bail!("none of the {cases} in {folder} has `{text}` in its name"),
            _ => bail!("there are no oracle cases in {folder}: none of its files ends in .safetensors"),
        }
    }
    let (bar, mut outcomes) = (progress(files.len()), Vec::new());
    output.say(format!("verify    {} in {}", text::counted(files.len() as u64, "oracle case"), folder.display()));
    // A case that ends in a panic has failed, and is told as such.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    for file in &files {
        let answers = match OracleCase::load(file) {
            Ok(case) if !args.op.is_empty() && !args.op.contains(&case.op) => Vec::new(),
            Ok(case) => oracle::ask(device, &case, args.variant.as_deref()),
            Err(error) => vec![oracle::unreadable(&stem(file), &error)],
        };
        answers.iter().for_each(&told);
        outcomes.extend(answers);
        bar.inc(1);
        if args.fail_fast && outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed) {
            break;
        }
    }
    std::panic::set_hook(hook);
    bar.finish_and_clear();
    Ok(outcomes)
}

/// The sweep.
fn swept(args: &VerifyArgs, output: &Output, device: &Device, told: impl Fn(&Outcome) + Sync) -> Result<Vec<Outcome>> {
    let depth = if args.full { Depth::Full } else { Depth::Standard };
    let caps = match device {
        Device::Gpu(gpu) => *gpu.caps(),
        Device::Cpu(_) => Caps::DEFAULT,
    };
    let cases = selected(args, depth, &caps)?;
    output.say(format!(
        "verify    {} sweep · {} · seed {}",
        if args.full { "full" } else { "standard" },
        text::counted(cases.len() as u64, "case"),
        args.seed
    ));
    let passes = if args.checked { Passes::Checked } else { Passes::Both };
    let unchecked = match device {
        Device::Gpu(gpu) if !args.full => Some(trust::unchecked_programs(gpu)?),
        _ => None,
    };
    let (seed, variant, fail_fast) = (args.seed, args.variant.clone(), args.fail_fast);
    let settings = Settings { seed, variant, passes, unchecked, fail_fast };
    // The chain from the bottom: differences prove the references, the references prove the kernels.
    let mut outcomes = match (&args.variant, &args.case) {
        (None, None) => gradients::ask(|op| cases.iter().any(|case| case.op.name() == op.name())),
        _ => Vec::new(),
    };
    outcomes.iter().for_each(&told);
    let bar = progress(cases.len());
    outcomes.extend(trial::ask(device, &cases, &settings, |outcome| {
        bar.inc(1);
        told(outcome);
    }));
    bar.finish_and_clear();
    Ok(outcomes)
}

/// The cases that the options name; an option that names none is a mistake.
fn selected(args: &VerifyArgs, depth: Depth, caps: &Caps) -> Result<Vec<Case>> {
    let all = if args.op.is_empty() { Vec::new() } else { sweep::cases(Depth::Full, caps) };
    for op in &args.op {
        let known = |case: &Case| *op == case.operator() || *op == case.op.name();
        if !sweep::rooms().any(|room| room == op) && !all.iter().any(known) {
            let mut names: Vec<_> = all.iter().map(Case::operator).chain(sweep::rooms()).collect();
            names.sort_unstable();
            names.dedup();
            bail!("there is no operator `{op}`; there are {}", names.join(", "));
        }
    }
    if let Some(variant) = &args.variant {
        let names = kernels::names();
        if !names.contains(&variant.as_str()) {
            bail!("there is no variant `{variant}`; there are {}", names.join(", "));
        }
    }
    let mut cases: Vec<Case> = sweep::rooms()
        .flat_map(|room| sweep::room(room, depth, caps).into_iter().map(move |case| (room, case)))
        .filter(|(room, case)| {
            args.op.is_empty() || args.op.iter().any(|op| op == room || op == case.operator() || op == case.op.name())
        })
        .map(|(_, case)| case)
        .collect();
    if let Some(text) = &args.case {
        cases.retain(|case| case.name.contains(text.as_str()));
        if cases.is_empty() {
            bail!("no case's name contains `{text}`; --json lists them all");
        }
    }
    Ok(cases)
}

fn progress(cases: usize) -> ProgressBar {
    let bar = bar::cases(cases as u64);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    bar
}

fn event(outcome: &Outcome, device: &str, backend: &str) -> Value {
    let finite = |value: f64| if value.is_finite() { json!(value) } else { json!(value.to_string()) };
    let error =
        |of: fn(&wgrad::verify::compare::Difference) -> f64| outcome.worst.as_ref().map(|worst| finite(of(worst)));
    json!({
        "event": "case", "operator": outcome.operator, "direction": outcome.direction, "variant": outcome.variant,
        "case": outcome.case, "verdict": outcome.verdict,
        "relative_l2": error(|worst| worst.relative_l2), "max_error": error(|worst| worst.max_error),
        "max_absolute": error(|worst| worst.max_absolute),
        "tolerance": { "relative_l2": finite(outcome.tolerance.relative_l2), "max_error": finite(outcome.tolerance.max_error) },
        "tolerance_from": outcome.tolerance.origin(), "reason": outcome.story, "device": device, "backend": backend,
    })
}

/// The table, then the stories of what failed and the reasons of what was not run.
fn show(output: &Output, report: &Report) {
    let rows = Row::all(&report.outcomes);
    output.say(format!("\n{}\n", rows::table(&rows)));
    output.say(format!("tolerance {ORIGIN}"));
    for (reason, count) in rows::not_run(&report.outcomes) {
        output.say(format!("not run   {}: {reason}", text::counted(count as u64, "case")));
    }
    let failed: Vec<_> = report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed).collect();
    for outcome in failed.iter().take(MOST_STORIES) {
        let Outcome { operator, direction, variant, case, story, .. } = outcome;
        output.say(format!("\nFAILED    {operator} · {direction} · {variant} · {case}"));
        for line in story.as_deref().unwrap_or_default().lines() {
            output.say(format!("          {line}"));
        }
    }
    if failed.len() > MOST_STORIES {
        output.say(format!(
            "\n          and {} more; --json lists them all",
            text::count((failed.len() - MOST_STORIES) as u64)
        ));
    }
    let time = text::duration(report.seconds);
    output.say(format!("\ntime      {time} · {} compiled", text::counted(report.pipelines as u64, "pipeline")));
}

fn write_evidence(args: &VerifyArgs, output: &Output, report: &Report) -> Result<()> {
    let Some(folder) = &args.dump else { return Ok(()) };
    let mut written = 0;
    for outcome in &report.outcomes {
        written += u64::from(dump::dump(outcome, folder)?.is_some());
    }
    output.say(format!("dumped    {} in {}", text::counted(written, "failure"), folder.display()));
    Ok(())
}

fn sentence(counts: Counts, seconds: f64) -> String {
    let Counts { passed, failed, not_run } = counts;
    let [passed, failed, not_run] = [passed, failed, not_run].map(|count| text::count(count as u64));
    format!("verified  {passed} passed · {failed} failed · {not_run} not run · {}", text::duration(seconds))
}
