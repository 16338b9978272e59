//! Results in tables.

use wgrad::bench::compare::Comparison;
use wgrad::bench::regret::{MARGIN, Regret, Worse};
use wgrad::bench::{Outcome, Row};

use super::Report;
use crate::cli::text::{self, Table};

/// Three digits, or a dash.
pub fn digits(number: f64) -> String {
    match number {
        n if !n.is_finite() => "–".to_owned(),
        n if n >= 999.5 => text::count(n.round() as u64),
        n if n >= 99.95 => format!("{n:.0}"),
        n if n >= 9.995 => format!("{n:.1}"),
        n if n >= 0.9995 => format!("{n:.2}"),
        n => format!("{n:.3}"),
    }
}

fn cell(number: Option<f64>) -> String {
    number.map_or("–".to_owned(), digits)
}

fn percent(number: Option<f64>) -> String {
    number.map_or("–".to_owned(), |number| format!("{number:.1} %"))
}

fn measured(rows: &[Row], of_networks: bool) -> Vec<&Row> {
    rows.iter().filter(|row| row.ms.is_some() && row.batch.is_some() == of_networks).collect()
}

/// Whole networks; nothing where none was timed.
pub fn networks(rows: &[Row]) -> Option<String> {
    let headings =
        ["workload", ">batch", "variant", ">ms", ">spread", ">images/s", ">GFLOP/s", ">of roof", "roof that binds"];
    let (rows, mut table) = (measured(rows, true), Table::new(headings));
    for row in &rows {
        table.row([
            row.workload.clone(),
            row.batch.map_or(String::new(), |batch| batch.to_string()),
            row.variant.clone(),
            cell(row.ms),
            percent(row.spread_percent),
            cell(row.images_per_second),
            cell(row.gflops),
            percent(row.percent_of_roof),
            row.bound.clone().unwrap_or_default(),
        ]);
    }
    (!rows.is_empty()).then(|| table.lines())
}

/// Operators; nothing where none was timed.
pub fn operators(rows: &[Row]) -> Option<String> {
    let headings =
        ["workload", "direction", "variant", ">ms", ">spread", ">GFLOP/s", ">GB/s", ">of roof", "roof that binds"];
    let (rows, mut table) = (measured(rows, false), Table::new(headings));
    for row in &rows {
        table.row([
            row.workload.clone(),
            row.direction.clone(),
            row.variant.clone(),
            cell(row.ms),
            percent(row.spread_percent),
            cell(row.gflops),
            cell(row.gb_s),
            percent(row.percent_of_roof),
            row.bound.clone().unwrap_or_default(),
        ]);
    }
    (!rows.is_empty()).then(|| table.lines())
}

/// What guessing the variant costs, in words.
pub fn guessed(found: &Regret) -> String {
    let Regret { problems, ratio, worse, untimed } = found;
    let of = text::counted(*problems as u64, "problem");
    let all = format!(
        "of {of} the variant that is guessed before anything is measured takes {ratio:.3} times as long as the fastest"
    );
    let untimed = match untimed.as_slice() {
        [] => String::new(),
        some => format!("the guess itself has no time for {}", some.join(", ")),
    };
    if *problems == 0 {
        return untimed;
    }
    let untimed = if untimed.is_empty() { untimed } else { format!("; {untimed}") };
    if worse.is_empty() {
        return format!("{all}, and nowhere more than {:.0} % longer{untimed}", MARGIN * 100.0);
    }
    let told = worse.iter().map(|worse| {
        let Worse { problem, guess, fastest, ratio } = worse;
        format!("{problem} {ratio:.2} ({guess}, not {fastest})")
    });
    format!(
        "{all}; more than {:.0} % longer: {}; `wgrad tune` finds such{untimed}",
        MARGIN * 100.0,
        told.collect::<Vec<_>>().join(", ")
    )
}

/// The spread in percent that half of the rows pass, where it is so large that the machine must have been busy.
pub fn busy(rows: &[Row]) -> Option<f64> {
    const QUIET: f64 = 20.0;
    const FEWEST: usize = 4;
    let mut spreads: Vec<f64> = rows.iter().filter_map(|row| row.spread_percent).collect();
    spreads.sort_by(f64::total_cmp);
    let middle = spreads.get(spreads.len().saturating_sub(1) / 2).copied();
    middle.filter(|spread| spreads.len() >= FEWEST && *spread > QUIET)
}

/// The reasons for which rows were not run, and of each how many rows and which workloads. How long each would take is in the
/// row itself; here alike reasons come together.
pub fn without_number(rows: &[Row]) -> Vec<(String, String)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows.iter().filter(|row| row.outcome == Outcome::NotRun) {
        let reason = row.reason.as_deref().unwrap_or_default();
        let reason = if reason.starts_with("one run ") { TOO_LONG } else { reason };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(&row.workload),
            None => reasons.push((reason, vec![&row.workload])),
        }
    }
    let told = |(reason, names): (&str, Vec<&str>)| {
        // The rows of a workload come one after the other.
        let workloads = names.chunk_by(|a, b| a == b);
        let workloads: Vec<_> = workloads.map(|alike| format!("{} ×{}", alike[0], alike.len())).collect();
        (format!("{}: {reason}", text::counted(names.len() as u64, "row")), workloads.join(", "))
    };
    reasons.into_iter().map(told).collect()
}

/// Said of all rows that would take too long, together.
const TOO_LONG: &str =
    "one run would take too long here; more `--seconds` time them, and --json says how many each one needs";

/// What was timed on more than one device, their times beside each other; the devices have numbers.
pub fn side_by_side(reports: &[Report]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut headings: Vec<String> = ["workload, direction, variant"].map(str::to_owned).to_vec();
    for (number, report) in (1..).zip(reports) {
        let name = report.rows.first().map_or_else(|| report.device.name(), Row::place);
        lines.push(format!("  {number}  {name}"));
        headings.push(format!("ms on {number}"));
        headings.extend((number > 1).then(|| format!("{number} / 1")));
    }
    let mut table = Table::matrix(headings);
    let mut subjects: Vec<[&str; 3]> = Vec::new();
    for row in reports.iter().flat_map(|report| &report.rows).filter(|row| row.ms.is_some()) {
        if !subjects.contains(&row.subject()) {
            subjects.push(row.subject());
        }
    }
    for subject in subjects {
        let timed =
            |report: &Report| report.rows.iter().find(|row| row.subject() == subject && row.ms.is_some()).cloned();
        let found: Vec<Option<Row>> = reports.iter().map(timed).collect();
        if found.iter().flatten().count() < 2 {
            continue;
        }
        let mut cells = vec![subject.join(" ")];
        for (number, here) in found.iter().enumerate() {
            cells.push(cell(here.as_ref().and_then(|row| row.ms)));
            if number > 0 {
                // Another batch is other work.
                let alike = found[0].as_ref().zip(here.as_ref()).filter(|(first, here)| first.batch == here.batch);
                cells.push(cell(alike.and_then(|(first, here)| Some(here.ms? / first.ms?))));
            }
        }
        table.row(cells);
    }
    lines.push(format!("\n{}", table.lines()));
    lines.join("\n")
}

/// Two files, row by row.
pub fn ratios(comparison: &Comparison) -> String {
    let mut table = Table::new(["workload", "direction", "variant", ">ms in A", ">ms in B", ">B / A", ""]);
    for pair in &comparison.pairs {
        let [workload, direction, variant] = pair.a.subject().map(str::to_owned);
        let mark = if pair.is_clear() { "*" } else { "" };
        let ratio = format!("{:.3}", pair.ratio());
        table.row([workload, direction, variant, digits(pair.ms[0]), digits(pair.ms[1]), ratio, mark.into()]);
    }
    table.lines()
}

/// The heading of [`csv`].
pub const CSV: &str = "workload,direction,variant,device,backend,ms,spread_percent,gflops,gb_s,percent_of_roof,bound,\
                       batch,ms_per_step,images_per_second,flops,bytes,roof_gflops,roof_gb_s,outcome,reason";

/// A row as a line of CSV.
pub fn csv(row: &Row) -> String {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let quoted = |text: &str| match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"").replace('\n', " ")),
        false => text.to_owned(),
    };
    let outcome = match row.outcome {
        Outcome::Measured => "measured",
        Outcome::NotRun => "not_run",
        Outcome::Wrong => "wrong",
    };
    [
        row.workload.clone(),
        row.direction.clone(),
        row.variant.clone(),
        quoted(&row.device),
        row.backend.clone(),
        number(row.ms),
        number(row.spread_percent),
        number(row.gflops),
        number(row.gb_s),
        number(row.percent_of_roof),
        row.bound.clone().unwrap_or_default(),
        row.batch.map_or(String::new(), |batch| batch.to_string()),
        number(row.ms_per_step),
        number(row.images_per_second),
        row.flops.to_string(),
        row.bytes.to_string(),
        number(row.roof_gflops),
        number(row.roof_gb_s),
        outcome.to_owned(),
        quoted(row.reason.as_deref().unwrap_or_default()),
    ]
    .join(",")
}
