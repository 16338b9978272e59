//! Recipes that come with the crate, one for each network of [`crate::nn::shipped`], as files to begin with.

use std::path::Path;

use super::Recipe;
use crate::error::{Error, Result};
use crate::format::document::nearest;

/// A recipe that comes with the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Its name, which is its network's.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(Shipped { name: $name, text: include_str!(concat!("shipped/", $name, ".toml")) }),*]
    };
}

/// All of them.
pub const ALL: [Shipped; 9] = shipped![
    "reference",
    "lenet5",
    "deep_plain",
    "vgg",
    "residual_bn",
    "resnet20",
    "resnet18",
    "mobilenet",
    "convnext",
];

impl Shipped {
    /// The recipe of this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where none is called so.
    pub fn find(name: &str) -> Result<Self> {
        ALL.into_iter().find(|shipped| shipped.name == name).ok_or_else(|| {
            let names = ALL.map(|shipped| shipped.name);
            let meant = nearest(name, names).map_or(String::new(), |near| format!("did you mean `{near}`? "));
            Error::Invalid(format!("there is no recipe `{name}`; {meant}choose {}", names.join(", ")))
        })
    }

    /// What it is, in a sentence: the file's first line.
    pub fn says(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// What the file asks for.
    ///
    /// # Errors
    /// As for [`Recipe::from_toml`].
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::from_toml(self.text, Path::new(""))
    }
}
