//! `wgrad bench`

mod html;
mod plot;
mod rows;

use std::io::IsTerminal;

use anyhow::{Result, bail};
use serde_json::json;
use wgrad::bench::compare::{Comparison, compare, read};
use wgrad::bench::regret::regret;
use wgrad::bench::roof::Roofs;
use wgrad::bench::{self, Bench, Item, Outcome, Row, Settings};
use wgrad::gpu::device;
use wgrad::kernels;
use wgrad::session::Device;

use super::args::BenchArgs;
use super::output::{Output, complain, writable};
use super::text::{self, Table};
use super::{bar, open};

/// Seconds for a row where nobody asks for others, and with `--quick`.
const SECONDS: [f64; 2] = [0.4, 0.05];

/// Everything that was measured on one device.
struct Report {
    device: Device,
    roofs: Option<Roofs>,
    rows: Vec<Row>,
    seconds: f64,
    /// What ended it early.
    failure: Option<String>,
}

/// Measures, or compares.
pub fn run(args: &BenchArgs) -> Result<()> {
    let output = Output::new(args.json || args.csv);
    if args.list {
        return list(args, &output);
    }
    if let Some([a, b]) = args.compare.as_deref() {
        let comparison = compare(&read(a)?, &read(b)?);
        return compared(&output, &comparison, [&a.display().to_string(), &b.display().to_string()]);
    }
    let (items, settings) = (selected(args)?, settings(args)?);
    args.html.iter().try_for_each(|file| writable(file))?;
    let devices = devices(args)?;
    let replaced = wgrad::gpu::sources::replaced()?;
    if !replaced.is_empty() {
        complain(&format!("note: {} stand in for the program's own shaders", replaced.join(", ")));
    }
    if args.csv {
        output.line(rows::CSV);
    }
    let mut reports = Vec::new();
    for device in devices {
        let report = measure(args, &output, device, &items, &settings)?;
        show(&output, &report);
        reports.push(report);
    }
    if reports.len() > 1 {
        output.say(format!("\nside by side\n\n{}", rows::side_by_side(&reports)));
    }
    if let Some(file) = &args.html {
        html::write(file, &reports)?;
        output.say(format!("\npage      {}", file.display()));
    }
    output.finish()?;
    end(&reports)
}

/// What makes the command fail.
fn end(reports: &[Report]) -> Result<()> {
    if let Some(failure) = reports.iter().find_map(|report| report.failure.as_ref()) {
        bail!("{failure}");
    }
    let wrong = reports.iter().flat_map(|report| &report.rows).filter(|row| row.outcome == Outcome::Wrong).count();
    if wrong > 0 {
        bail!("{} gave a wrong answer and has no number; see above", text::counted(wrong as u64, "row"));
    }
    Ok(())
}

fn list(args: &BenchArgs, output: &Output) -> Result<()> {
    let mut table = Table::new(["workload", "what it is"]);
    for item in bench::items() {
        table.row([item.name(), item.description()]);
        output.event(&json!({ "workload": item.name(), "description": item.description() }));
    }
    if !args.json {
        output.say(table.lines());
    }
    output.finish()
}

fn settings(args: &BenchArgs) -> Result<Settings> {
    let [usual, quick] = SECONDS;
    let seconds = args.seconds.unwrap_or(if args.quick { quick } else { usual });
    if !(seconds.is_finite() && seconds > 0.0 && seconds <= 600.0) {
        bail!("--seconds {seconds} must be a number above 0 and at most 600");
    }
    if let Some(variant) = &args.variant {
        let mut names = kernels::names();
        names.push("chosen");
        if !names.contains(&variant.as_str()) {
            bail!("there is no variant `{variant}`; there are {}", names.join(", "));
        }
    }
    Ok(Settings { seconds, variant: args.variant.clone(), batch: args.batch.map(|batch| batch as usize) })
}

/// The items that the options name; one that names none is a mistake.
fn selected(args: &BenchArgs) -> Result<Vec<Item>> {
    let all = bench::items();
    let named = |item: &Item, wanted: &str| match wanted.strip_suffix('*') {
        Some(start) => item.name().starts_with(start),
        None => item.name() == wanted,
    };
    for wanted in &args.workload {
        if !all.iter().any(|item| named(item, wanted)) {
            let near = near(wanted, &all);
            bail!("there is no workload `{wanted}`; near it are {near}, and `wgrad bench --list` has them all");
        }
    }
    let wanted = |item: &Item| args.workload.is_empty() || args.workload.iter().any(|wanted| named(item, wanted));
    Ok(all.into_iter().filter(wanted).collect())
}

/// The names that are most like a wrong one.
fn near(wrong: &str, all: &[Item]) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<String> = all.iter().map(Item::name).collect();
    let likeness = |name: &str| {
        let parts = name.split('/').map(|part| strsim::jaro_winkler(part, wrong));
        parts.fold(strsim::jaro_winkler(name, wrong), f64::max)
    };
    names.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    names.truncate(SHOWN);
    names.join(", ")
}

fn devices(args: &BenchArgs) -> Result<Vec<Device>> {
    let backend = args.backend.choice()?;
    let mut devices: Vec<Device> = Vec::new();
    for name in &args.device {
        let (names, all): (Vec<String>, bool) = match name.as_str() {
            "all" => {
                ((0..pollster::block_on(device::list(backend)).len()).map(|index| index.to_string()).collect(), true)
            }
            name => (vec![name.to_owned()], false),
        };
        if names.is_empty() {
            bail!(device::NO_ADAPTER);
        }
        for name in names {
            match pollster::block_on(Device::open(&name, backend)) {
                Ok(device) => devices.push(device),
                Err(error) if all => complain(&format!("not run: adapter {name}: {error}")),
                Err(error) => return Err(error.into()),
            }
        }
    }
    if devices.is_empty() {
        bail!("no adapter could be opened; `wgrad devices` lists what this machine has");
    }
    for device in &devices {
        if let Device::Gpu(gpu) = device {
            gpu.set_trust(args.trust.trust());
        }
    }
    Ok(devices)
}

fn measure(args: &BenchArgs, output: &Output, device: Device, items: &[Item], settings: &Settings) -> Result<Report> {
    let started = std::time::Instant::now();
    open::introduce(output, &device);
    let mut bench = Bench::new(device.clone(), args.backend.choice()?, settings.clone())?;
    if let Some(Roofs { flops, bytes }) = bench.roofs() {
        let [flops, bytes] = [flops, bytes].map(|rate| rows::digits(rate / 1e9));
        output.say(format!("roofs     {flops} GFLOP/s of multiply-adds · {bytes} GB/s of a copy, measured now"));
    }
    let progress = bar::rows(items.iter().map(|item| bench.count(item) as u64).sum());
    if !std::io::stderr().is_terminal() {
        progress.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let (mut rows, mut failure) = (Vec::new(), None);
    for item in items {
        progress.set_message(item.name());
        let mut told = |row: Row| {
            progress.inc(1);
            progress.suspend(|| tell(args, output, &row));
            rows.push(row);
        };
        if let Err(error) = bench.measure(item, &mut told) {
            failure = Some(format!("{}: {error}", item.name()));
            break;
        }
        if output.silenced() {
            break;
        }
    }
    progress.finish_and_clear();
    let roofs = bench.roofs().copied();
    Ok(Report { device, roofs, rows, seconds: started.elapsed().as_secs_f64(), failure })
}

/// A row for programs, as soon as it is there.
fn tell(args: &BenchArgs, output: &Output, row: &Row) {
    if args.csv {
        output.line(&rows::csv(row));
    } else if let Ok(object) = serde_json::to_value(row) {
        output.event(&object);
    }
}

/// The tables, then what has no number.
fn show(output: &Output, report: &Report) {
    for table in [rows::networks(&report.rows), rows::operators(&report.rows)].into_iter().flatten() {
        output.say(format!("\n{table}"));
    }
    output.say("");
    for (reason, names) in rows::without_number(&report.rows) {
        // A ×N belongs to the name before it.
        let names = text::wrapped(&names.replace(" ×", "\u{a0}×"), "          ", 120).replace('\u{a0}', " ");
        output.say(format!("not run   {reason}\n{names}"));
    }
    for row in report.rows.iter().filter(|row| row.outcome == Outcome::Wrong) {
        output.say(format!("WRONG     {}", row.subject().join(" · ")));
        for line in row.reason.as_deref().unwrap_or_default().lines() {
            output.say(format!("          {line}"));
        }
    }
    if let Some(found) = regret(&report.rows) {
        let told = text::wrapped(&rows::guessed(&found), "          ", 120);
        output.say(format!("guess     {}", told.trim_start()));
    }
    if let Some(spread) = rows::busy(&report.rows) {
        let note = "something else is running on this machine, and the numbers say little";
        output.say(format!("note      half of the rows spread by more than {spread:.0} %: {note}"));
    }
    output.say(format!("time      {}", text::duration(report.seconds)));
}

fn compared(output: &Output, comparison: &Comparison, [a, b]: [&str; 2]) -> Result<()> {
    let [only_a, only_b] = comparison.alone;
    for pair in &comparison.pairs {
        let [workload, direction, variant] = pair.a.subject();
        output.event(&json!({
            "workload": workload, "direction": direction, "variant": variant, "device": pair.b.device,
            "ms_a": pair.ms[0], "ms_b": pair.ms[1], "ratio": pair.ratio(), "clear": pair.is_clear(),
        }));
    }
    output.say(format!("A         {a}\nB         {b}"));
    match comparison.mean() {
        None => output.say("the two files have no row with a number in common"),
        Some(mean) => {
            output.say(format!("\n{}\n", rows::ratios(comparison)));
            output.say("* the difference is larger than both spreads together");
            let count = text::counted(comparison.pairs.len() as u64, "row");
            output.say(format!("mean      B takes {mean:.3} times as long as A (geometric mean of {count})"));
        }
    }
    if only_a + only_b > 0 {
        output.say(format!("alone     {only_a} of A and {only_b} of B have a number and no partner"));
    }
    output.finish()
}
