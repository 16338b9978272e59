//! The parts of the page about what the network took for what.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use super::heat::Heat;
use super::page::escaped;
use super::{Mistake, Score, text};
use crate::error::{Error, Result};
use crate::train::run::RunRecord;

/// Classes that fit in a table of numbers; more make a map.
const MOST_CLASSES: usize = 30;

/// The confusion matrix.
pub fn confusion(record: &RunRecord, score: Score) -> Result<String> {
    let heading = "<h2>Confusion matrix</h2>\n";
    let findings = match score {
        Score::Found(findings) => findings,
        Score::Missing(why) => return Ok(format!("{heading}<p class=\"meta\">{}</p>\n", escaped(why))),
    };
    let says = "<p class=\"meta\">Test images by label (down) and by the network's answer (across).</p>\n";
    let classes = &record.classes;
    if classes.len() > MOST_CLASSES {
        let map = Heat {
            title: "Test images".into(),
            x: "the network's answer".into(),
            y: "label".into(),
            of: "images".into(),
            columns: classes.clone(),
            rows: classes.clone(),
            cells: findings.confusion.iter().map(|row| row.iter().map(|&count| count as f64).collect()).collect(),
            range: None,
            narrow: false,
        };
        return Ok(format!("{heading}{says}{}", map.figure()?));
    }
    let mut html = format!("{heading}{says}<div class=\"scroll\"><table class=\"matrix\"><tr><th></th>");
    for class in classes {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escaped(class));
    }
    html += "<th scope=\"col\">right</th></tr>\n";
    for (label, row) in findings.confusion.iter().enumerate() {
        let total: u64 = row.iter().sum();
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escaped(&classes[label]));
        for (answer, &count) in row.iter().enumerate() {
            let share = count as f64 / total.max(1) as f64;
            // Mistakes are few: their colour must show a share that would be overlooked otherwise.
            let (colour, strength) = if answer == label { ("26,127,55", share) } else { ("207,34,46", share.sqrt()) };
            let (text, style) = match count {
                0 => ("·".to_owned(), String::new()),
                _ => (text::count(count), format!(" style=\"background:rgba({colour},{:.2})\"", 0.55 * strength)),
            };
            let title = format!("{} told as {}: {}", classes[label], classes[answer], text::counted(count, "image"));
            let _ = write!(html, "<td{style} title=\"{}\">{text}</td>", escaped(&title));
        }
        let right = if total == 0 { "–".to_owned() } else { text::percent(row[label] as f64 / total as f64) };
        let _ = writeln!(html, "<td>{right}</td></tr>");
    }
    Ok(html + "</table></div>\n")
}

/// The worst mistakes.
pub fn gallery(record: &RunRecord, score: Score) -> Result<String> {
    let heading = "<h2>Worst mistakes</h2>\n";
    let findings = match score {
        Score::Found(findings) => findings,
        Score::Missing(why) => return Ok(format!("{heading}<p class=\"meta\">{}</p>\n", escaped(why))),
    };
    let wrong = findings.images as u64 - findings.confusion.iter().enumerate().map(|(i, row)| row[i]).sum::<u64>();
    if findings.mistakes.is_empty() {
        let says = match wrong {
            0 => "None: every test image was told right.",
            _ => "The network's answers to the images that it told wrong are not finite.",
        };
        return Ok(format!("{heading}<p>{says}</p>\n"));
    }
    let mut html = format!(
        "{heading}<p class=\"meta\">{} of {} test images were told wrong; these are the {} whose label got the least probability. \
         Bars: the network's probabilities, green for the label.</p>\n<div class=\"mistakes\">\n",
        text::count(wrong),
        text::count(findings.images as u64),
        findings.mistakes.len()
    );
    for mistake in &findings.mistakes {
        html += &card(mistake, &record.classes)?;
    }
    Ok(html + "</div>\n")
}

fn card(mistake: &Mistake, classes: &[String]) -> Result<String> {
    let name = |class: usize| classes.get(class).map_or_else(|| class.to_string(), |name| escaped(name));
    let label = name(mistake.label);
    let mut html = format!(
        "<figure class=\"mistake\"><img src=\"{}\" alt=\"test image {}, a {label}\"><figcaption>{label} · <span \
         class=\"meta\">test image {}</span>",
        picture(mistake)?,
        mistake.index,
        mistake.index
    );
    let mut answers = mistake.answers.clone();
    if answers.iter().all(|(class, _)| *class != mistake.label) {
        answers.push((mistake.label, mistake.of_label));
    }
    for (class, probability) in answers {
        let kind = if class == mistake.label { " label" } else { "" };
        let percent = 100.0 * probability;
        let written =
            if probability >= 0.001 { text::percent(probability) } else { format!("{} %", text::rate(percent)) };
        let _ = write!(
            html,
            "<div class=\"answer{kind}\"><i style=\"width:{percent:.1}%\"></i><span><b>{}</b>{written}</span></div>",
            name(class)
        );
    }
    Ok(html + "</figcaption></figure>\n")
}

/// The image as an address that holds it.
fn picture(mistake: &Mistake) -> Result<String> {
    let [h, w, c] = mistake.shape;
    let colour = match c {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut png = Vec::new();
    let encoded = PngEncoder::new(&mut png).write_image(&mistake.image, w as u32, h as u32, colour);
    encoded.map_err(|error| Error::Invalid(format!("test image {} cannot be shown: {error}", mistake.index)))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}
