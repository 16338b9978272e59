//! Plots of plain numbers as SVG inside a page; their colours are the page's, so they are legible in the light and in the dark.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::page::escaped;
use super::picture::{COLOURS, Key, Picture, nothing, stroke};
use super::text;
use crate::error::{Error, Result};

/// Width and height of a plot of curves, in the units of its picture; the page scales it.
const SIZE: (u32, u32) = (640, 300);
/// The same for many curves.
const WIDE: (u32, u32) = (1000, 460);
/// Height of letters; what draws them takes it for a little less.
pub(super) const LETTERS: u32 = 16;
/// Points of a curve that a plot can show apart.
const MOST_POINTS: usize = 800;
/// Curves that a plot can tell apart.
const MOST_CURVES: usize = 3 * COLOURS;

/// Stand-ins: the page's variables take their places in the picture.
pub(super) const TEXT: RGBColor = RGBColor(1, 0, 0);
pub(super) const FAINT: RGBColor = RGBColor(1, 0, 1);
pub(super) const LINE: RGBColor = RGBColor(1, 0, 2);
const THIN: RGBColor = RGBColor(1, 0, 3);
/// The colour, and the line, of a curve.
pub(super) const fn colour(index: usize) -> RGBColor {
    RGBColor(1, 1, (index % MOST_CURVES) as u8)
}

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// Its points, from left to right; those that are not finite are left out.
    pub points: Vec<[f64; 2]>,
    /// Whether each point is marked, as where there are few.
    pub marked: bool,
}

/// Curves over one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x: String,
    /// Name and unit of the vertical axis.
    pub y: String,
    /// How the vertical axis runs.
    pub scale: Scale,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// How a vertical axis runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// In equal steps, from the smallest value to the largest.
    Linear,
    /// In equal steps from 0.
    FromZero,
    /// By factors; values that are not above 0 are left out.
    Log,
}

impl Scale {
    /// The place of a value on the axis.
    fn place(self, value: f64) -> f64 {
        if self == Self::Log { value.log10() } else { value }
    }

    /// The value at a place of the axis, in a few digits.
    fn label(self, place: f64) -> String {
        match self {
            // However small, a power of ten is not zero.
            Self::Log if place < -3.5 => text::rate(10f64.powf(place)),
            Self::Log => number(10f64.powf(place)),
            _ => number(place),
        }
    }
}

/// A number on an axis, with three digits at most.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size < 1e-12 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        return text::rate(value);
    }
    if size >= 1000.0 {
        let sign = if value < 0.0 { "−" } else { "" };
        return sign.to_owned() + &text::count(size.round() as u64);
    }
    let digits = (2 - size.log10().floor() as i32).max(0) as usize;
    let written = format!("{value:.digits$}");
    if written.contains('.') { written.trim_end_matches('0').trim_end_matches('.').to_owned() } else { written }
}

/// Marks of an axis at most, about.
const MOST_MARKS: usize = 7;

/// Where an axis that begins and ends so has its marks: a handful, at 1, 2 or 5 times a power of ten if that is enough.
fn marks(axis: &Range<f64>, scale: Scale) -> Vec<f64> {
    if scale != Scale::Log {
        return even(axis);
    }
    let powers = axis.start.floor() as i32..=axis.end.ceil() as i32;
    let all = powers.clone().flat_map(|power| [1.0, 2.0, 5.0].map(|digit: f64| f64::from(power) + digit.log10()));
    let all: Vec<f64> = all.filter(|place| axis.contains(place)).collect();
    let tens: Vec<f64> = powers.map(f64::from).filter(|place| axis.contains(place)).collect();
    match (all.len(), tens.len()) {
        (3..=MOST_MARKS, _) => all,
        (_, 2..) => tens.iter().copied().step_by(tens.len().div_ceil(MOST_MARKS)).collect(),
        // Less than a power of ten: the steps of the values themselves.
        _ => even(&(10f64.powf(axis.start)..10f64.powf(axis.end))).into_iter().map(f64::log10).collect(),
    }
}

/// Marks in equal steps.
fn even(axis: &Range<f64>) -> Vec<f64> {
    let wanted = (axis.end - axis.start) / MOST_MARKS as f64;
    let power = 10f64.powf(wanted.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|&step| step >= wanted).unwrap_or(wanted);
    let first = (axis.start / step).ceil();
    (0..=MOST_MARKS).map(|index| (first + index as f64) * step).filter(|place| axis.contains(place)).collect()
}

/// So few points that a plot can show them: of each stretch, the lowest and the highest.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.len() <= MOST_POINTS {
        return points;
    }
    let stretch = (2 * points.len()).div_ceil(MOST_POINTS);
    let ends = |part: &[[f64; 2]]| {
        let by = |a: &&[f64; 2], b: &&[f64; 2]| a[1].total_cmp(&b[1]);
        let mut both: Vec<[f64; 2]> =
            part.iter().min_by(by).into_iter().chain(part.iter().max_by(by)).copied().collect();
        both.sort_by(|a, b| a[0].total_cmp(&b[0]));
        both
    };
    points.chunks(stretch).flat_map(ends).collect()
}

/// A range that holds these values, a little wider than they are.
fn range(values: impl Iterator<Item = f64> + Clone, wider: f64) -> Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let room = if high - low > 1e-9 * high.abs() { wider * (high - low) } else { 0.1 * high.abs().max(1e-3) };
    low - room..high + room
}

impl Plot {
    /// The plot as a figure of a page, with its legend; a sentence where there is nothing to show.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the picture cannot be drawn.
    pub fn figure(&self) -> Result<String> {
        Ok(self.picture()?.map_or_else(|| nothing(&self.title), |picture| picture.figure()))
    }

    /// The plot as a picture, with its legend; none where there is nothing to show.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it cannot be drawn.
    pub fn picture(&self) -> Result<Option<Picture>> {
        let shown = |&[x, y]: &[f64; 2]| x.is_finite() && self.scale.place(y).is_finite();
        let placed = |curve: &Curve| -> Vec<[f64; 2]> {
            let points = curve.points.iter().filter(|point| shown(point));
            thinned(points.map(|&[x, y]| [x, self.scale.place(y)]).collect())
        };
        let curves: Vec<(usize, &Curve, Vec<[f64; 2]>)> =
            self.curves.iter().enumerate().map(|(index, curve)| (index, curve, placed(curve))).collect();
        if curves.iter().all(|(_, _, points)| points.is_empty()) {
            return Ok(None);
        }
        // Beside a legend of many lines a low picture would be lost.
        let size = if curves.len() > COLOURS { WIDE } else { SIZE };
        let svg = drawn(size, &format!("{}: {} over {}", self.title, self.y, self.x), |area| self.draw(area, &curves))?;
        let keys = curves.iter().filter(|(_, _, points)| !points.is_empty() && curves.len() > 1);
        let keys = keys.map(|(index, curve, _)| Key::Curve(*index, curve.name.clone())).collect();
        Ok(Some(Picture { title: self.title.clone(), size, svg, keys }))
    }

    fn draw(&self, area: &Area, curves: &[(usize, &Curve, Vec<[f64; 2]>)]) -> Drawn {
        let points = curves.iter().flat_map(|(_, _, points)| points);
        let mut y = range(points.clone().map(|point| point[1]), 0.06);
        if self.scale == Scale::FromZero {
            y.start = 0.0;
        }
        let marks = marks(&y, self.scale);
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(16)
            .x_label_area_size(48)
            .y_label_area_size(82)
            .build_cartesian_2d(range(points.map(|point| point[0]), 0.01), Marked { range: y, marks })?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(THIN)
            .axis_style(LINE)
            .label_style(("sans-serif", LETTERS).into_font().color(&FAINT))
            .axis_desc_style(("sans-serif", LETTERS).into_font().color(&TEXT))
            .x_labels(8)
            .x_label_formatter(&|&x| number(x))
            .y_label_formatter(&|&y| self.scale.label(y))
            .x_desc(&self.x)
            .y_desc(&self.y)
            .draw()?;
        for (index, curve, points) in curves {
            let style = colour(*index).stroke_width(if curve.marked { 2 } else { 1 });
            chart.draw_series(LineSeries::new(points.iter().map(|&[x, y]| (x, y)), style))?;
            if curve.marked {
                chart.draw_series(points.iter().map(|&[x, y]| Circle::new((x, y), 3, colour(*index).filled())))?;
            }
        }
        Ok(())
    }
}

/// A vertical axis with marks of our own.
struct Marked {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Ranged for Marked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The picture that `draw` draws, for people who do not see it called `words`.
pub(super) fn drawn(size: (u32, u32), words: &str, draw: impl FnOnce(&Area) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let done = draw(&area).and_then(|()| area.present());
    drop(area);
    done.map_err(|error| Error::Invalid(format!("the plot of {words} cannot be drawn: {error}")))?;
    let begin = svg.find("<svg").and_then(|at| Some(at + svg[at..].find('>')? + 1)).unwrap_or(0);
    let mut picture = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}",
        size.0,
        size.1,
        escaped(words),
        &svg[begin..]
    );
    let named = [(TEXT, "text"), (FAINT, "faint"), (LINE, "line"), (THIN, "thin")];
    let written = |RGBColor(r, g, b): RGBColor| format!("#{r:02X}{g:02X}{b:02X}");
    for (stand_in, name) in named {
        picture = picture.replace(&written(stand_in), &format!("var(--{name})"));
    }
    for index in 0..MOST_CURVES {
        let stand_in = written(colour(index));
        // A line has its dashes beside its colour.
        picture = picture.replace(&format!("stroke=\"{stand_in}\""), &format!("stroke={}", stroke(index)));
        picture = picture.replace(&stand_in, &format!("var(--c{})", index % COLOURS));
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, points: &[[f64; 2]]) -> Plot {
        let curve = Curve { name: "a <b>".into(), points: points.to_vec(), marked: true };
        let other = Curve { name: "other".into(), points: points.to_vec(), marked: false };
        let (title, x, y) = ("Loss".to_owned(), "step".to_owned(), "loss (nats)".to_owned());
        Plot { title, x, y, scale, curves: vec![curve, other] }
    }

    #[test]
    fn a_plot_names_its_axes_and_takes_its_colours_from_the_page() {
        for scale in [Scale::Linear, Scale::FromZero, Scale::Log] {
            let figure = plot(scale, &[[1.0, 2.0], [2.0, f64::NAN], [3.0, 0.5]]).figure().unwrap();
            for part in ["loss (nats)", "step", "var(--c0)", "var(--c1)", "var(--text)", "a &lt;b&gt;"] {
                assert!(figure.contains(part), "{figure}");
            }
            assert!(!figure.contains("\"#") && !figure.contains("http"), "{figure}");
            assert_eq!(figure.matches("<circle").count(), 2, "{figure}");
        }
    }

    #[test]
    fn a_plot_of_one_point_or_of_none_is_drawn_all_the_same() {
        assert!(plot(Scale::Log, &[[1.0, 0.0]]).figure().unwrap().contains("Nothing was measured yet"));
        for value in [0.0, 1.0, -3.0, 1e30] {
            assert!(plot(Scale::Linear, &[[1.0, value]]).figure().unwrap().contains("<circle"));
        }
    }

    #[test]
    fn a_long_curve_keeps_its_extremes() {
        let mut points: Vec<[f64; 2]> = (0..100_000).map(|index| [f64::from(index), 1.0]).collect();
        (points[777][1], points[77_777][1]) = (9.0, -9.0);
        let few = thinned(points);
        assert!(few.len() <= MOST_POINTS && few.is_sorted_by(|a, b| a[0] <= b[0]));
        assert!(few.contains(&[777.0, 9.0]) && few.contains(&[77_777.0, -9.0]));
    }

    #[test]
    fn numbers_on_axes_are_short() {
        let written = [0.0, 0.25, 12.5, 150.0, 1500.0, -2500.0, 1e-5, 2.5e7, 0.1 + 0.2].map(number);
        assert_eq!(written, ["0", "0.25", "12.5", "150", "1,500", "−2,500", "1e-5", "2.5e7", "0.3"]);
    }

    #[test]
    fn marks_are_round_numbers() {
        let written = |start: f64, end: f64, scale: Scale| {
            let marks = marks(&(start..end), scale);
            marks.into_iter().map(|place| scale.label(place)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(written(0.0, 3800.0, Scale::FromZero), "0 1,000 2,000 3,000");
        assert_eq!(written(18.0, 104.0, Scale::Linear), "20 40 60 80 100");
        assert_eq!(written(-2.1, 0.2, Scale::Log), "0.01 0.02 0.05 0.1 0.2 0.5 1");
        assert_eq!(written(-8.5, 3.5, Scale::Log), "1e-8 1e-6 0.0001 0.01 1 100");
        assert_eq!(written(-20.5, -11.5, Scale::Log), "1e-20 1e-18 1e-16 1e-14 1e-12");
        assert_eq!(written(0.4, 0.6, Scale::Log), "3 3.5");
        assert!(!written(7.0, 7.0001, Scale::Linear).is_empty());
    }
}
