//! How gradients flow through the layers, from readings that a run was asked to take.
//!
//! A reading is a line of `metrics.jsonl`: `{"event": "flow", "step": 100, "layers": [{"layer": "conv1", "gradient_norm": 0.3,
//! "verdict": "…"}, …]}`, layers from the image on. Only `Reading::new` knows this form.

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
    /// Norm of the gradient of its parameters; NaN where it is not known.
    norm: f64,
    /// What is wrong with it, in words.
    verdict: Option<String>,
}

impl Reading {
    fn new(line: &Value) -> Option<Self> {
        let layer = |value: &Value| {
            let name = value.get("layer")?.as_str()?.to_owned();
            let norm = value.get("gradient_norm").and_then(Value::as_f64).unwrap_or(f64::NAN);
            let verdict = value.get("verdict").and_then(Value::as_str).map(str::to_owned);
            Some(Layer { name, norm, verdict })
        };
        let layers: Vec<Layer> = line.get("layers")?.as_array()?.iter().filter_map(layer).collect();
        Some(Self { step: line.get("step")?.as_u64()?, layers }).filter(|reading| !reading.layers.is_empty())
    }
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
    let verdicts = last.layers.iter().filter_map(|layer| Some((&layer.name, layer.verdict.as_ref()?)));
    let verdicts = verdicts.map(|(name, verdict)| format!("<li>{}: {}</li>", escaped(name), escaped(verdict)));
    let verdicts: String = verdicts.collect();
    let told = if verdicts.is_empty() { verdicts } else { format!("<ul>{verdicts}</ul>\n") };
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
            serde_json::json!({ "event": "flow", "step": step, "layers": [
                { "layer": "conv", "gradient_norm": norm }, { "layer": "head", "gradient_norm": 1.0, "verdict": "<dies>" },
            ]})
        };
        let html = section(String::new(), &[line(10, 0.1), line(20, 0.001)]).unwrap();
        for part in ["Gradient by layer", "Gradient by layer and step", "step 20", "head: &lt;dies&gt;", "conv"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
