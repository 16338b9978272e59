//! `wgrad devices`

use anyhow::Result;
use serde_json::json;
use wgrad::gpu::AdapterSummary;
use wgrad::gpu::device::{NO_ADAPTER, list};

use super::args::{Backend, DevicesArgs};
use super::output::{Output, complain};
use super::text::{self, Table};

/// Lists what can train.
pub fn run(args: &DevicesArgs) -> Result<()> {
    let output = Output::new(args.json);
    let adapters = pollster::block_on(list(args.backend.choice()?));
    let auto_is_cpu = adapters.is_empty() && args.backend == Backend::Auto;
    let mut table = Table::new(["device", "name", "type", "backend", "driver", "auto"]);
    let mark = |auto: bool| if auto { "*".to_owned() } else { String::new() };
    for adapter in &adapters {
        let AdapterSummary { index, name, kind, backend, driver, auto, .. } = adapter.clone();
        let kind = if kind == "CPU" { "software" } else { kind };
        table.row([index.to_string(), name, kind.into(), backend, driver, mark(auto)]);
        let mut object = serde_json::to_value(adapter)?;
        object["event"] = json!("device");
        object["device"] = json!(index.to_string());
        output.event(&object);
    }
    let name = "CPU reference";
    table.row(["cpu", name, "no GPU", "cpu", "", &mark(auto_is_cpu)].map(str::to_owned));
    output.event(&json!({
        "name": name, "kind": "CPU", "backend": "cpu", "driver": "", "auto": auto_is_cpu, "event": "device", "device": "cpu",
    }));
    output.say(table.lines());
    if !adapters.is_empty() {
        output.say(format!("\n{}", limits(&adapters)));
    }
    output.say("\n* is what --device auto takes; --device also takes an index or part of a name.");
    if adapters.is_empty() {
        match args.backend {
            Backend::Auto => complain(&format!("\n{NO_ADAPTER}")),
            _ => complain("\nthis backend has no adapter on this machine; --backend auto looks at all of them"),
        }
    }
    output.finish()
}

/// What matters of the adapters' limits and features.
fn limits(adapters: &[AdapterSummary]) -> String {
    let headings = ["device", ">binding", ">buffer", ">workgroup memory", ">invocations", ">subgroup", "features"];
    let mut table = Table::new(headings);
    for adapter in adapters {
        let subgroup = match adapter.subgroup {
            [0, 0] => "–".to_owned(),
            [least, most] if least == most => most.to_string(),
            [least, most] => format!("{least} to {most}"),
        };
        table.row([
            adapter.index.to_string(),
            text::bytes(adapter.max_binding_bytes),
            text::bytes(adapter.max_buffer_bytes),
            text::bytes(u64::from(adapter.max_workgroup_bytes)),
            adapter.max_invocations.to_string(),
            subgroup,
            adapter.features.join(", "),
        ]);
    }
    table.lines()
}
