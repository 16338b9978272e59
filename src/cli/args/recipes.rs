//! Options of `recipes` and `recipe`.

use clap::Args;

const LIST_EXAMPLES: &str = "\
Examples:
  wgrad recipes
  wgrad recipe resnet20 > my.toml
  wgrad train my.toml

docs/recipes.md has every key of a recipe.";

/// Options of `recipes`.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct RecipesArgs {
    /// Print one JSON object a recipe on stdout, and everything else on stderr
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wgrad recipe deep_plain                          read it
  wgrad recipe resnet20 > my.toml                  write it out
  wgrad train my.toml --epochs 1                   and train by it";

/// Options of `recipe`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecipeArgs {
    /// A name that `wgrad recipes` lists
    pub name: String,
}
