//! `wgrad augment`

use anyhow::Result;
use serde_json::json;
use wgrad::report::sheet::{self, Tile};
use wgrad::train::Augmentation;
use wgrad::train::views::{Views, of_each_class};

use super::args::AugmentArgs;
use super::output::Output;
use super::{open, output};

/// Pixels of an enlarged image's longer side, at most.
const SIDE: usize = 96;
/// Pixels between an image and its views.
const GAP: usize = 16;

/// Draws a sheet of images as training sees them.
pub fn run(args: &AugmentArgs) -> Result<()> {
    let output = Output::new(args.json);
    output::writable(&args.out)?;
    let mut recipe = open::whole_recipe(args.recipe.as_deref())?;
    recipe.data = args.data.applied(recipe.data);
    let asked = args.augment.as_deref().map(Augmentation::parse).transpose()?;
    let (augment, seed) = (asked.unwrap_or(recipe.train.augment), args.seed.unwrap_or(recipe.train.seed));
    if augment.is_off() {
        let what = args.recipe.as_deref().map_or("the usual recipe".to_owned(), |word| format!("the recipe {word}"));
        anyhow::bail!("{what} changes no image; write what to show, such as --augment crop:4,flip");
    }
    let device = open::device(&args.device)?;
    open::introduce(&output, &device);
    let data = open::data_of(&output, &recipe.data, args.data.pictures)?;
    let images = of_each_class(&data.train, args.images as usize)?;
    let mut views = Views::new(&device, &images, &augment, seed)?;
    let (shape, size) = (images.shape, images.image_len());
    let factor = sheet::enlargement([shape[0], shape[1]], SIDE);
    let tile = |bytes: &[u8]| Tile::image(bytes, shape, factor);
    let gap = Tile::image(&[u8::MAX], [1, 1, 1], GAP);
    let mut rows: Vec<Vec<Tile>> = (0..images.len()).map(|i| vec![tile(images.image(i)), gap.clone()]).collect();
    for _ in 0..args.views {
        let seen = pollster::block_on(views.next())?;
        rows.iter_mut().zip(seen.chunks(size)).for_each(|(row, image)| row.push(tile(image)));
    }
    sheet::write(&args.out, &rows)?;
    let classes: Vec<&str> = images.labels.iter().map(|&label| data.classes[label as usize].as_str()).collect();
    let path = args.out.display();
    let steps = match args.views {
        1 => "the first step".to_owned(),
        views => format!("the first {views} steps"),
    };
    output.say(format!("augment   images are {}", augment.describe()));
    output.say(format!("rows      {}", classes.join(", ")));
    output.say(format!("columns   the image, then as {steps} with seed {seed} would see it"));
    output.say(format!("sheet     {path}"));
    output.event(&json!({
        "event": "augment", "sheet": path.to_string(), "augment": augment, "seed": seed, "device": device.name(),
        "data": data.name, "image": shape, "classes": classes, "views": args.views, "enlarged": factor,
    }));
    output.finish()
}
