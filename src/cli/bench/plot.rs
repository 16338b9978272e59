//! The roofline plot: what each kernel reached against how much it computes for each byte, under the device's own roofs.

use std::fmt::Write as _;

use wgrad::bench::Row;
use wgrad::bench::roof::Roofs;

use super::rows::digits;
use crate::cli::page::escaped;

/// The whole picture, and the frame of the plot in it: left, top, right, bottom.
const SIZE: [f64; 2] = [960.0, 480.0];
const FRAME: [f64; 4] = [76.0, 40.0, 944.0, 424.0];

/// What the plot adds to the style of its page.
pub const STYLE: &str = "\
svg{width:100%;height:auto;margin:1rem 0}svg text{font:12px system-ui,sans-serif;fill:var(--faint)}\
svg .axis{font-size:13px;fill:var(--text)}svg .grid{stroke:var(--thin);stroke-width:1}\
svg .roof{fill:none;stroke:var(--text);stroke-width:2}svg .dot{stroke-width:1.6;fill-opacity:.85}svg .hollow{fill-opacity:0}\
.c0{fill:var(--c0);stroke:var(--c0)}.c1{fill:var(--c1);stroke:var(--c1)}.c2{fill:var(--c2);stroke:var(--c2)}\
.c3{fill:var(--c3);stroke:var(--c3)}.c4{fill:var(--c4);stroke:var(--c4)}";

/// What the colours mean; the last one is for all other directions.
const COLOURS: [&str; 5] = ["forward", "grad_input", "grad_weight", "whole network", "other gradients"];

fn colour(row: &Row) -> usize {
    match row.direction.as_str() {
        _ if row.batch.is_some() => 3,
        "forward" => 0,
        "grad_input" => 1,
        "grad_weight" => 2,
        _ => 4,
    }
}

/// An axis in powers of ten that holds these values.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(0.0, f64::max).log10().ceil();
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        (self.low as i32..=self.high as i32).map(|power| 10f64.powi(power))
    }
}

fn tick(value: f64) -> String {
    if value >= 1.0 {
        digits(value).trim_end_matches(".00").trim_end_matches(".0").to_owned()
    } else {
        value.to_string()
    }
}

/// The rows that compute anything, as a picture; nothing where there are none.
pub fn roofline(roofs: &Roofs, rows: &[Row]) -> Option<String> {
    let place = |row: &Row| {
        let reached = row.gflops.filter(|reached| *reached > 0.0)?;
        Some((row.flops as f64 / row.bytes.max(1) as f64, reached))
    };
    let points: Vec<(&Row, f64, f64)> =
        rows.iter().filter_map(|row| place(row).map(|(intensity, reached)| (row, intensity, reached))).collect();
    if points.is_empty() {
        return None;
    }
    let [left, top, right, bottom] = FRAME;
    let knee = roofs.flops / roofs.bytes;
    let x = Axis::new(points.iter().map(|point| point.1).chain([knee * 0.5, knee * 2.0]), left, right);
    let y = Axis::new(points.iter().map(|point| point.2).chain([roofs.flops / 1e9]), bottom, top);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Roofline plot\">\n<defs><clipPath id=\"frame\">\
         <rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\"/></clipPath></defs>\n",
        SIZE[0],
        SIZE[1],
        right - left,
        bottom - top
    );
    for value in x.ticks() {
        let at = x.place(value);
        let _ = write!(svg, "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>");
        let _ =
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", bottom + 18.0, tick(value));
    }
    for value in y.ticks() {
        let at = y.place(value);
        let _ = write!(svg, "<line class=\"grid\" x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            tick(value)
        );
    }
    let middle = [(left + right) / 2.0, (top + bottom) / 2.0];
    let _ = writeln!(
        svg,
        "<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">arithmetic intensity in FLOP/byte</text>\
         <text class=\"axis\" x=\"18\" y=\"{2}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {2})\">reached in GFLOP/s</text>",
        middle[0],
        SIZE[1] - 12.0,
        middle[1],
    );
    roof(&mut svg, roofs, &x, &y);
    for (row, intensity, reached) in points {
        let hollow = if row.variant == wgrad::kernels::BASELINE { " hollow" } else { "" };
        let title = format!(
            "{}: {} GFLOP/s, {} ms, {} % of the roof",
            row.subject().join(" · "),
            digits(reached),
            row.ms.map_or(String::new(), digits),
            row.percent_of_roof.map_or(String::new(), |percent| format!("{percent:.1}")),
        );
        let _ = writeln!(
            svg,
            "<circle class=\"dot c{}{hollow}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\"><title>{}</title></circle>",
            colour(row),
            x.place(intensity),
            y.place(reached),
            escaped(&title)
        );
    }
    legend(&mut svg);
    svg += "</svg>\n";
    Some(svg)
}

/// The line that nothing passes, and what it is.
fn roof(svg: &mut String, roofs: &Roofs, x: &Axis, y: &Axis) {
    let (knee, top) = (roofs.flops / roofs.bytes, roofs.flops / 1e9);
    let ends = [10f64.powf(x.low), 10f64.powf(x.high)];
    let under = |intensity: f64| (roofs.bytes * intensity / 1e9).min(top);
    let corners = [ends[0], knee, ends[1]].map(|at| format!("{:.1},{:.1}", x.place(at), y.place(under(at))));
    let _ = writeln!(svg, "<polyline class=\"roof\" clip-path=\"url(#frame)\" points=\"{}\"/>", corners.join(" "));
    let _ = writeln!(
        svg,
        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} GFLOP/s · {} GB/s</text>",
        FRAME[2] - 6.0,
        y.place(top) - 8.0,
        digits(top),
        digits(roofs.bytes / 1e9)
    );
}

fn legend(svg: &mut String) {
    let mut at = FRAME[0];
    for (number, name) in COLOURS.iter().enumerate() {
        let _ = write!(svg, "<circle class=\"dot c{number}\" cx=\"{:.1}\" cy=\"18\" r=\"4.5\"/>", at + 5.0);
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"22\">{name}</text>", at + 15.0);
        at += 40.0 + 7.0 * name.len() as f64;
    }
    let _ = write!(svg, "<circle class=\"dot c4 hollow\" cx=\"{:.1}\" cy=\"18\" r=\"4.5\"/>", at + 5.0);
    let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"22\">hollow: the baseline variant</text>", at + 15.0);
}
