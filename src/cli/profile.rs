//! `wgrad profile`

mod chart;
mod html;
mod trace;

use anyhow::Result;
use serde_json::{Value, json};
use wgrad::session::{Clock, Device};
use wgrad::train::profile::{Cost, GroupTime, HostCost, NodeTime, Profile, Settings, profile};
use wgrad::train::run::DeviceRecord;
use wgrad::train::{Schedule, TrainConfig};

use super::args::ProfileArgs;
use super::open;
use super::output::{self, Output};
use super::text::{self, Table, counted};

/// What was measured, where.
struct Subject {
    network: String,
    batch: usize,
    steps: usize,
    /// Whether the host's clock was asked for.
    wall_clock: bool,
    device: DeviceRecord,
}

/// Measures a training step and shows where its time goes.
pub fn run(args: &ProfileArgs) -> Result<()> {
    let output = Output::new(args.json);
    let (network, config) = open::task(&args.network, &args.images)?;
    let batch = args.batch.unwrap_or(config.batch);
    if batch == 0 {
        anyhow::bail!("--batch must be at least 1");
    }
    args.html.iter().chain(&args.trace).try_for_each(|file| output::writable(file))?;
    let config = TrainConfig { batch, schedule: Schedule::Constant, ..config };
    let device = open::device(&args.device)?;
    open::introduce(&output, &device);
    open::warn_of_software(&output, &device);
    let usual = if matches!(device, Device::Cpu(_)) { 3 } else { 20 };
    let steps = args.steps.map_or(usual, |steps| steps as usize);
    let subject =
        Subject { network: network.name.clone(), batch, steps, wall_clock: args.wall_clock, device: (&device).into() };
    let images = counted(batch as u64, "image");
    output.say(format!("network   {} · {images} a step, made up", network.name));
    let settings = Settings { steps, wall_clock: args.wall_clock };
    let profile = pollster::block_on(profile(&device, &network, &config, settings))?;
    output.say(format!("clock     {}", clock(&profile, &subject)));
    tables(&output, &profile);
    ending(&output, &profile, batch);
    for node in &profile.nodes {
        output.event(&node_event(&profile, node));
    }
    for group in profile.groups() {
        output.event(&group_event(&profile, &group));
    }
    output.event(&sums(&profile, &subject));
    if let Some(file) = &args.html {
        html::write(file, &profile, &subject)?;
        output.say(format!("\npage      {}", file.display()));
    }
    if let Some(file) = &args.trace {
        trace::write(file, &profile, &subject)?;
        output.say(format!("trace     {} (ui.perfetto.dev or chrome://tracing shows it)", file.display()));
    }
    output.finish()
}

/// What measured the dispatches, how often, and what of it was believed.
fn clock(profile: &Profile, subject: &Subject) -> String {
    let discarded = match profile.discarded {
        0 => "all of them plausible".to_owned(),
        count => format!("{} absurd and left out", text::count(count as u64)),
    };
    let (steps, measured) = (counted(subject.steps as u64, "step"), text::count(profile.measured as u64));
    match profile.clock {
        Clock::Timestamps { period_ns, empty } => format!(
            "the adapter's timestamps, {period_ns} ns a tick, round a pass for each dispatch\n          {steps}, {measured} \
             intervals, {discarded}; one round nothing takes {}",
            text::moment(empty)
        ),
        Clock::WallClock { empty } => format!(
            "{}, round a submission for each dispatch\n          {steps}, {measured} intervals; \
             each contains a submission and the wait for it, {} when there is nothing to do",
            if subject.wall_clock { "the host's" } else { "this adapter has no timestamps: the host's" },
            text::moment(empty)
        ),
        Clock::Reference => format!("the host's clock round each reference operator · {steps}, {measured} intervals"),
    }
}

/// Milliseconds, or microseconds where the step is short.
struct Unit {
    name: &'static str,
    of_a_second: f64,
    digits: usize,
}

impl Unit {
    fn of(profile: &Profile) -> Self {
        match profile.step < 0.01 {
            true => Self { name: "µs", of_a_second: 1e6, digits: 1 },
            false => Self { name: "ms", of_a_second: 1e3, digits: 2 },
        }
    }

    fn write(&self, seconds: f64) -> String {
        format!("{:.*}", self.digits, seconds * self.of_a_second)
    }
}

/// Three digits.
fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "–".into(),
        Some(rate) if rate >= 99.95 => format!("{rate:.0}"),
        Some(rate) if rate >= 9.995 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.2}"),
    }
}

/// Time, share, operations and bytes a second.
fn figures(profile: &Profile, unit: &Unit, cost: &Cost) -> [String; 4] {
    let time = cost.seconds.map_or("–".into(), |seconds| unit.write(seconds));
    let share = cost.seconds.map_or("–".into(), |seconds| text::percent(profile.share(seconds)));
    [time, share, rate(cost.gflops()), rate(cost.gigabytes())]
}

/// Cells in front of a cost's.
fn cells<const N: usize>(words: [&str; N], cost: &Cost, figures: [String; 4]) -> Vec<String> {
    let words = words.into_iter().map(str::to_owned);
    words.chain([cost.dispatches.to_string()]).chain(figures).collect()
}

/// By operator and by node.
fn tables(output: &Output, profile: &Profile) {
    let unit = Unit::of(profile);
    let time = format!(">{}", unit.name);
    let mut table =
        Table::new(["operator", "direction", ">nodes", ">dispatches", &time, ">share", ">GFLOP/s", ">GB/s"]);
    for group in profile.groups() {
        let nodes = group.nodes.to_string();
        let figures = figures(profile, &unit, &group.cost);
        table.row(cells([group.operator, group.direction, &nodes], &group.cost, figures));
    }
    let total = profile.total();
    let nodes = profile.nodes.len().to_string();
    table.row(cells(["all operators", "", &nodes], &total, figures(profile, &unit, &total)));
    let line = |name: &str, seconds: f64| {
        let (time, share) = (unit.write(seconds), text::percent(profile.share(seconds)));
        [name, "", "", "", &time, &share].map(str::to_owned)
    };
    table.row(line("unexplained rest", profile.rest()));
    table.row(line("ordinary step", profile.step));
    output.answer(format!("\n{}\n", table.lines()));
    let mut table =
        Table::new(["node", "operator", "direction", "variant", ">dispatches", &time, ">share", ">GFLOP/s", ">GB/s"]);
    for NodeTime { node, operator, direction, variant, cost, .. } in &profile.nodes {
        table.row(cells([node, operator, direction, variant], cost, figures(profile, &unit, cost)));
    }
    output.answer(format!("{}\n", table.lines()));
}

/// The step as a whole.
fn ending(output: &Output, profile: &Profile, batch: usize) {
    let Profile { step, ordinary, together, profiled, covered, .. } = *profile;
    let images = text::speed(batch as f64 / step);
    let manner = match profile.clock {
        Clock::Reference => String::new(),
        _ => format!(", {} a submission", counted(together, "step")),
    };
    let [low, high] = profile.step_quartiles.map(text::moment);
    output.say(format!(
        "step      {} · {images} · median of {} as training runs them{manner}\n          the middle half lies between {low} \
         and {high}",
        text::moment(step),
        counted(ordinary, "step")
    ));
    output.say(format!(
        "operators {} · {} of it; the rest is {}",
        text::moment(profile.kernels()),
        text::percent(profile.share(profile.kernels())),
        text::moment(profile.rest())
    ));
    output.say(format!("          {}", explained(profile)));
    let (percent, over) = (text::percent(profiled / step - 1.0), text::moment(profiled - step));
    output.say(format!(
        "measured  {} for a step that is taken apart: {over} ({percent}) more than an ordinary one; its intervals\n          \
         cover {} of it",
        text::moment(profiled),
        text::percent(covered)
    ));
    if let Some(host) = &profile.host {
        output.say(format!("host      {}\n          {}", processor(profile, host), on_the_clock(host)));
    }
}

/// What a step costs the host's processor.
fn processor(profile: &Profile, host: &HostCost) -> String {
    match host.processor {
        None => "this system does not tell the processor time of a thread".into(),
        Some(seconds) => format!(
            "{} of processor time for recording and submitting an ordinary step, {} of it",
            text::moment(seconds),
            text::percent(profile.share(seconds))
        ),
    }
}

/// How long that takes; the call may hold the thread while earlier steps run.
fn on_the_clock(host: &HostCost) -> String {
    let (record, submit) = (text::moment(host.record), text::moment(host.submit));
    let waits = host.processor.is_some_and(|seconds| host.submit > 2.0 * seconds);
    let waits = if waits { ", most of it waiting, not computing" } else { "" };
    format!("on the clock: {record} of recording, {submit} of submitting{waits}")
}

/// What the rest may be.
fn explained(profile: &Profile) -> &'static str {
    match (profile.clock, profile.rest() < 0.0) {
        (Clock::Timestamps { .. }, false) => {
            "the rest: gaps between dispatches, the copies that are read back, waiting for the host"
        }
        (Clock::Timestamps { .. }, true) => {
            "less than nothing is left: passes of their own cost time, dispatches overlap in an ordinary step, or noise"
        }
        (Clock::WallClock { .. }, _) => "each interval holds a submission of its own, so these times are too long",
        (Clock::Reference, false) => "the rest: choosing operands, keeping results, noise",
        (Clock::Reference, true) => "less than nothing is left: noise; more steps give a better median",
    }
}

/// A cost for programs.
fn with_cost(mut object: Value, profile: &Profile, cost: &Cost) -> Value {
    object["dispatches"] = json!(cost.dispatches);
    object["ms"] = json!(cost.seconds.map(|seconds| 1e3 * seconds));
    object["share"] = json!(cost.seconds.map(|seconds| profile.share(seconds)));
    object["gflops"] = json!(cost.gflops());
    object["gb_s"] = json!(cost.gigabytes());
    object
}

fn node_event(profile: &Profile, time: &NodeTime) -> Value {
    let NodeTime { node, operator, direction, part, variant, cost, quartiles } = time;
    let mut object = json!({
        "event": "node", "node": node, "operator": operator, "direction": direction, "part": part, "variant": variant,
    });
    object["ms_quartiles"] = json!(quartiles.map(|both| both.map(|seconds| 1e3 * seconds)));
    object["flops"] = json!(cost.flops);
    object["bytes"] = json!(cost.bytes);
    with_cost(object, profile, cost)
}

fn group_event(profile: &Profile, time: &GroupTime) -> Value {
    let GroupTime { operator, direction, part, nodes, cost } = time;
    let object = json!({
        "event": "operator", "operator": operator, "direction": direction, "part": part, "nodes": nodes,
    });
    with_cost(object, profile, cost)
}

fn sums(profile: &Profile, subject: &Subject) -> Value {
    let ms = |seconds: f64| 1e3 * seconds;
    let (clock, tick, empty) = match profile.clock {
        Clock::Timestamps { period_ns, empty } => ("timestamps", Some(period_ns), Some(ms(empty))),
        Clock::WallClock { empty } => ("wall_clock", None, Some(ms(empty))),
        Clock::Reference => ("reference", None, None),
    };
    json!({
        "event": "profile", "network": subject.network, "batch": subject.batch, "device": subject.device.name,
        "backend": subject.device.backend, "driver": subject.device.driver, "clock": clock, "tick_ns": tick,
        "empty_ms": empty, "steps": subject.steps, "intervals": profile.measured,
        "discarded": profile.discarded, "ms_per_step": ms(profile.step),
        "ms_quartiles": profile.step_quartiles.map(ms),
        "images_per_second": subject.batch as f64 / profile.step, "ordinary_steps": profile.ordinary,
        "steps_per_submission": profile.together, "operators_ms": ms(profile.kernels()),
        "operators_share": profile.share(profile.kernels()), "rest_ms": ms(profile.rest()),
        "rest_share": profile.share(profile.rest()), "profiled_ms": ms(profile.profiled),
        "profiling_overhead_ms": ms(profile.profiled - profile.step), "covered": profile.covered,
        "host": profile.host.map(|host| json!({
            "record_ms": ms(host.record), "submit_ms": ms(host.submit), "processor_ms": host.processor.map(ms),
            "share": profile.share(host.record + host.submit),
            "processor_share": host.processor.map(|seconds| profile.share(seconds)),
        })),
    })
}
