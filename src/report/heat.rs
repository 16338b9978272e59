//! Maps of numbers in rows and columns, as SVG inside a page.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::picture::{Key, Picture, nothing};
use super::plot::{Area, Drawn, FAINT, LETTERS, LINE, TEXT, colour, drawn, number};
use super::text;
use crate::error::Result;

/// Numbers in rows and columns, the larger the stronger their colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// What it shows.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x: String,
    /// Name of the vertical axis.
    pub y: String,
    /// Name and unit of the numbers.
    pub of: String,
    /// What stands below the columns.
    pub columns: Vec<String>,
    /// What stands before the rows.
    pub rows: Vec<String>,
    /// A row after the other, from the top; numbers that are not above 0 stay empty.
    pub cells: Vec<Vec<f64>>,
    /// The numbers that the faintest and the strongest colour stand for, where several maps are compared; else the smallest and the
    /// largest cell.
    pub range: Option<[f64; 2]>,
    /// Whether it shares a line of the page with another one.
    pub narrow: bool,
}

/// Height of a row.
const ROW: u32 = 18;
/// Width of a map, and of a narrow one.
const WIDTHS: [u32; 2] = [1000, 560];
/// Characters of a row's name, and the width that one takes.
const MOST_LETTERS: usize = 28;
const LETTER: u32 = 7;
/// Width that a column's name takes at most, about.
const NAME: u32 = 62;

impl Heat {
    /// The map as a figure of a page, its colours by the logarithm of the numbers.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the picture cannot be drawn.
    pub fn figure(&self) -> Result<String> {
        Ok(self.picture()?.map_or_else(|| nothing(&self.title), |picture| picture.figure()))
    }

    /// The map as a picture; none where there is nothing to show.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where it cannot be drawn.
    pub fn picture(&self) -> Result<Option<Picture>> {
        let values = self.cells.iter().flatten().copied().filter(|&value| value > 0.0 && value.is_finite());
        let [low, high] = [values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max)];
        if high == 0.0 {
            return Ok(None);
        }
        let [low, high] = self.range.unwrap_or([low, high]);
        let size = (WIDTHS[usize::from(self.narrow)], 70 + ROW * self.rows.len() as u32);
        let words = format!("{}: {} by {} and {}", self.title, self.of, self.y, self.x);
        let svg = drawn(size, &words, |area| self.draw(area, [low, high]))?;
        let keys = vec![Key::Ramp(self.of.clone(), [low, high].map(number))];
        Ok(Some(Picture { title: self.title.clone(), size, svg, keys }))
    }

    fn draw(&self, area: &Area, [low, high]: [f64; 2]) -> Drawn {
        let (columns, rows) = (self.columns.len(), self.rows.len());
        let letters = self.rows.iter().map(|name| name.chars().count().min(MOST_LETTERS)).max().unwrap_or(0);
        let left = 36 + LETTER * letters as u32;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(46)
            .y_label_area_size(left)
            .build_cartesian_2d(0.0..columns.max(1) as f64, 0.0..rows.max(1) as f64)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(LINE)
            .x_labels(0)
            .y_labels(0)
            .axis_desc_style(("sans-serif", LETTERS).into_font().color(&TEXT))
            .x_desc(&self.x)
            .y_desc(&self.y)
            .draw()?;
        let strength = |value: f64| match (high / low).log10() {
            span if span > 1e-9 => 0.08 + 0.92 * ((value / low).log10() / span).clamp(0.0, 1.0),
            _ => 1.0,
        };
        for (row, cells) in self.cells.iter().enumerate() {
            let bottom = (rows - row - 1) as f64;
            let cells = cells.iter().enumerate().filter(|(_, value)| **value > 0.0 && value.is_finite());
            chart.draw_series(cells.map(|(column, &value)| {
                let corners = [(column as f64, bottom), (column as f64 + 1.0, bottom + 1.0)];
                Rectangle::new(corners, colour(0).mix(strength(value)).filled())
            }))?;
        }
        let font = ("sans-serif", LETTERS).into_font().color(&FAINT);
        let every = |count: usize, most: usize| count.div_ceil(most).max(1);
        let named = ((WIDTHS[usize::from(self.narrow)] - left) / NAME).max(1) as usize;
        let place = |x: f64, y: f64| chart.backend_coord(&(x, y));
        for (row, name) in self.rows.iter().enumerate() {
            let (x, y) = place(0.0, (rows - row) as f64 - 0.5);
            let style = font.pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(text::shortened(name, MOST_LETTERS), (x - 8, y), style))?;
        }
        for (column, name) in self.columns.iter().enumerate().step_by(every(columns, named)) {
            let (x, y) = place(column as f64 + 0.5, 0.0);
            area.draw(&Text::new(name.clone(), (x, y + 6), font.pos(Pos::new(HPos::Center, VPos::Top))))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_a_cell_for_each_number_above_nothing() {
        let heat = Heat {
            title: "Flow".into(),
            x: "step".into(),
            y: "layer".into(),
            of: "norm".into(),
            columns: vec!["1".into(), "2".into()],
            rows: vec!["conv".into(), "head".into()],
            cells: vec![vec![1.0, 0.0], vec![f64::NAN, 10.0]],
            range: None,
            narrow: false,
        };
        let figure = heat.figure().unwrap();
        assert_eq!(figure.matches("<rect").count(), 2, "{figure}");
        assert!(figure.contains("conv") && figure.contains("norm: 1 "), "{figure}");
    }
}
