//! Two files of results, row by row.

use std::path::Path;

use super::Row;
use crate::error::{Error, Result};

/// Reads what `wgrad bench --json` wrote: a row a line.
pub fn read(file: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::file(file, format!("cannot be read: {error}")))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let row = |(index, line): (usize, &str)| -> Result<Row> {
        let problem =
            |what: String| Error::file(file, format!("line {} is no row of `wgrad bench --json`: {what}", index + 1));
        let row: Row = serde_json::from_str(line).map_err(|error| problem(error.to_string()))?;
        match row.workload.is_empty() || row.direction.is_empty() {
            true => Err(problem("it names no workload and direction".into())),
            false => Ok(row),
        }
    };
    let rows: Vec<Row> = lines.map(row).collect::<Result<_>>()?;
    match rows.is_empty() {
        true => Err(Error::file(file, "holds no row; write one with `wgrad bench --json > FILE`")),
        false => Ok(rows),
    }
}

/// The same work in two files.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// In the first file.
    pub a: Row,
    /// In the second.
    pub b: Row,
    /// Milliseconds of both.
    pub ms: [f64; 2],
}

impl Pair {
    /// The second time over the first: below 1 where the second is faster.
    pub fn ratio(&self) -> f64 {
        self.ms[1] / self.ms[0].max(f64::MIN_POSITIVE)
    }

    /// Whether the difference is larger than both spreads together.
    pub fn is_clear(&self) -> bool {
        let spread = self.a.spread_percent.unwrap_or(0.0) + self.b.spread_percent.unwrap_or(0.0);
        (self.ratio() - 1.0).abs() * 100.0 > spread
    }
}

/// What two files have in common, and how many rows with a number are in one of them alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The same work, in the order of the first file.
    pub pairs: Vec<Pair>,
    /// Rows with a number, but without a partner.
    pub alone: [usize; 2],
}

/// Pairs the rows of two files: by workload, direction, variant and batch, and by device too where a file has several.
pub fn compare(a: &[Row], b: &[Row]) -> Comparison {
    let several = |rows: &[Row]| rows.iter().any(|row| row.place() != rows[0].place());
    let by_device = several(a) || several(b);
    let same = |one: &Row, other: &Row| {
        one.subject() == other.subject() && one.batch == other.batch && (!by_device || one.place() == other.place())
    };
    let mut pairs = Vec::new();
    for row in a {
        let partner = b.iter().find(|other| same(row, other) && other.ms.is_some());
        if let (Some(mine), Some(partner)) = (row.ms, partner) {
            let ms = [mine, partner.ms.unwrap_or(f64::NAN)];
            pairs.push(Pair { a: row.clone(), b: partner.clone(), ms });
        }
    }
    let alone = [a, b].map(|rows| rows.iter().filter(|row| row.ms.is_some()).count().saturating_sub(pairs.len()));
    Comparison { pairs, alone }
}

impl Comparison {
    /// The geometric mean of all ratios; none where there are no pairs.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.pairs.iter().map(|pair| pair.ratio().ln()).sum();
        (!self.pairs.is_empty()).then(|| (sum / self.pairs.len() as f64).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, device: &str, ms: f64) -> Row {
        let (workload, device) = (workload.into(), device.into());
        Row { workload, device, direction: "forward".into(), ms: Some(ms), ..Row::default() }
    }

    #[test]
    fn rows_of_one_device_are_paired_with_those_of_another() {
        let found = compare(&[row("a", "x", 2.0), row("b", "x", 1.0)], &[row("b", "y", 4.0), row("c", "y", 1.0)]);
        assert_eq!((found.pairs.len(), found.alone), (1, [1, 1]));
        assert_eq!(found.mean(), Some(4.0));
        let several = compare(&[row("a", "x", 2.0), row("a", "y", 1.0)], &[row("a", "y", 3.0)]);
        assert_eq!((several.pairs.len(), several.pairs[0].ratio()), (1, 3.0));
    }

    #[test]
    fn a_row_without_a_number_has_no_partner() {
        let without = Row { ms: None, ..row("a", "x", 1.0) };
        assert!(compare(&[without], &[row("a", "x", 1.0)]).pairs.is_empty());
    }
}
