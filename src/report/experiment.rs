//! The page of an experiment, and its plots as files: made of the experiment's record and of the metrics of its runs.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::flow::{Reading, map};
use super::page::{self, escaped};
use super::picture::Picture;
use super::plot::{Curve, Plot, Scale};
use super::readings::{Readings, Step};
use super::text;
use crate::error::{Error, Result};
use crate::format::write_atomic;
use crate::train::experiment::claims::{CLEAR, EVEN, EVENER, effects, written};
use crate::train::experiment::{Measurement, Record, State, Worth, read_record};
use crate::train::run::{PAGE, read_record as read_run};

/// The folder of the plots.
pub const PLOTS: &str = "plots";
/// Colours of the maps of all versions span so many times at most; what is smaller is as faint.
const SPAN: f64 = 1e15;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// The folder of the plots.
    pub plots: PathBuf,
    /// What is missing, in sentences.
    pub warnings: Vec<String>,
}

/// What a run left behind.
struct Seen<'a> {
    measured: &'a Measurement,
    readings: Vec<Reading>,
    steps: Vec<Step>,
}

/// A picture with the name of its file.
struct Named {
    file: String,
    picture: Picture,
}

/// Writes the page of the experiment in `path`, and every plot on it as SVG and PNG.
///
/// # Errors
/// [`Error::File`] where there is no experiment, what it holds is damaged, or nothing can be written.
pub fn write(path: &Path) -> Result<Written> {
    let record = read_record(path)?;
    let mut seen = Vec::new();
    for measured in &record.measured {
        let run = path.join(&measured.run);
        let Readings { steps, flow, .. } = Readings::read(&run)?;
        let mut readings = Reading::all(&flow);
        // Scales of normalisations would shift the layers of one version against those of another.
        let weighted = read_run(&run)?.network.layers.into_iter().filter(|named| named.layer.is_weighted());
        let weighted: HashSet<String> = weighted.map(|named| named.name).collect();
        readings.iter_mut().for_each(|reading| reading.layers.retain(|layer| weighted.contains(&layer.name)));
        seen.push(Seen { measured, readings, steps });
    }
    let (html, pictures) = build(&record, &seen)?;
    let plots = path.join(PLOTS);
    std::fs::create_dir_all(&plots).map_err(|error| Error::file(&plots, format!("cannot be made: {error}")))?;
    let mut warnings = Vec::new();
    for Named { file, picture } in &pictures {
        write_atomic(&plots.join(format!("{file}.svg")), picture.file().as_bytes())?;
        match picture.png()? {
            Some(png) => write_atomic(&plots.join(format!("{file}.png")), &png)?,
            None if warnings.is_empty() => {
                warnings.push("this machine has no font, so the plots are written as SVG alone, not as PNG".to_owned());
            }
            None => {}
        }
    }
    let page = path.join(PAGE);
    write_atomic(&page, html.as_bytes())?;
    Ok(Written { page, plots, warnings })
}

fn build(record: &Record, seen: &[Seen]) -> Result<(String, Vec<Named>)> {
    let mut pictures = Vec::new();
    let mut html = page::begin(&title(record), super::STYLE) + "<main>";
    let mut section = |name: &str, part: String| {
        let _ = write!(html, "<section id=\"{name}\">\n{part}</section>\n");
    };
    section("figures", about(record));
    section("claims", claims(record));
    section("versions", table(record));
    if record.depths.len() > 1 {
        section("depths", over_depth(record, seen, &mut pictures)?);
    }
    let range = range(seen);
    for &depth in record.depths.iter().rev() {
        let here: Vec<&Seen> = seen.iter().filter(|seen| seen.measured.depth == depth).collect();
        section(&format!("curves-{depth}"), curves(record, depth, &here, &mut pictures)?);
        section(&format!("maps-{depth}"), maps(record, depth, &here, range, &mut pictures)?);
    }
    Ok((html + "</main>\n</html>\n", pictures))
}

fn title(record: &Record) -> String {
    let source = Path::new(&record.data.source);
    let data = source.file_name().map_or(record.data.source.clone().into(), |name| name.to_string_lossy());
    format!("How gradients flow through {} on {data}", record.network)
}

/// What the names of files and headings say about the depth, where there are several.
fn at(record: &Record, depth: usize) -> [String; 2] {
    match record.depths.len() {
        0 | 1 => [String::new(), String::new()],
        _ => [format!("depth_{depth}_"), format!(" at depth {depth}")],
    }
}

fn about(record: &Record) -> String {
    let done = record.measured.len();
    let all = record.versions.len() * record.depths.len();
    let standing = match record.state {
        State::Finished => String::new(),
        State::Running => format!(" It goes on, or was killed: {done} of {all} versions are done."),
        State::Interrupted => format!(" It was interrupted: {done} of {all} versions are done."),
        State::Failed => format!(" It failed: {done} of {all} versions are done."),
    };
    let depths = match record.depths.as_slice() {
        [depth] => format!("Its depth is {depth}."),
        depths => format!("Its depths are {}.", depths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    };
    format!(
        "<p class=\"meta\">{} · begun {} · wgrad {}</p>\n<p>The same network is trained on the same images from seed {}, {} of \
         {} each, in versions that differ in little. {} Norms are those of the gradients of the weights of convolutions and linear \
         layers, before clipping. What a version shows, it shows for this network, these images and these steps.{standing}</p>\n",
        escaped(&record.device.name),
        escaped(&record.started.replace('T', " ")),
        escaped(&record.wgrad),
        record.seed,
        text::counted(record.steps, "step"),
        text::counted(record.batch as u64, "image"),
        depths
    )
}

/// What the cures were worth.
fn claims(record: &Record) -> String {
    let mut html = format!(
        "<h2>What the cures were worth</h2>\n<p class=\"meta\">A cure worked whose network tells at least {:.0} % of the test images more \
         right than the sick version that it is, but for one thing; it mended the gradient alone where it does not, but the first layer's \
         gradient comes closer to the last one's by a factor of {:.0} at least, to within a factor of {:.0}, or is called healthy.</p>\n",
        100.0 * CLEAR,
        10f64.powf(EVENER),
        10f64.powf(EVEN)
    );
    let found = effects(record);
    for worth in Worth::ALL {
        let told = found.iter().filter(|effect| effect.worth == worth);
        let told: String =
            told.map(|effect| format!("<li>{}</li>\n", escaped(&effect.sentence(record.depths.len() > 1)))).collect();
        if !told.is_empty() {
            let _ = write!(html, "<h3>{}</h3>\n<ul>{told}</ul>\n", worth.heading());
        }
    }
    if found.is_empty() {
        html += "<p>No cure was measured together with what it is to heal.</p>\n";
    }
    html
}

fn table(record: &Record) -> String {
    let mut html = "<h2>Versions</h2>\n<div class=\"scroll\"><table class=\"versions\"><tr><th>version</th><th>what it is</th><th class=\"n\">depth</th>\
                    <th class=\"n\">first layer's gradient over the last one's, at the start</th><th class=\"n\">at the end</th>\
                    <th class=\"n\">test loss (nats)</th><th class=\"n\">test accuracy (%)</th><th>verdict</th></tr>\n"
        .to_owned();
    for measured in &record.measured {
        let Measurement { version, depth, loss, accuracy, verdict, words, .. } = measured;
        let says = record.versions.iter().find(|planned| planned.name == *version).map_or("", |planned| &planned.says);
        let float64 = match measured.first_over_last_start_float64 {
            Some(ratio) => format!(" <span class=\"not\">({} in float64)</span>", written(Some(ratio))),
            None => String::new(),
        };
        let _ = writeln!(
            html,
            "<tr><td><b>{}</b></td><td>{}</td><td class=\"n\">{depth}</td><td class=\"n\">{}{float64}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td title=\"{}\">{}</td></tr>",
            escaped(version),
            escaped(says),
            written(measured.first_over_last_start),
            written(measured.first_over_last_end),
            loss.map_or("none".to_owned(), text::loss),
            accuracy.map_or("none".to_owned(), |accuracy| format!("{:.1}", 100.0 * accuracy)),
            escaped(words),
            verdict.words()
        );
    }
    html + "</table></div>\n"
}

/// Draws a plot, keeps it for the files, and answers its figure.
fn shown(file: String, plot: &Plot, pictures: &mut Vec<Named>) -> Result<String> {
    let picture = plot.picture()?;
    let figure = plot.figure()?;
    pictures.extend(picture.map(|picture| Named { file, picture }));
    Ok(figure)
}

fn over_depth(record: &Record, seen: &[Seen], pictures: &mut Vec<Named>) -> Result<String> {
    let curves = |of: fn(&Measurement) -> Option<f64>| -> Vec<Curve> {
        let points = |name: &str| {
            let here = seen.iter().map(|seen| seen.measured).filter(|measured| measured.version == name);
            here.map(|measured| [measured.depth as f64, of(measured).unwrap_or(f64::NAN)]).collect()
        };
        let versions = record.versions.iter();
        versions.map(|v| Curve { name: v.name.clone(), points: points(&v.name), marked: true }).collect()
    };
    let plot = |title: &str, y: &str, scale: Scale, curves: Vec<Curve>| Plot {
        title: title.into(),
        x: "depth (convolutions)".into(),
        y: y.into(),
        scale,
        curves,
    };
    let ratio = "first layer's gradient over the last one's";
    let plots = [
        (
            "ratio_over_depth_start",
            plot("First step, by depth", ratio, Scale::Log, curves(|m| m.first_over_last_start)),
        ),
        ("ratio_over_depth_end", plot("End, by depth", ratio, Scale::Log, curves(|m| m.first_over_last_end))),
        (
            "accuracy_over_depth",
            plot(
                "Accuracy by depth",
                "test images told right (%)",
                Scale::FromZero,
                curves(|m| Some(100.0 * m.accuracy?)),
            ),
        ),
    ];
    let mut html = "<h2>Over depth</h2>\n".to_owned();
    for (file, plot) in &plots {
        html += &shown((*file).to_owned(), plot, pictures)?;
    }
    Ok(html)
}

/// The loss, each point the mean of so many steps.
fn smoothed(steps: &[Step], together: usize) -> Vec<[f64; 2]> {
    let mean = |part: &[Step]| {
        let losses: Vec<f64> = part.iter().filter_map(|step| step.loss).collect();
        let last = part.last().map_or(0, |step| step.step);
        [last as f64, losses.iter().sum::<f64>() / losses.len() as f64]
    };
    steps.chunks(together.max(1)).map(mean).collect()
}

fn curves(record: &Record, depth: usize, seen: &[&Seen], pictures: &mut Vec<Named>) -> Result<String> {
    let [file, heading] = at(record, depth);
    // As many points as there are readings.
    let together = (record.steps as usize).div_ceil(40);
    let by_layer = |title: &str, of: fn(&[Reading]) -> Option<&Reading>| Plot {
        title: title.to_owned() + &heading,
        x: "layer, from the image on".into(),
        y: "norm of its gradient (log scale)".into(),
        scale: Scale::Log,
        curves: seen
            .iter()
            .map(|seen| match of(&seen.readings) {
                Some(reading) => reading.curve(seen.measured.version.clone()),
                None => Curve { name: seen.measured.version.clone(), points: Vec::new(), marked: true },
            })
            .collect(),
    };
    let loss = Plot {
        title: format!("Training loss{heading}"),
        x: "step".into(),
        y: format!("cross-entropy (nats), mean of {together} steps"),
        scale: Scale::Log,
        curves: seen
            .iter()
            .map(|seen| Curve {
                name: seen.measured.version.clone(),
                points: smoothed(&seen.steps, together),
                marked: false,
            })
            .collect(),
    };
    let plots = [
        ("gradient_by_layer_start", by_layer("Gradient by layer in the first step", <[Reading]>::first)),
        ("gradient_by_layer_end", by_layer("Gradient by layer in the last step", <[Reading]>::last)),
        ("loss", loss),
    ];
    let mut html = format!(
        "<h2>All versions{heading}</h2>\n<p class=\"meta\">A layer without a point, and a version without a curve, has no gradient left, or none \
         that is finite.</p>\n"
    );
    for (name, plot) in &plots {
        html += &shown(format!("{file}{name}"), plot, pictures)?;
    }
    Ok(html)
}

/// What the faintest and the strongest colour of all maps stand for.
fn range(seen: &[Seen]) -> Option<[f64; 2]> {
    let layers = seen.iter().flat_map(|seen| &seen.readings).flat_map(|reading| &reading.layers);
    let norms = layers.map(|layer| layer.norm).filter(|norm| *norm > 0.0 && norm.is_finite());
    let [low, high] = [norms.clone().fold(f64::INFINITY, f64::min), norms.fold(0.0, f64::max)];
    (high > 0.0).then_some([low.max(high / SPAN), high])
}

fn maps(
    record: &Record,
    depth: usize,
    seen: &[&Seen],
    range: Option<[f64; 2]>,
    pictures: &mut Vec<Named>,
) -> Result<String> {
    let [file, heading] = at(record, depth);
    let mut html = format!(
        "<h2>Layer by layer{heading}</h2>\n<p class=\"meta\">One scale of colours for all maps of norms. Empty cells are zero, or no \
         finite number. Histograms count a sixteenth of the elements.</p>\n"
    );
    for seen in seen {
        let (Some(first), Some(last)) = (seen.readings.first(), seen.readings.last()) else { continue };
        let name = &seen.measured.version;
        let maps = [
            ("gradient", map(format!("{name}{heading}: gradient by layer and step"), &seen.readings, range)),
            ("histogram_start", first.histogram(format!("{name}{heading}: elements in the first step"))),
            ("histogram_end", last.histogram(format!("{name}{heading}: elements in step {}", last.step))),
        ];
        let mut figures = Vec::new();
        for (kind, map) in &maps {
            let picture = map.picture()?;
            figures.push(map.figure()?);
            pictures.extend(picture.map(|picture| Named { file: format!("{file}{name}_{kind}"), picture }));
        }
        let open = if record.depths.len() > 1 { "" } else { " open" };
        let _ = writeln!(
            html,
            "<details{open}><summary><b>{}</b>, {}: {}</summary>{}<div class=\"plots\">{}{}</div></details>",
            escaped(name),
            seen.measured.verdict.words(),
            escaped(&seen.measured.words),
            figures[0],
            figures[1],
            figures[2]
        );
    }
    Ok(html)
}
