//! `wgrad recipes` and `wgrad recipe`

use anyhow::Result;
use serde_json::json;
use wgrad::train::recipe::shipped::{ALL, Shipped};

use super::args::{RecipeArgs, RecipesArgs};
use super::open::USUAL_IMAGE;
use super::output::Output;
use super::text::{self, Table};

/// Lists the recipes that come with the program.
pub fn list(args: &RecipesArgs) -> Result<()> {
    let output = Output::new(args.json);
    let mut table = Table::new(["name", ">parameters", "data", "what it is"]);
    for shipped in ALL {
        let recipe = shipped.recipe()?;
        let (image, classes) = (recipe.data.image.unwrap_or(USUAL_IMAGE), recipe.data.classes);
        let parameters = recipe.network(image, classes)?.summary(1)?.parameters;
        output.event(&json!({
            "event": "recipe", "name": shipped.name, "says": shipped.says(), "parameters": parameters, "image": image,
            "classes": classes, "data": recipe.data.source, "config": recipe.train,
        }));
        let source = recipe.data.source;
        table.row([shipped.name.to_owned(), text::count(parameters as u64), source, shipped.says().to_owned()]);
    }
    output.say(format!(
        "{}\n\nwgrad recipe NAME > my.toml writes one out; wgrad train my.toml trains by it.",
        table.lines()
    ));
    output.finish()
}

/// Prints one of them.
pub fn print(args: &RecipeArgs) -> Result<()> {
    let output = Output::new(false);
    output.answer(Shipped::find(&args.name)?.text.trim_end());
    output.finish()
}
