//! `wgrad explain`

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use wgrad::data::picture;
use wgrad::format::document::nearest;
use wgrad::format::write_atomic;
use wgrad::report::sheet::{self, Tile, enlargement};
use wgrad::report::text;
use wgrad::session::Device;
use wgrad::tensor::Tensor;
use wgrad::train::Predictor;
use wgrad::train::explain::{self, Explainer, Explanation, Map, Options, Spatial};
use wgrad::train::run::{self, Run, RunRecord};

use super::args::ExplainArgs;
use super::open;
use super::output::{Output, writable};
use super::predict;

/// Pixels of a tile's longer side, about.
const SIDE: usize = 128;
/// Pixels of the longer side of a feature map or filter, about.
const SMALL: usize = 56;
/// Maps or filters side by side.
const ACROSS: usize = 16;
/// Share of the places that saliency and integrated gradients draw within their scale; the others have its last colour.
const WITHIN: f64 = 0.99;

/// Draws why a network answers as it does.
pub fn run(args: &ExplainArgs) -> Result<()> {
    let output = Output::new(args.json);
    check_files(args)?;
    let Run { record, state } = run::read(&args.run)?;
    let asked = args.class.as_deref().map(|name| class_named(&record, name)).transpose()?;
    let options = picture::Options { shape: record.input_shape, invert: args.invert };
    let pictures: Vec<Vec<u8>> =
        args.images.iter().map(|path| picture::read(path, options)).collect::<wgrad::Result<_>>()?;
    let filters = args.filters.as_ref().map(|_| explain::filters(&record.network, &state[0])).transpose()?;

    let device = open::device(&args.device)?;
    let fit = (record.input_shape, record.classes.len());
    let how = Options { layer: args.layer.clone(), steps: args.steps as usize, baseline: args.baseline };
    let mut explainer = Explainer::new(&device, &record.network, fit, &how, &state)?;
    let probabilities = probabilities(&device, &record, &pictures, &state)?;
    let classes: Vec<usize> = probabilities.iter().map(|p| asked.unwrap_or_else(|| most_probable(p))).collect();
    let own = explanations(&mut explainer, &pictures, &classes)?;
    let random = match args.randomize {
        None => None,
        Some(seed) => {
            explainer.set_state(&record.network.layout()?.draw(seed))?;
            Some(explanations(&mut explainer, &pictures, &classes)?)
        }
    };

    let layer = explainer.layer();
    let [h, w, _] = record.input_shape;
    let (factor, mut rows) = (enlargement([h, w], SIDE), Vec::new());
    for (number, explanation) in own.iter().enumerate() {
        let shown = Tile::image(&pictures[number], record.input_shape, factor);
        let random = random.as_ref().map(|random: &Vec<Explanation>| &random[number]);
        rows.push(row(&shown, explanation, factor));
        rows.extend(random.map(|random| row(&shown, random, factor)));
        let name = args.images[number].display().to_string();
        tell(&output, &record, (&name, &probabilities[number]), (explanation, random), &layer.name);
    }
    // All sheets are drawn before one is written.
    let mut sheets = vec![(&args.out, sheet::png(&rows)?)];
    if let Some(file) = &args.features {
        let rows = own.iter().flat_map(|explanation| features(explanation, layer.shape));
        sheets.push((file, sheet::png(&rows.collect::<Vec<_>>())?));
    }
    if let (Some(file), Some((_, weights))) = (&args.filters, &filters) {
        sheets.push((file, sheet::png(&filter_rows(weights))?));
    }
    for (file, bytes) in sheets {
        write_atomic(file, &bytes)?;
    }
    legend(&output, args, layer, filters.as_ref());
    let path = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string());
    output.event(&json!({
        "event": "sheets", "maps": args.out.display().to_string(), "features": path(&args.features), "filters": path(&args.filters),
    }));
    output.finish()
}

/// Refuses, before any work, sheets that cannot be written.
fn check_files(args: &ExplainArgs) -> Result<()> {
    let files = [Some(&args.out), args.features.as_ref(), args.filters.as_ref()];
    let files: Vec<&PathBuf> = files.into_iter().flatten().collect();
    for (number, file) in files.iter().enumerate() {
        if !file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            anyhow::bail!("{} must end in .png: sheets are PNG files", file.display());
        }
        if files[..number].contains(file) {
            anyhow::bail!("{} is named twice; each sheet needs a file of its own", file.display());
        }
        writable(file)?;
    }
    Ok(())
}

/// The class of this name.
fn class_named(record: &RunRecord, name: &str) -> Result<usize> {
    let classes = &record.classes;
    let found = classes.iter().position(|class| class == name);
    found.ok_or_else(|| {
        let near = nearest(name, classes.iter().map(String::as_str));
        let meant = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        anyhow::anyhow!("the network knows no class `{name}`; {meant}its classes are {}", classes.join(", "))
    })
}

/// For each picture, the probability of each class.
fn probabilities(
    device: &Device,
    record: &RunRecord,
    pictures: &[Vec<u8>],
    state: &[Vec<f32>; 2],
) -> wgrad::Result<Vec<Vec<f64>>> {
    let fit = (record.input_shape, record.classes.len());
    let mut predictor = Predictor::new(device, &record.network, fit, pictures.len().min(predict::BATCH), state)?;
    pollster::block_on(predictor.run(&pictures.concat()))
}

fn most_probable(probabilities: &[f64]) -> usize {
    (0..probabilities.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap_or(0)
}

fn explanations(explainer: &mut Explainer, pictures: &[Vec<u8>], classes: &[usize]) -> wgrad::Result<Vec<Explanation>> {
    let each = pictures.iter().zip(classes);
    each.map(|(picture, &class)| pollster::block_on(explainer.run(picture, class))).collect()
}

/// The tiles of one picture.
fn row(picture: &Tile, explanation: &Explanation, factor: usize) -> Vec<Tile> {
    let Explanation { grad_cam, saliency, attributions, .. } = explanation;
    vec![
        picture.clone(),
        picture.under(grad_cam, grad_cam.largest()),
        Tile::strengths(saliency, saliency.quantile(WITHIN), factor),
        Tile::signed(attributions, attributions.quantile(WITHIN), factor),
    ]
}

/// Says what was found about a picture: its name and probabilities, its maps, and those of random weights.
fn tell(
    output: &Output,
    record: &RunRecord,
    (name, probabilities): (&str, &[f64]),
    (explanation, random): (&Explanation, Option<&Explanation>),
    layer: &str,
) {
    let (class, best) = (explanation.class, most_probable(probabilities));
    let percent = |class: usize| format!("{} {:.2} %", record.classes[class], 100.0 * probabilities[class]);
    let instead = if class == best { String::new() } else { format!(" (the network says {})", percent(best)) };
    output.answer(format!("{name}   {}{instead}", percent(class)));
    let (rise, gap) = (explanation.score - explanation.baseline_score, explanation.gap());
    output.answer(format!(
        "    score {:.4}, {:.4} for the baseline; the integrated gradients add up to {:.4} of the {rise:.4} between: gap {gap:+.1e}",
        explanation.score,
        explanation.baseline_score,
        rise + gap
    ));
    if explanation.grad_cam.largest() == 0.0 {
        output.answer(format!("    Grad-CAM is empty: in {layer} nothing speaks for {}", record.classes[class]));
    }
    let maps = |of: &Explanation| [of.grad_cam.clone(), of.saliency.clone(), of.attributions.clone()];
    let alike = random.map(|random| {
        let pairs = maps(explanation).into_iter().zip(maps(random));
        pairs.map(|(own, random)| own.rank_correlation(&random)).collect::<Vec<_>>()
    });
    if let Some(alike) = &alike {
        let word = |of: Option<f64>| of.map_or("–".to_owned(), |of| format!("{of:.2}"));
        output.answer(format!(
            "    rank correlation with random weights: Grad-CAM {}, saliency {}, integrated gradients {}",
            word(alike[0]),
            word(alike[1]),
            word(alike[2])
        ));
    }
    let map = |map: &Map| json!({ "size": map.size, "values": map.values });
    output.event(&json!({
        "event": "explanation", "image": name, "class": record.classes[class], "index": class,
        "probability": probabilities[class], "predicted": record.classes[best], "score": explanation.score,
        "baseline_score": explanation.baseline_score, "gap": gap, "layer": layer,
        "grad_cam": map(&explanation.grad_cam), "saliency": map(&explanation.saliency),
        "integrated_gradients": map(&explanation.attributions),
        "rank_correlation": alike.map(|alike| json!({
            "grad_cam": alike[0], "saliency": alike[1], "integrated_gradients": alike[2],
        })),
    }));
}

/// Says what stands where on the sheets.
fn legend(output: &Output, args: &ExplainArgs, layer: &Spatial, filters: Option<&(String, Tensor)>) {
    let (name, size) = (&layer.name, text::shape(&layer.shape[..2]));
    let pairs = if args.randomize.is_some() { "; below each row, the same of random weights" } else { "" };
    let from = match args.baseline {
        0.0 => "black".to_owned(),
        1.0 => "white".to_owned(),
        level => format!("brightness {level}"),
    };
    let steps = text::counted(args.steps, "step");
    output.say(format!("\nmaps      {}, a row a picture, from the left{pairs}:", args.out.display()));
    output.say("          the picture, as the network sees it");
    output.say(format!("          Grad-CAM over it, {size} at {name}: light where what speaks for the class was seen"));
    output.say("          saliency: light where a small change changes the score most");
    output
        .say(format!("          integrated gradients, {steps} from {from}: red speaks for the class, blue against it"));
    output.say(
        "          each map has a scale of its own; of the last two, a hundredth of the places lies beyond its end",
    );
    if let Some(file) = &args.features {
        let channels = layer.shape[2];
        output.say(format!(
            "features  {}: the {channels} channels of {name}, {size} each, picture by picture,",
            file.display()
        ));
        output.say("          from the smallest number of all channels (dark) to the largest (light)");
    }
    if let (Some(file), Some((name, weights))) = (&args.filters, filters) {
        let (count, size) = (weights.shape[3], text::shape(&weights.shape[..2]));
        output.say(format!(
            "filters   {}: the {count} filters of {name}, {size} each, grey where a weight is 0",
            file.display()
        ));
    }
}

/// A tile for each channel of the layer's output, some side by side.
fn features(explanation: &Explanation, [h, w, channels]: [usize; 3]) -> Vec<Vec<Tile>> {
    let values = explanation.activation.floats();
    let [low, high] = [f32::min, f32::max].map(|better| f64::from(values.iter().copied().fold(values[0], better)));
    let tile = |channel: usize| {
        let map = Map::new([h, w], |place| f64::from(values[place * channels + channel]) - low);
        Tile::strengths(&map, high - low, enlargement([h, w], SMALL))
    };
    side_by_side((0..channels).map(tile).collect())
}

/// A tile for each filter, in colour where it reads three channels; else one for each channel that it reads.
fn filter_rows(weights: &Tensor) -> Vec<Vec<Tile>> {
    let &[h, w, c_in, c_out] = weights.shape.as_slice() else { return Vec::new() };
    let values = weights.floats();
    let most = values.iter().fold(0.0f32, |most, weight| weight.abs().max(most)).max(f32::MIN_POSITIVE);
    let byte = |place: usize, from: usize, to: usize| {
        (127.5 + 127.5 * values[(place * c_in + from) * c_out + to] / most).round() as u8
    };
    let tile = |shown: &[usize], to: usize| {
        let bytes: Vec<u8> =
            (0..h * w).flat_map(|place| shown.iter().map(move |&from| byte(place, from, to))).collect();
        Tile::image(&bytes, [h, w, shown.len()], enlargement([h, w], SMALL))
    };
    let tiles = match c_in {
        3 => (0..c_out).map(|to| tile(&[0, 1, 2], to)).collect(),
        _ => (0..c_out)
            .flat_map(|to| (0..c_in).map(move |from| (from, to)))
            .map(|(from, to)| tile(&[from], to))
            .collect(),
    };
    side_by_side(tiles)
}

fn side_by_side(tiles: Vec<Tile>) -> Vec<Vec<Tile>> {
    tiles.chunks(ACROSS).map(<[Tile]>::to_vec).collect()
}
