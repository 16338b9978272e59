//! `wgrad predict`

use anyhow::Result;
use serde_json::json;
use wgrad::data::picture;
use wgrad::train::Predictor;
use wgrad::train::run::{self, Run};

use super::args::PredictArgs;
use super::open;
use super::output::Output;

/// Pictures that are looked at together.
pub const BATCH: usize = 64;

/// Says what pictures show.
pub fn run(args: &PredictArgs) -> Result<()> {
    let output = Output::new(args.json);
    let Run { record, state } = run::read(&args.run)?;
    let options = picture::Options { shape: record.input_shape, invert: args.invert };
    let mut bytes = Vec::new();
    for path in &args.images {
        bytes.extend(picture::read(path, options)?);
    }
    let device = open::device(&args.device)?;
    let fit = (record.input_shape, record.classes.len());
    let mut predictor = Predictor::new(&device, &record.network, fit, args.images.len().min(BATCH), &state)?;
    let answers = pollster::block_on(predictor.run(&bytes))?;
    let names: Vec<String> = args.images.iter().map(|path| path.display().to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let class_width = record.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    for (name, probabilities) in names.iter().zip(answers) {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        order.truncate(usize::try_from(args.top).unwrap_or(usize::MAX));
        let shown = order.iter().map(|&index| {
            format!(
                "   {:<class_width$} {:>7}",
                record.classes[index],
                format!("{:.2} %", 100.0 * probabilities[index])
            )
        });
        output.answer(format!("{name:<width$}{}", shown.collect::<String>()));
        let best = order.iter().map(
            |&index| json!({ "class": record.classes[index], "index": index, "probability": probabilities[index] }),
        );
        output.event(&json!({ "event": "prediction", "image": name, "best": best.collect::<Vec<_>>() }));
    }
    output.finish()
}
