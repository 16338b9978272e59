//! The page of a run: one file of HTML that works offline, made from what lies in the run's directory and, where somebody asked the
//! network, from what the test images showed. [`write()`] leaves it in the run, [`live()`] is the same page while the run goes on.
//!
//! [`plot`], [`heat`] and [`network`] draw, [`page`] is what all pages have in common, [`text`] writes numbers.

pub mod experiment;
pub mod findings;
pub mod flow;
pub mod heat;
mod mistakes;
pub mod network;
pub mod page;
pub mod picture;
pub mod plot;
pub mod readings;
mod sections;
mod setup;
pub mod sheet;
pub mod text;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::format::write_atomic;
use crate::train::run::{PAGE, RunRecord, read_record};

pub use findings::{Findings, Mistake};
use readings::Readings;

/// What is known of the test images.
#[derive(Debug, Clone, Copy)]
pub enum Score<'a> {
    /// What they showed.
    Found(&'a Findings),
    /// Why nobody asked the network, in a sentence.
    Missing(&'a str),
}

/// What the page adds to [`page::STYLE`].
const STYLE: &str = "\
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}.tile{border:1px solid var(--line);border-radius:6px;padding:.45rem .9rem}\
.tile b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}.tile span{color:var(--faint);font-size:13px}\
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(34rem,100%),1fr));gap:.4rem 1.6rem}\
figure{margin:.6rem 0;min-width:0}figcaption{font-weight:600}figure>svg{width:100%;height:auto;font-family:system-ui,sans-serif}\
svg.swatch{width:1.6rem;height:.6rem;margin-right:.35rem}.key{font-weight:400;color:var(--faint);margin-left:1rem;white-space:nowrap}\
.key i.ramp{display:inline-block;width:5rem;height:.8rem;border-radius:2px;margin:0 .2rem;vertical-align:-1px;background:linear-gradient(90deg,transparent,var(--c0))}\
.window{max-height:46rem;overflow:auto;border:1px solid var(--line);border-radius:6px;padding:.4rem}\
svg.network{max-width:none;display:block;font:13px system-ui,sans-serif}svg.network text{fill:var(--text)}\
svg.network .axis{fill:var(--faint)}svg.network .name{font-weight:600}.box{fill:var(--shade);stroke:var(--line)}\
.branch{fill:none;stroke:var(--faint);stroke-width:1.5}.head{fill:var(--faint)}\
table.matrix{width:auto}table.matrix td,table.matrix th{text-align:right;padding:.2rem .55rem;min-width:1.6rem}\
table.matrix th[scope=row]{border-bottom:1px solid var(--thin)}\
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem;margin:1rem 0}\
.mistake{margin:0;border:1px solid var(--line);border-radius:6px;padding:.6rem}\
.mistake img{width:100%;image-rendering:pixelated;border-radius:3px;background:#000}\
.mistake figcaption{font-weight:400;font-size:13px}.answer{position:relative;padding:0 .3rem;margin-top:2px}\
.answer i{position:absolute;left:0;top:0;bottom:0;border-radius:2px;background:var(--wrong);opacity:.25}\
.answer.label i{background:var(--right)}.answer span{position:relative;display:flex;justify-content:space-between;gap:.4rem;white-space:nowrap}\
.answer span b{font-weight:400;overflow:hidden;text-overflow:ellipsis}\
table.setup{width:auto}table.setup th{border-bottom:1px solid var(--thin);font-weight:400;color:var(--faint)}\
.setups{display:flex;flex-wrap:wrap;gap:0 3rem}details{margin:.6rem 0}summary{cursor:pointer}td,th{overflow-wrap:anywhere}table.versions td,table.versions th{overflow-wrap:normal}";

/// Renews the parts of a live page that changed, until nobody answers.
const SCRIPT: &str = "\
(()=>{const main=document.querySelector('main'),note=document.getElementById('live'),seen={};\
for(const part of main.children)seen[part.id]=part.outerHTML;\
const look=async()=>{try{const answer=await fetch('state',{cache:'no-store'});if(!answer.ok)throw answer.status;\
const fresh=document.createElement('main');fresh.innerHTML=await answer.text();\
for(const part of [...fresh.children]){const html=part.outerHTML;if(seen[part.id]===html)continue;\
seen[part.id]=html;const old=document.getElementById(part.id);if(old)old.replaceWith(part);else main.append(part)}\
setTimeout(look,2000)}\
catch{note.textContent='The run no longer answers, so it has ended. This is the last state that it showed here; report.html in its directory has the rest.'}};\
setTimeout(look,2000)})()";

/// Writes the page of the run in `run` into it, wholly or not at all, and answers where it is.
///
/// # Errors
/// [`crate::Error::File`] where there is no run, what it holds is damaged, or the page cannot be written.
pub fn write(run: &Path, score: Score) -> Result<PathBuf> {
    let file = run.join(PAGE);
    write_atomic(&file, html(run, score)?.as_bytes())?;
    Ok(file)
}

/// The page of the run in `run`.
///
/// # Errors
/// [`crate::Error::File`] where there is no run, or what it holds is damaged.
pub fn html(run: &Path, score: Score) -> Result<String> {
    let record = read_record(run)?;
    let parts = parts(run, &record, score)?;
    Ok(format!("{}<main>{parts}</main>\n</html>\n", page::begin(&title(&record), STYLE)))
}

/// The page of a run that goes on; it asks for `state` beside it, which is [`state()`], and renews itself.
///
/// # Errors
/// As for [`html()`].
pub fn live(run: &Path) -> Result<String> {
    let record = read_record(run)?;
    let parts = state(run)?;
    let note =
        "<p class=\"meta\" id=\"live\">Live: this page renews itself every two seconds while the run goes on.</p>\n";
    Ok(format!(
        "{}{note}<main>{parts}</main>\n<script>{SCRIPT}</script>\n</html>\n",
        page::begin(&title(&record), STYLE)
    ))
}

/// The parts of a live page as they are now.
///
/// # Errors
/// As for [`html()`].
pub fn state(run: &Path) -> Result<String> {
    parts(run, &read_record(run)?, Score::Missing("The test images are scored when the run has come to its end."))
}

/// The network and its data; of a directory, the last part.
fn title(record: &RunRecord) -> String {
    let source = Path::new(&record.data.source);
    let data = source.file_name().map_or(record.data.source.clone().into(), |name| name.to_string_lossy());
    format!("{} on {data}", record.network.name)
}

/// The parts of the page, each with its name.
fn parts(run: &Path, record: &RunRecord, score: Score) -> Result<String> {
    let readings = Readings::read(run)?;
    let parts = [
        ("figures", sections::figures(run, record, &readings, score)),
        ("curves", sections::curves(record, &readings)?),
        ("pace", sections::pace(record, &readings)?),
        ("flow", sections::flow(&readings)?),
        ("network", sections::network(record)?),
        ("confusion", mistakes::confusion(record, score)?),
        ("mistakes", mistakes::gallery(record, score)?),
        ("setup", setup::section(record)),
    ];
    Ok(parts.map(|(name, html)| format!("<section id=\"{name}\">\n{html}</section>\n")).concat())
}
