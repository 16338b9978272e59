//! How gradients flow through the layers, from readings that a run was asked to take.
//!
//! A reading is a line of `metrics.jsonl` as [`crate::train::flow`] writes it: `{"event": "flow", "step": 101, "parameters":
//! [{"name": "conv1.weight", "gradient": {"norm": 0.3, …}, …}, …], …}`, layers from the image on; a verdict is one with
//! `"event": "verdict"` and its `findings` in `words`. Only `Reading::new` and `verdict` know these forms.

use serde_json::Value;

use super::heat::Heat;
use super::page::escaped;
use super::plot::{Curve, Plot, Scale};
use super::text;
use crate::error::Result;

/// The layers at one step.
struct Reading {
    step: u64,
    layers: Vec<Layer>,
}

/// One layer.
struct Layer {
    name: String,
    /// Norm of the gradient of its weights; NaN where it is not finite.
    norm: f64,
}

impl Reading {
    fn new(line: &Value) -> Option<Self> {
        let layer = |value: &Value| {
            let name = value.get("name")?.as_str()?.strip_suffix(".weight")?.to_owned();
            let norm = value.get("gradient")?.get("norm").and_then(Value::as_f64).unwrap_or(f64::NAN);
            Some(Layer { name, norm })
        };
        let layers: Vec<Layer> = line.get("parameters")?.as_array()?.iter().filter_map(layer).collect();
        Some(Self { step: line.get("step")?.as_u64()?, layers }).filter(|reading| !reading.layers.is_empty())
    }
}

/// The last verdict of a run as a list, nothing where there is none.
fn verdict(lines: &[Value]) -> String {
    let last = lines.iter().rev().find(|line| line["event"] == "verdict");
    let findings = last.and_then(|line| line["findings"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let told = findings.iter().filter_map(|finding| {
        let (kind, words) = (finding["kind"].as_str()?.replace('_', " "), finding["words"].as_str()?);
        Some(format!("<li><b>{}</b>: {}</li>", escaped(&kind), escaped(words)))
    });
    let told: String = told.collect();
    if told.is_empty() { told } else { format!("<ul>{told}</ul>\n") }
}

/// The part of the page about the layers' gradients, behind the figure of the whole gradient.
///
/// # Errors
/// [`crate::Error::Invalid`] where a plot cannot be drawn.
pub fn section(whole: String, lines: &[Value]) -> Result<String> {
    let readings: Vec<Reading> = lines.iter().filter_map(Reading::new).collect();
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
        return Ok(format!(
            "<div class=\"plots\">{whole}</div>\n<p class=\"meta\">This run was not watched layer by layer.</p>\n"
        ));
    };
    let curve = |reading: &Reading| Curve {
        name: format!("step {}", text::count(reading.step)),
        points: (1..).zip(&reading.layers).map(|(index, layer)| [f64::from(index), layer.norm]).collect(),
        marked: true,
    };
    let by_layer = Plot {
        title: "Gradient by layer".into(),
        x: "layer, from the image on".into(),
        y: "norm of its gradient".into(),
        scale: Scale::Log,
        curves: if readings.len() > 1 { vec![curve(last), curve(first)] } else { vec![curve(last)] },
    };
    let rows: Vec<String> = last.layers.iter().map(|layer| layer.name.clone()).collect();
    let norm = |reading: &Reading, name: &String| {
        reading.layers.iter().find(|layer| layer.name == *name).map_or(f64::NAN, |layer| layer.norm)
    };
    let map = Heat {
        title: "Gradient by layer and step".into(),
        x: "step".into(),
        y: "layer".into(),
        of: "norm of the layer's gradient".into(),
        columns: readings.iter().map(|reading| text::count(reading.step)).collect(),
        cells: rows.iter().map(|name| readings.iter().map(|reading| norm(reading, name)).collect()).collect(),
        rows,
    };
    let told = verdict(lines);
    Ok(format!("{told}<div class=\"plots\">{whole}{}</div>\n{}", by_layer.figure()?, map.figure()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_not_watched_says_so() {
        assert!(section(String::new(), &[]).unwrap().contains("was not watched"));
        assert!(section(String::new(), &[serde_json::json!({ "event": "flow" })]).unwrap().contains("was not watched"));
    }

    #[test]
    fn readings_are_shown_by_layer_and_by_layer_and_step() {
        let line = |step: u64, norm: f64| {
            serde_json::json!({ "event": "flow", "step": step, "parameters": [
                { "name": "conv.weight", "gradient": { "norm": norm } }, { "name": "conv.bias", "gradient": { "norm": 7.0 } },
                { "name": "head.weight", "gradient": { "norm": 1.0 } },
            ]})
        };
        let verdict = serde_json::json!({ "event": "verdict", "findings": [{ "kind": "too_hot", "words": "a < b" }] });
        let html = section(String::new(), &[line(10, 0.1), line(20, 0.001), verdict]).unwrap();
        for part in ["Gradient by layer", "Gradient by layer and step", "step 20", "<b>too hot</b>: a &lt; b", "conv"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("bias"));
    }
}
