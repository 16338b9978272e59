//! Options of the commands that read data sets.

use clap::Args;
use wgrad::data::{ImageSize, PictureOptions};
use wgrad::train::recipe::DataRecipe;

/// Where data sets with names come from.
#[derive(Debug, Args)]
pub struct MirrorArgs {
    /// Address to download MNIST, Fashion-MNIST or CIFAR-10 from, instead of the usual one
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
}

/// Pictures that cannot be used.
#[derive(Debug, Clone, Copy, Args)]
pub struct SkipArgs {
    /// Leave out the pictures of a folder that cannot be used, and name them, instead of refusing the folder
    #[arg(long)]
    pub skip_bad: bool,
}

/// How the pictures of a folder are read.
#[derive(Debug, Clone, Copy, Args)]
pub struct PictureArgs {
    /// Size to which the pictures of a folder are brought: resized, cut off evenly where the shape differs [default: their own]
    #[arg(long, value_name = "HxW[xC]", value_parser = size)]
    pub image: Option<ImageSize>,
    #[command(flatten)]
    pub skip: SkipArgs,
}

impl PictureArgs {
    /// The library's word for it.
    pub fn options(self) -> PictureOptions {
        PictureOptions { size: self.image, skip_bad: self.skip.skip_bad }
    }
}

/// The data set of a command that trains, or does what training does.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// builtin (digits drawn by the program), builtin:SEED, mnist, fashion-mnist, cifar10, or a directory: with a folder of PNG or
    /// JPEG pictures for each class, with IDX files, or with CIFAR-10's binary files [default: builtin, or what a recipe or run
    /// says]
    #[arg(long = "data", value_name = "NAME|DIR")]
    pub source: Option<String>,
    #[command(flatten)]
    pub pictures: PictureArgs,
    #[command(flatten)]
    pub mirror: MirrorArgs,
    /// How many classes the labels of IDX files have [default: 10, or what a recipe or run says]
    #[arg(long, value_name = "N", value_parser = classes)]
    pub classes: Option<usize>,
}

impl DataArgs {
    /// The data of a recipe, with what the command line says instead; of pictures, the loading asks [`DataArgs::pictures`].
    pub fn applied(&self, recipe: DataRecipe) -> DataRecipe {
        let mut data = match &self.source {
            Some(source) => recipe.with_source(source),
            None => recipe,
        };
        data.classes = self.classes.unwrap_or(data.classes);
        data.mirror = self.mirror.mirror.clone().or(data.mirror);
        data
    }
}

/// Reads `32x32` or `32x32x3`.
fn size(text: &str) -> Result<ImageSize, String> {
    text.parse().map_err(|error: wgrad::Error| error.to_string())
}

/// Reads `28x28x1`.
pub fn image(text: &str) -> Result<[usize; 3], String> {
    match size(text) {
        Ok(ImageSize { height, width, channels: Some(channels) }) => Ok([height, width, channels]),
        _ => Err("write height x width x channels, such as 28x28x1".to_owned()),
    }
}

/// A number of classes; labels are bytes.
pub fn classes(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=256).contains(number));
    number.ok_or_else(|| format!("`{text}` is no number of classes from 1 to 256"))
}
