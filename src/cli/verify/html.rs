//! The report as a page that stands alone.

use std::fmt::Write as _;
use std::path::Path;

use wgrad::format::write_atomic;
use wgrad::verify::compare::ORIGIN;
use wgrad::verify::trial::{Outcome, Verdict};

use super::rows::{self, HEADINGS, Row};
use super::{Counts, Report};
use crate::cli::page::{self, escaped};
use crate::cli::text;

/// Writes the page, wholly or not at all.
pub fn write(file: &Path, reports: &[Report], seconds: f64) -> wgrad::Result<()> {
    let counts = Counts::of(reports.iter().flat_map(|report| &report.outcomes));
    let mut page = page::begin("wgrad verify", "");
    let _ = write!(
        page,
        "<p class=\"big\">{}</p>\n<p class=\"meta\">wgrad {} · {}</p>\n",
        escaped(&summary(counts)),
        env!("CARGO_PKG_VERSION"),
        text::duration(seconds),
    );
    for report in reports {
        section(&mut page, report);
    }
    page += "</html>\n";
    write_atomic(file, page.as_bytes())
}

fn summary(counts: Counts) -> String {
    let Counts { passed, failed, not_run } = counts;
    let [passed, failed, not_run] = [passed, failed, not_run].map(|count| text::count(count as u64));
    format!("{passed} passed · {failed} failed · {not_run} not run")
}

fn section(page: &mut String, report: &Report) {
    let counts = summary(Counts::of(&report.outcomes));
    let _ = write!(
        page,
        "<h2>{}</h2>\n<p class=\"meta\">{} · {}</p>\n<p>{counts} · {} · {} compiled</p>\n<table><tr>",
        escaped(&report.name),
        escaped(&report.backend),
        escaped(&report.driver),
        text::duration(report.seconds),
        text::counted(report.pipelines as u64, "pipeline"),
    );
    for heading in HEADINGS {
        let class = if heading.starts_with('>') { " class=\"n\"" } else { "" };
        let _ = write!(page, "<th{class}>{}</th>", heading.trim_start_matches('>'));
    }
    *page += "</tr>\n";
    for row in Row::all(&report.outcomes) {
        *page += "<tr>";
        for (heading, cell) in HEADINGS.iter().zip(row.cells()) {
            let class = match *heading {
                "verdict" => row.verdict().split(' ').next().unwrap_or_default(),
                heading if heading.starts_with('>') => "n",
                _ => "",
            };
            let _ = write!(page, "<td class=\"{class}\">{}</td>", escaped(&cell));
        }
        *page += "</tr>\n";
    }
    let _ = write!(page, "</table>\n<p class=\"meta\">Tolerance: {}.</p>\n", escaped(ORIGIN));
    for (reason, count) in rows::not_run(&report.outcomes) {
        let _ = writeln!(page, "<p>Not run, {}: {}.</p>", text::counted(count as u64, "case"), escaped(&reason));
    }
    for outcome in report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed) {
        let Outcome { operator, direction, variant, case, story, .. } = outcome;
        let story = escaped(story.as_deref().unwrap_or_default());
        let _ = writeln!(page, "<p>{operator} · {direction} · {variant} · {case}</p>\n<pre>{story}</pre>");
    }
}
