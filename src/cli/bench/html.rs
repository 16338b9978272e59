//! The results as a page that stands alone: a roofline plot for each device, and bars.

use std::fmt::Write as _;
use std::path::Path;

use wgrad::bench::{Outcome, Row};
use wgrad::format::write_atomic;

use super::rows::digits;
use super::{Report, plot, rows};
use crate::cli::page::{self, escaped};
use crate::cli::text;

const STYLE: &str = "\
td.bar{width:16rem;min-width:8rem}td.bar span{display:block;height:.75rem;border-radius:2px;background:var(--c0)}\
td.bar span.memory{background:var(--c2)}.not{font-size:13px}";

/// Writes the page, wholly or not at all.
pub fn write(file: &Path, reports: &[Report]) -> wgrad::Result<()> {
    let mut page = page::begin("wgrad bench", &format!("{}{STYLE}", plot::STYLE));
    let seconds = reports.iter().map(|report| report.seconds).sum();
    let _ = writeln!(page, "<p class=\"meta\">wgrad {} · {}</p>", env!("CARGO_PKG_VERSION"), text::duration(seconds));
    for report in reports {
        section(&mut page, report);
    }
    if reports.len() > 1 {
        let _ = writeln!(page, "<h2>Side by side</h2>\n<pre>{}</pre>", escaped(&rows::side_by_side(reports)));
    }
    page += "</html>\n";
    write_atomic(file, page.as_bytes())
}

fn section(page: &mut String, report: &Report) {
    let driver = report.rows.first().map(|row| row.driver.clone()).unwrap_or_default();
    let _ = writeln!(
        page,
        "<h2>{}</h2>\n<p class=\"meta\">{} · {}</p>",
        escaped(&report.device.name()),
        escaped(report.device.backend()),
        escaped(&driver)
    );
    if let Some(roofs) = &report.roofs {
        let [flops, bytes] = [roofs.flops, roofs.bytes].map(|rate| digits(rate / 1e9));
        let _ = writeln!(
            page,
            "<p>Roofs, measured in this run: {flops} GFLOP/s of multiply-adds, {bytes} GB/s of a copy. A bar is the time that \
             the roof asks for at least over the time that was taken; blue where the multiply-adds bind, green where the \
             bandwidth does. Small work may lie in caches and pass the bandwidth of a large copy.</p>"
        );
        *page += &plot::roofline(roofs, &report.rows).unwrap_or_default();
    }
    let measured =
        |network: bool| report.rows.iter().filter(move |row| row.ms.is_some() && row.batch.is_some() == network);
    table(page, "Networks", measured(true).collect());
    table(page, "Operators", measured(false).collect());
    for row in report.rows.iter().filter(|row| row.outcome == Outcome::Wrong) {
        let story = escaped(row.reason.as_deref().unwrap_or_default());
        let _ = writeln!(
            page,
            "<p class=\"FAILED\">Wrong: {}</p>\n<pre>{story}</pre>",
            escaped(&row.subject().join(" · "))
        );
    }
    for (reason, names) in rows::without_number(&report.rows) {
        let _ = writeln!(page, "<p class=\"not\">Not run, {}: {}.</p>", escaped(&reason), escaped(&names));
    }
}

fn table(page: &mut String, title: &str, rows: Vec<&Row>) {
    if rows.is_empty() {
        return;
    }
    let of_networks = rows[0].batch.is_some();
    let rate = if of_networks { "images/s" } else { "GB/s" };
    let _ = writeln!(
        page,
        "<h2>{title}</h2><div class=\"scroll\"><table><tr><th>workload</th><th>{}</th><th>variant</th><th class=\"n\">ms</th>\
         <th class=\"n\">spread</th><th class=\"n\">GFLOP/s</th><th class=\"n\">{rate}</th><th class=\"n\">of roof</th><th></th></tr>",
        if of_networks { "batch" } else { "direction" },
    );
    for row in rows {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), digits);
        let percent = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1} %"));
        let second = row.batch.map_or_else(|| row.direction.clone(), |batch| batch.to_string());
        let bar = row.percent_of_roof.map_or(String::new(), |share| {
            let bound = row.bound.as_deref().unwrap_or_default();
            format!("<span class=\"{bound}\" style=\"width:{:.1}%\"></span>", share.clamp(0.3, 100.0))
        });
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{second}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"bar\">{bar}</td></tr>",
            escaped(&row.workload),
            escaped(&row.variant),
            number(row.ms),
            percent(row.spread_percent),
            number(row.gflops),
            number(if of_networks { row.images_per_second } else { row.gb_s }),
            percent(row.percent_of_roof),
        );
    }
    *page += "</table></div>\n";
}
