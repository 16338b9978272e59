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
pub(super) struct Reading {
    /// The step, from 1.
    pub step: u64,
    /// The layers with weights, from the image on.
    pub layers: Vec<Layer>,
}

/// One layer.
pub(super) struct Layer {
    /// Its name.
    pub name: String,
    /// Norm of the gradient of its weights; NaN where it is not finite.
    pub norm: f64,
    /// How the magnitudes of that gradient's elements are spread: the exponents of two from which bins of two octaves begin, and
    /// how many sampled elements are in each.
    bins: Vec<(i32, f64)>,
}

impl Reading {
    fn new(line: &Value) -> Option<Self> {
        let bins = |gradient: &Value| -> Vec<(i32, f64)> {
            let object = gradient.get("log2").and_then(Value::as_object);
            let pairs = object
                .into_iter()
                .flatten()
                .filter_map(|(exponent, count)| Some((exponent.parse().ok()?, count.as_f64()?)));
            pairs.collect()
        };
        let layer = |value: &Value| {
            let name = value.get("name")?.as_str()?.strip_suffix(".weight")?.to_owned();
            let gradient = value.get("gradient")?;
            let norm = gradient.get("norm").and_then(Value::as_f64).unwrap_or(f64::NAN);
            Some(Layer { name, norm, bins: bins(gradient) })
        };
        let layers: Vec<Layer> = line.get("parameters")?.as_array()?.iter().filter_map(layer).collect();
        Some(Self { step: line.get("step")?.as_u64()?, layers }).filter(|reading| !reading.layers.is_empty())
    }

    /// All readings among some lines.
    pub fn all(lines: &[Value]) -> Vec<Self> {
        lines.iter().filter_map(Self::new).collect()
    }

    /// The norms by layer as a curve.
    pub fn curve(&self, name: String) -> Curve {
        let points = (1..).zip(&self.layers).map(|(index, layer)| [f64::from(index), layer.norm]).collect();
        Curve { name, points, marked: true }
    }

    /// How the elements of each layer's gradient are spread over the powers of two, in percent of those that were sampled.
    pub fn histogram(&self, title: String) -> Heat {
        let exponents = || self.layers.iter().flat_map(|layer| &layer.bins).map(|(exponent, _)| *exponent);
        let ends = exponents().min().zip(exponents().max());
        let columns: Vec<i32> = ends.map_or(Vec::new(), |(low, high)| (low..=high).step_by(OCTAVES).collect());
        let shares = |layer: &Layer| {
            let whole: f64 = layer.bins.iter().map(|(_, count)| count).sum();
            let share = |column: &i32| {
                let found = layer.bins.iter().find(|(exponent, _)| exponent == column);
                found.map_or(0.0, |(_, count)| 100.0 * count / whole)
            };
            columns.iter().map(share).collect()
        };
        Heat {
            title,
            x: "magnitude of a gradient's element, from this power of two on".into(),
            y: "layer".into(),
            of: "share of the layer's elements (%)".into(),
            columns: columns.iter().map(|exponent| format!("2^{exponent}").replace('-', "−")).collect(),
            rows: self.layers.iter().map(|layer| layer.name.clone()).collect(),
            cells: self.layers.iter().map(shares).collect(),
            range: Some([0.1, 100.0]),
            narrow: true,
        }
    }
}

/// Octaves of a bin.
const OCTAVES: usize = 2;

/// The norms by layer and step as a map, over a range of its own where none is given.
pub(super) fn map(title: String, readings: &[Reading], range: Option<[f64; 2]>) -> Heat {
    let layers = readings.last().map(|last| last.layers.as_slice()).unwrap_or_default();
    let rows: Vec<String> = layers.iter().map(|layer| layer.name.clone()).collect();
    let norm = |reading: &Reading, name: &String| {
        reading.layers.iter().find(|layer| layer.name == *name).map_or(f64::NAN, |layer| layer.norm)
    };
    Heat {
        title,
        x: "step".into(),
        y: "layer".into(),
        of: "norm of the layer's gradient".into(),
        columns: readings.iter().map(|reading| text::count(reading.step)).collect(),
        cells: rows.iter().map(|name| readings.iter().map(|reading| norm(reading, name)).collect()).collect(),
        rows,
        range,
        narrow: false,
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
    let readings = Reading::all(lines);
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
        return Ok(format!(
            "<div class=\"plots\">{whole}</div>\n<p class=\"meta\">This run was not watched layer by layer.</p>\n"
        ));
    };
    let name = |reading: &Reading| format!("step {}", text::count(reading.step));
    let shown: &[&Reading] = if readings.len() > 1 { &[last, first] } else { &[last] };
    let by_layer = Plot {
        title: "Gradient by layer".into(),
        x: "layer, from the image on".into(),
        y: "norm of its gradient".into(),
        scale: Scale::Log,
        curves: shown.iter().map(|reading| reading.curve(name(reading))).collect(),
    };
    let map = map("Gradient by layer and step".into(), &readings, None);
    let spread = |reading: &&Reading| reading.histogram(format!("Gradient's elements in {}", name(reading))).figure();
    let spreads = shown.iter().rev().map(spread).collect::<Result<String>>()?;
    let told = verdict(lines);
    Ok(format!(
        "{told}<div class=\"plots\">{whole}{}</div>\n{}<div class=\"plots\">{spreads}</div>\n",
        by_layer.figure()?,
        map.figure()?
    ))
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
                { "name": "conv.weight", "gradient": { "norm": norm, "log2": { "-8": 3, "-4": 1 } } }, { "name": "conv.bias", "gradient": { "norm": 7.0 } },
                { "name": "head.weight", "gradient": { "norm": 1.0 } },
            ]})
        };
        let verdict = serde_json::json!({ "event": "verdict", "findings": [{ "kind": "too_hot", "words": "a < b" }] });
        let html = section(String::new(), &[line(10, 0.1), line(20, 0.001), verdict]).unwrap();
        for part in ["Gradient by layer", "Gradient by layer and step", "step 20", "<b>too hot</b>: a &lt; b", "conv"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("bias"));
        let histogram = Reading::new(&line(1, 0.5)).unwrap().histogram("spread".into());
        assert_eq!(histogram.columns, ["2^−8", "2^−6", "2^−4"]);
        assert_eq!(histogram.cells[0], [75.0, 0.0, 25.0]);
        assert!(histogram.figure().unwrap().contains("share of the layer"));
    }
}
