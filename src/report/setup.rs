//! The part of the page about what was asked for, and what it ran on.

use std::fmt::Write as _;

use serde_json::Value;

use super::page::escaped;
use super::text;
use crate::train::run::RunRecord;

/// Configuration, data and device.
pub fn section(record: &RunRecord) -> String {
    let config = serde_json::to_value(&record.config).unwrap_or_default();
    let config = config.as_object().into_iter().flatten().map(|(key, value)| (key.replace('_', " "), written(value)));
    let data = &record.data;
    let count = |number: usize| text::count(number as u64);
    let mut about_data = vec![
        ("source".to_owned(), data.source.clone()),
        ("training images".into(), count(data.training_images)),
        ("of these held out".into(), count(data.held_out_images)),
        ("test images".into(), count(data.test_images)),
        ("size".into(), text::shape(&record.input_shape)),
        ("classes".into(), count(record.classes.len())),
        ("SHA-256".into(), text::shortened(&data.fingerprint, 17)),
    ];
    if let Some(pictures) = data.pictures {
        let size = pictures.size.map_or("their own".to_owned(), |size| size.to_string());
        about_data.push(("pictures brought to".into(), size));
        about_data.push(("bad pictures".into(), if pictures.skip_bad { "left out" } else { "refused" }.into()));
    }
    let device = &record.device;
    let about_device = [
        ("name".to_owned(), device.name.clone()),
        ("kind".into(), device.kind.clone()),
        ("backend".into(), device.backend.clone()),
        ("driver".into(), if device.driver.is_empty() { "none".into() } else { device.driver.clone() }),
        ("memory planned".into(), text::bytes(record.memory_bytes)),
        ("wgrad".into(), record.wgrad.clone()),
    ];
    let mut html = format!(
        "<h2>Configuration and device</h2>\n<div class=\"setups\">{}{}{}</div>\n",
        table("Training", config),
        table("Data", about_data),
        table("Device", about_device)
    );
    html += "<details><summary>The kernels of a training step</summary><div class=\"scroll\"><table>\
             <tr><th>node</th><th>operator</th><th>variant</th><th class=\"n\">dispatches</th></tr>\n";
    for row in &record.variants {
        let cells = [&row.node, &row.operator, &row.variant].map(|cell| format!("<td>{}</td>", escaped(cell)));
        let _ = writeln!(html, "<tr>{}<td class=\"n\">{}</td></tr>", cells.concat(), row.dispatches);
    }
    html + "</table></div></details>\n"
}

fn table(title: &str, rows: impl IntoIterator<Item = (String, String)>) -> String {
    let rows = rows
        .into_iter()
        .map(|(key, value)| format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(&key), escaped(&value)));
    format!(
        "<table class=\"setup\"><tr><th colspan=\"2\"><b>{title}</b></th></tr>\n{}</table>\n",
        rows.collect::<String>()
    )
}

/// A value of the configuration, in a line: `adam (betas 0.9, 0.999 · eps 1e-8)`.
fn written(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().map(written).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let kind = map.get("kind").map(written);
            let options = map.iter().filter(|(key, _)| *key != "kind");
            let options: Vec<String> =
                options.map(|(key, value)| format!("{} {}", key.replace('_', " "), written(value))).collect();
            match (kind, options.is_empty()) {
                (Some(kind), true) => kind,
                (Some(kind), false) => format!("{kind} ({})", options.join(" · ")),
                (None, _) => options.join(" · "),
            }
        }
    }
}
