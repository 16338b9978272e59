//! The measurement in the Trace Event Format, which Perfetto and Chrome show on a time line.

use std::path::Path;

use serde_json::{Value, json};
use wgrad::format::write_atomic;
use wgrad::session::Clock;
use wgrad::train::profile::{Profile, Span};

use super::Subject;

/// The tracks, all of one process.
const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// Writes the trace, wholly or not at all.
pub fn write(file: &Path, profile: &Profile, subject: &Subject) -> wgrad::Result<()> {
    write_atomic(file, trace(profile, subject).to_string().as_bytes())
}

fn trace(profile: &Profile, subject: &Subject) -> Value {
    let Subject { network, batch, device, .. } = subject;
    let process = format!("wgrad profile: {network}, {batch} images a step");
    let mut events = vec![
        named("process_name", HOST, &process),
        named("thread_name", HOST, "host: recording, submitting, waiting"),
        named("thread_name", DEVICE, &format!("device: {}", device.name)),
    ];
    events.extend(profile.spans.iter().map(|span| complete(profile, span)));
    let clocks = match profile.clock {
        Clock::Timestamps { .. } => {
            "durations and distances on the device's track are its own timestamps'; where a step lies against the host's \
             track is not known exactly: it is drawn in the middle between its submission and its answer"
        }
        Clock::WallClock { .. } => {
            "both tracks are the host's clock; each dispatch lasts from its submission to its end"
        }
        Clock::Reference => "the host's clock",
    };
    json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": {
        "network": network, "batch": batch, "device": device.name, "backend": device.backend,
        "driver": device.driver, "version": env!("CARGO_PKG_VERSION"), "clocks": clocks,
    } })
}

fn named(what: &str, track: u32, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": 1, "tid": track, "ts": 0, "args": { "name": name } })
}

/// A complete event, in microseconds.
fn complete(profile: &Profile, span: &Span) -> Value {
    let (start, length) = (1e6 * span.at.start, 1e6 * span.at.seconds);
    let event = |name: &str, part: &str, track: u32, args: Value| {
        json!({
            "ph": "X", "name": name, "cat": part, "pid": 1, "tid": track, "ts": start, "dur": length, "args": args,
        })
    };
    let steps = match span.step {
        Some(step) => json!({ "step": step }),
        None => json!({ "steps": "ordinary" }),
    };
    let Some(node) = span.node.map(|node| &profile.nodes[node]) else {
        return event(&span.name, "host", HOST, steps);
    };
    let args = json!({
        "step": span.step, "operator": node.operator, "direction": node.direction, "variant": node.variant,
        "entry": span.name,
    });
    let name = if node.cost.dispatches > 1 { format!("{} · {}", node.node, span.name) } else { node.node.clone() };
    event(&name, node.part, DEVICE, args)
}
