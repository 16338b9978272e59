//! Numbers and tables as people read them.

use std::time::Duration;

/// `12,345`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 image`, `2 images`
pub fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(number))
}

/// `1.23 M`: three digits and a prefix.
fn prefixed(number: f64, step: f64, prefixes: &[&str]) -> String {
    let (mut number, mut index) = (number, 0);
    // What would be rounded up to the next prefix belongs there.
    while number >= step - 0.5 && index + 1 < prefixes.len() {
        number /= step;
        index += 1;
    }
    let digits = match number {
        _ if index == 0 => 0,
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$} {}", prefixes[index])
}

/// `1.23 MFLOP`
pub fn flops(number: u64) -> String {
    prefixed(number as f64, 1000.0, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"])
}

/// `1.23 MiB`
pub fn bytes(number: u64) -> String {
    prefixed(number as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// `28×28×1`
pub fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

/// `98.7 %`
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A loss with four digits behind the point, or two before the exponent where that is no way to write it.
pub fn loss(loss: f64) -> String {
    if loss.abs() < 1e5 || !loss.is_finite() { format!("{loss:.4}") } else { format!("{loss:.2e}") }
}

/// A learning rate with three digits.
pub fn rate(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.2e}").parse().unwrap_or(rate);
    if (1e-4..1e4).contains(&rounded) || rounded == 0.0 { format!("{rounded}") } else { format!("{rounded:e}") }
}

/// Images a second.
pub fn speed(images: f64) -> String {
    if images < 10.0 { format!("{images:.1} images/s") } else { format!("{} images/s", count(images.round() as u64)) }
}

/// `1 h 02 min`, `3 min 04 s`, `5.6 s`
pub fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.round()).unwrap_or(Duration::MAX).as_secs();
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1.23 s`, `45.6 ms`, `7.89 µs`: three digits, with a sign where it is negative.
pub fn moment(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    let (number, unit) = match seconds {
        s if s >= 0.9995 => (s, "s"),
        s if s >= 0.999_5e-3 => (1e3 * s, "ms"),
        s => (1e6 * s, "µs"),
    };
    let digits = match number {
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    };
    format!("{sign}{number:.digits$} {unit}")
}

/// At most so many characters, the last of which is … where something is left out.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// One line: blanks and line breaks shrink to a blank.
pub fn sentence(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words in lines of at most so many characters, each behind this indentation.
pub fn wrapped(text: &str, indentation: &str, most: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let used = lines[last].chars().count();
        if used > 0 && indentation.len() + used + 1 + word.chars().count() > most {
            lines.push(word.to_owned());
        } else {
            lines[last] += &if used > 0 { format!(" {word}") } else { word.to_owned() };
        }
    }
    lines.iter().map(|line| format!("{indentation}{line}")).collect::<Vec<_>>().join("\n")
}

/// An aligned table.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings; those that begin with `>` stand over right-aligned columns.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let heading = headings.iter().map(|heading| heading.trim_start_matches('>').to_owned()).collect();
        Self { rows: vec![heading], right }
    }

    /// The same for headings that are not known beforehand, all but the first on the right.
    pub fn matrix(headings: Vec<String>) -> Self {
        let right = (0..headings.len()).map(|index| index > 0).collect();
        Self { rows: vec![headings], right }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// The lines, indented by two blanks.
    pub fn lines(&self) -> String {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let blanks = " ".repeat(widths[column] - cell.chars().count());
                line += "  ";
                line += &if self.right[column] { blanks + cell } else { cell.clone() + &blanks };
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "image") + " " + &counted(2, "image"), "1 image 2 images");
        assert_eq!(
            [0, 999, 1000, 999_600, 12_340_000].map(flops),
            ["0 FLOP", "999 FLOP", "1.00 kFLOP", "1.00 MFLOP", "12.3 MFLOP"]
        );
        assert_eq!([1023, 1024, 1536 << 20].map(bytes), ["1023 B", "1.00 KiB", "1.50 GiB"]);
        assert_eq!(
            [1e-3, 1e-5, 0.05, 1e30, 0.0, 1.23456e-3].map(rate),
            ["0.001", "1e-5", "0.05", "1e30", "0", "0.00123"]
        );
        assert_eq!([0.04, 59.9, 61.0, 3720.0].map(duration), ["0.0 s", "1 min 00 s", "1 min 01 s", "1 h 02 min"]);
        assert_eq!(
            [1.5, 0.01234, 9.9996e-4, -1.2e-5, 0.0].map(moment),
            ["1.50 s", "12.3 ms", "1.00 ms", "-12.0 µs", "0.00 µs"]
        );
        assert_eq!([0.12345, 1e9, f64::NAN].map(loss), ["0.1235", "1.00e9", "NaN"]);
    }

    #[test]
    fn long_lines_are_wrapped_between_words() {
        assert_eq!(wrapped("aa bb ccc d", "  ", 7), "  aa bb\n  ccc d");
        assert_eq!(wrapped("endless", "  ", 4), "  endless");
    }

    #[test]
    fn long_names_are_shortened_to_the_character() {
        assert_eq!(["größe", "größen", ""].map(|text| shortened(text, 5)), ["größe", "größ…", ""]);
    }

    #[test]
    fn tables_are_aligned_by_characters() {
        let mut table = Table::new(["name", ">size"]);
        table.row(["a".to_owned(), "2×2".to_owned()]);
        table.row(["longer".to_owned(), "1".to_owned()]);
        assert_eq!(table.lines(), "  name    size\n  a        2×2\n  longer     1");
    }
}
