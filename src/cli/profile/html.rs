//! The profile as a page that stands alone: where the step goes, by operator and by node.

use std::fmt::Write as _;
use std::path::Path;

use wgrad::format::write_atomic;
use wgrad::train::profile::Profile;

use super::chart::{Bar, bars, strip};
use super::{Subject, Unit, clock, explained, figures, on_the_clock, processor};
use crate::cli::page::{self, escaped};
use crate::cli::text::{self, counted};

const STYLE: &str = "\
:root{--forward:#0072b2;--backward:#d55e00;--update:#009e73;--rest:#a0a7ae}\
@media(prefers-color-scheme:dark){:root{--forward:#56b4e9;--backward:#f0883e;--update:#3fb98f;--rest:#6e7781}}\
svg{width:100%;height:auto;margin:.6rem 0;font-size:12.5px;font-variant-numeric:tabular-nums}svg text{fill:var(--text)}\
svg .axis{fill:var(--faint)}svg .note{fill:var(--faint)}.grid{stroke:var(--thin)}.spread{stroke:var(--text);stroke-width:1.5}\
.forward{fill:var(--forward)}.backward{fill:var(--backward)}.update{fill:var(--update)}.rest{fill:var(--rest)}\
.key{display:inline-block;margin-right:1.4rem}.key svg{width:.8rem;height:.8rem;margin:0 .4rem 0 0;vertical-align:-1px}";

/// Writes the page, wholly or not at all.
pub fn write(file: &Path, profile: &Profile, subject: &Subject) -> wgrad::Result<()> {
    let unit = Unit::of(profile);
    let mut page = head(profile, subject);
    page += &parts(profile, &unit);
    page += "<h2>By operator and direction</h2>\n";
    page += &bars("operator · direction", &by_operator(profile, &unit), &unit);
    page += "<h2>By node, in the order in which they run</h2>\n<p class=\"meta\">The thin line over a bar spans the middle half \
             of the measured steps.</p>\n";
    page += &bars("node", &by_node(profile, &unit), &unit);
    table(&mut page, profile, &unit);
    page += "</html>\n";
    write_atomic(file, page.as_bytes())
}

fn head(profile: &Profile, subject: &Subject) -> String {
    let Subject { network, batch, device, .. } = subject;
    let images = counted(*batch as u64, "image");
    let driver = if device.driver.is_empty() { String::new() } else { format!(" · {}", device.driver) };
    let mut page = page::begin(&format!("A training step of {network}"), STYLE);
    let _ = write!(
        page,
        "<p class=\"big\">{} · {}</p>\n<p class=\"meta\">{} · {images} a step · wgrad {}</p>\n",
        text::moment(profile.step),
        text::speed(*batch as f64 / profile.step),
        escaped(&format!("{} · {}{driver}", device.name, device.backend)),
        env!("CARGO_PKG_VERSION"),
    );
    let _ = writeln!(
        page,
        "<p class=\"meta\">Clock: {}.</p>",
        escaped(&clock(profile, subject).replace("\n          ", " · "))
    );
    page
}

/// What an ordinary step consists of.
fn parts(profile: &Profile, unit: &Unit) -> String {
    let part = |wanted: &str| {
        let nodes = profile.nodes.iter().filter(|node| node.part == wanted);
        nodes.filter_map(|node| node.cost.seconds).sum::<f64>()
    };
    let mut parts: Vec<(&str, &'static str, f64)> =
        ["forward", "backward", "update"].map(|name| (name, name, part(name))).to_vec();
    parts.push(("unexplained rest", "rest", profile.rest()));
    let mut html = format!("<h2>An ordinary step</h2>\n{}<p>", strip(&parts, unit));
    for (name, class, seconds) in &parts {
        let share = text::percent(profile.share(*seconds));
        let _ = write!(
            html,
            "<span class=\"key\"><svg viewBox=\"0 0 10 10\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg>{name} {} {} \
             ({share})</span>",
            unit.write(*seconds),
            unit.name
        );
    }
    let first = explained(profile);
    let _ = write!(html, "</p>\n<p class=\"meta\">{}{}.", first[..1].to_uppercase(), &first[1..]);
    let _ = writeln!(
        html,
        " A step that is taken apart lasts {}, and its intervals cover {} of it.</p>",
        text::moment(profile.profiled),
        text::percent(profile.covered)
    );
    if let Some(host) = &profile.host {
        let _ = writeln!(html, "<p class=\"meta\">Host: {}; {}.</p>", processor(profile, host), on_the_clock(host));
    }
    html
}

/// What stands behind a bar.
fn note(profile: &Profile, seconds: Option<f64>, unit: &Unit) -> String {
    let known = |seconds| {
        let share = text::percent(profile.share(seconds));
        format!("{} {} · {share}", unit.write(seconds), unit.name)
    };
    seconds.map_or("no measurement could be believed".into(), known)
}

fn by_operator(profile: &Profile, unit: &Unit) -> Vec<Bar> {
    let groups = profile.groups().into_iter().map(|group| Bar {
        label: format!("{} · {}", group.operator, group.direction),
        note: note(profile, group.cost.seconds, unit),
        seconds: group.cost.seconds,
        quartiles: None,
        part: group.part,
    });
    let rest = Bar {
        label: "unexplained rest".into(),
        note: note(profile, Some(profile.rest()), unit),
        seconds: Some(profile.rest().max(0.0)),
        quartiles: None,
        part: "rest",
    };
    groups.chain([rest]).collect()
}

fn by_node(profile: &Profile, unit: &Unit) -> Vec<Bar> {
    let bar = |node: &wgrad::train::profile::NodeTime| Bar {
        label: node.node.clone(),
        note: note(profile, node.cost.seconds, unit),
        seconds: node.cost.seconds,
        quartiles: node.quartiles,
        part: node.part,
    };
    profile.nodes.iter().map(bar).collect()
}

fn table(page: &mut String, profile: &Profile, unit: &Unit) {
    let words = ["node", "operator", "direction", "variant"];
    let numbers = ["dispatches", unit.name, "share", "GFLOP/s", "GB/s"];
    *page += "<h2>In figures</h2>\n<div class=\"scroll\"><table><tr>";
    words.iter().for_each(|heading| *page += &format!("<th>{heading}</th>"));
    numbers.iter().for_each(|heading| *page += &format!("<th class=\"n\">{heading}</th>"));
    *page += "</tr>\n";
    for node in &profile.nodes {
        let figures = [node.cost.dispatches.to_string()].into_iter().chain(figures(profile, unit, &node.cost));
        let cells = [node.node.as_str(), node.operator, node.direction, node.variant].map(escaped);
        let words: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let numbers: String = figures.map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
        let _ = writeln!(page, "<tr>{words}{numbers}</tr>");
    }
    *page += "</table></div>\n";
}
