//! Bars with axes, as SVG inside a page; its colours are the page's.

use std::fmt::Write as _;

use super::Unit;
use crate::cli::page::escaped;
use crate::cli::text;

/// Where bars begin and where the longest one ends, of [`WIDTH`]; what is behind is for the figures.
const LEFT: f64 = 290.0;
const RIGHT: f64 = 800.0;
const WIDTH: f64 = 980.0;
/// Height of a bar with its distance to the next.
const ROW: f64 = 21.0;
const TOP: f64 = 26.0;

/// One bar.
pub struct Bar {
    /// What stands before it.
    pub label: String,
    /// What stands behind it, after its length.
    pub note: String,
    /// Its length.
    pub seconds: Option<f64>,
    /// Where a thin line over it begins and ends.
    pub quartiles: Option<[f64; 2]>,
    /// Its class: `forward`, `backward`, `update`, `rest`.
    pub part: &'static str,
}

/// The distance of about six marks up to `most`: 1, 2 or 5 times a power of ten.
fn distance(most: f64) -> f64 {
    let wanted = (most / 6.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(wanted.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|&step| step >= wanted).unwrap_or(wanted)
}

/// Horizontal bars; `rows` is what the vertical axis lists.
pub fn bars(rows: &str, bars: &[Bar], unit: &Unit) -> String {
    let ends = bars.iter().flat_map(|bar| bar.seconds.into_iter().chain(bar.quartiles.map(|both| both[1])));
    let most = ends.fold(0.0, f64::max) * unit.of_a_second;
    let step = distance(most);
    let scale = (RIGHT - LEFT) / most.max(f64::MIN_POSITIVE);
    let bottom = TOP + ROW * bars.len() as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"time by {rows}\">\n\
         <text class=\"axis\" x=\"{:.0}\" y=\"14\" text-anchor=\"end\">{rows}</text>\n",
        bottom + 44.0,
        LEFT - 8.0
    );
    let marks = (0..).map(|mark| f64::from(mark) * step).take_while(|&mark| mark <= most * 1.0001);
    for mark in marks {
        let x = LEFT + mark * scale;
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.0}\"/>\
             <text class=\"axis\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            number(mark, step)
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"axis\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">median time in a step ({})</text>",
        f64::midpoint(LEFT, RIGHT),
        bottom + 36.0,
        unit.name
    );
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * index as f64;
        row(&mut svg, bar, y, scale * unit.of_a_second);
    }
    svg + "</svg>\n"
}

/// One bar at height `y`, with so many units of length a second.
fn row(svg: &mut String, bar: &Bar, y: f64, scale: f64) {
    let Bar { label, note, seconds, quartiles, part } = bar;
    let (label, note, base) = (escaped(label), escaped(note), y + 0.68 * ROW);
    let _ = write!(
        svg,
        "<g><title>{label}: {note}</title><text x=\"{:.0}\" y=\"{base:.1}\" text-anchor=\"end\">",
        LEFT - 8.0
    );
    let _ = write!(svg, "{label}</text>");
    let width = seconds.map_or(0.0, |seconds| (seconds * scale).max(0.5));
    let _ = write!(
        svg,
        "<rect class=\"{part}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
        y + 3.0,
        ROW - 6.0
    );
    let mut end = LEFT + width;
    if let Some([low, high]) = quartiles {
        let (from, to, middle) = (LEFT + low * scale, LEFT + high * scale, y + ROW / 2.0);
        let _ = write!(svg, "<path class=\"spread\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>");
        end = end.max(to);
    }
    let _ = writeln!(svg, "<text class=\"note\" x=\"{:.1}\" y=\"{base:.1}\">{note}</text></g>", end + 6.0);
}

/// A mark's number, with as many digits as the distance to the next one needs.
fn number(mark: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).max(0.0) as usize;
    if digits == 0 { text::count(mark.round() as u64) } else { format!("{mark:.digits$}") }
}

/// One bar of parts side by side: name, class, seconds.
pub fn strip(parts: &[(&str, &'static str, f64)], unit: &Unit) -> String {
    let total: f64 = parts.iter().map(|part| part.2.max(0.0)).sum();
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} 30\" role=\"img\" aria-label=\"parts of a step\">\n");
    let mut x = 0.0;
    for (name, class, seconds) in parts {
        let width = seconds.max(0.0) / total.max(f64::MIN_POSITIVE) * WIDTH;
        let title = format!("{name}: {} {}", unit.write(*seconds), unit.name);
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"30\"><title>{title}</title></rect>"
        );
        x += width;
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_at_round_numbers() {
        assert_eq!([6.0, 7.0, 70.0, 0.031, 1900.0].map(distance), [1.0, 2.0, 20.0, 0.01, 500.0]);
        assert_eq!([number(1500.0, 500.0), number(0.02, 0.01), number(1.5, 0.5)], ["1,500", "0.02", "1.5"]);
    }
}
