//! From the word that a user types to a data set.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Dataset, builtin, cifar10, folder, idx, mnist};
use crate::error::{Error, Result};

/// What [`load`] tells while it works, from whichever thread works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A file is being downloaded.
    Download {
        /// The file's name.
        file: &'a str,
        /// Bytes received so far; the first report of a file has 0.
        received: u64,
        /// Bytes that the file has; the last report has as many received.
        total: u64,
    },
    /// The headers of pictures are being read; reports may overtake each other, but the last one has all done.
    Inspect {
        /// Pictures done.
        done: usize,
        /// Pictures in all.
        total: usize,
    },
    /// Pictures are being decoded, reported as [`Event::Inspect`].
    Decode {
        /// Pictures done.
        done: usize,
        /// Pictures in all.
        total: usize,
    },
    /// A sentence about where the images come from.
    Note(&'a str),
}

/// How [`load`] finds and reads data; the default asks the environment where an option is `None`.
#[derive(Clone)]
pub struct LoadOptions<'a> {
    /// Address of a mirror of the data set, http or https; else the environment's (`WGRAD_MNIST_MIRROR`,
    /// `WGRAD_FASHION_MNIST_MIRROR`, `WGRAD_CIFAR10_MIRROR`), else the usual one.
    pub mirror: Option<String>,
    /// Directory for downloads and decoded pictures; else [`crate::format::cache::VARIABLE`], else the user's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// How many classes the labels of IDX files have; the format does not say.
    pub classes: usize,
    /// How the pictures of a folder are read.
    pub pictures: PictureOptions,
    /// Called with what happens.
    pub observe: &'a (dyn Fn(Event) + Sync),
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self { mirror: None, cache_dir: None, classes: 10, pictures: PictureOptions::default(), observe: &|_| {} }
    }
}

/// How the pictures of a folder become images of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureOptions {
    /// The size of the images; `None` takes the pictures' own, which must be the same for all.
    pub size: Option<ImageSize>,
    /// Whether pictures that cannot be used are left out, each with a warning, instead of being an error.
    pub skip_bad: bool,
}

/// The size of an image, as `32x32` or `32x32x3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels; `None` leaves them to the pictures.
    pub channels: Option<usize>,
}

impl From<[usize; 3]> for ImageSize {
    fn from([height, width, channels]: [usize; 3]) -> Self {
        Self { height, width, channels: Some(channels) }
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}×{}", self.height, self.width)?;
        self.channels.map_or(Ok(()), |channels| write!(f, "×{channels}"))
    }
}

impl FromStr for ImageSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let sizes: Option<Vec<usize>> =
            text.split(['x', 'X', '×']).map(|part| part.parse().ok().filter(|&size| size > 0)).collect();
        match sizes.as_deref() {
            Some(&[height, width]) => Ok(Self { height, width, channels: None }),
            Some(&[height, width, channels]) => Ok(Self { height, width, channels: Some(channels) }),
            _ => Err(Error::Invalid(format!(
                "`{text}` is no size: write height x width, such as 32x32, or with channels, such as 32x32x3"
            ))),
        }
    }
}

/// Where a data set comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Digits drawn by the program, from this seed.
    Builtin(u32),
    /// MNIST, downloaded once.
    Mnist,
    /// Fashion-MNIST, downloaded once.
    FashionMnist,
    /// CIFAR-10, downloaded once.
    Cifar10,
    /// A directory with CIFAR-10's binary files.
    Cifar10Dir(PathBuf),
    /// A directory with IDX files under MNIST's names.
    IdxDir(PathBuf),
    /// A directory of class folders with pictures.
    Pictures(PathBuf),
}

impl FromStr for Source {
    type Err = Error;

    /// Reads a name or a path; a name comes first, and `./mnist` is a path.
    fn from_str(text: &str) -> Result<Self> {
        let path = Path::new(text);
        let (word, seed) = text.split_once(':').map_or((text, None), |(word, seed)| (word, Some(seed)));
        Ok(match (word, seed) {
            ("builtin", None) => Self::Builtin(builtin::DEFAULT_SEED),
            ("builtin", Some(seed)) => Self::Builtin(seed.parse().map_err(|_| {
                Error::Invalid(format!("`{text}` has no seed: after `builtin:` comes a number from 0 to {}", u32::MAX))
            })?),
            ("mnist", None) => Self::Mnist,
            ("fashion-mnist", None) => Self::FashionMnist,
            ("cifar10", None) => Self::Cifar10,
            _ if path.is_dir() && cifar10::is_dir(path) => Self::Cifar10Dir(path.to_owned()),
            _ if path.is_dir() && idx::is_dir(path) => Self::IdxDir(path.to_owned()),
            _ if path.is_dir() => Self::Pictures(path.to_owned()),
            _ if path.is_file() => {
                return Err(Error::file(
                    path,
                    "is a file, and a data set is a directory: unpack it if it is an archive",
                ));
            }
            _ => {
                return Err(Error::Invalid(format!(
                    "unknown data set `{text}`: use `builtin`, `builtin:SEED`, `mnist`, `fashion-mnist`, `cifar10`, or a \
                     directory with class folders of pictures, with IDX files or with CIFAR-10's binary files"
                )));
            }
        })
    }
}

impl Source {
    /// The directory, unless it has a name.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Cifar10Dir(path) | Self::IdxDir(path) | Self::Pictures(path) => Some(path),
            Self::Builtin(_) | Self::Mnist | Self::FashionMnist | Self::Cifar10 => None,
        }
    }
}

/// Loads the data set that a user names: `builtin` or `builtin:SEED` (drawn by the program); `mnist`, `fashion-mnist` or
/// `cifar10` (downloaded once); or a directory with class folders of pictures, with IDX files under MNIST's names, or with
/// CIFAR-10's binary files.
///
/// # Errors
/// [`Error::Invalid`] for a source that is none of these or does not have pictures to resize, and whatever [`builtin`], [`mnist`],
/// [`cifar10`], [`idx`] and [`folder`] report.
pub fn load(source: &str, options: &LoadOptions) -> Result<Dataset> {
    let found: Source = source.parse()?;
    if let (Some(size), false) = (options.pictures.size, matches!(found, Source::Pictures(_))) {
        return Err(Error::Invalid(format!(
            "--image {size} is for folders of pictures; the images of `{source}` have a size of their own"
        )));
    }
    let mut dataset = match &found {
        Source::Builtin(seed) => builtin::digits(*seed),
        Source::Mnist => mnist::digits(options),
        Source::FashionMnist => mnist::fashion(options),
        Source::Cifar10 => cifar10::load(options),
        Source::Cifar10Dir(dir) => cifar10::read_dir(dir),
        Source::IdxDir(dir) => idx::read_dir(dir, options.classes),
        Source::Pictures(dir) => folder::load(dir, options),
    }?;
    source.clone_into(&mut dataset.name);
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_source_lists_what_is_possible() {
        for source in ["cifar", "", "mnist:3", "/nowhere"] {
            let error = load(source, &LoadOptions::default()).unwrap_err().to_string();
            for part in ["`builtin`, `builtin:SEED`, `mnist`, `fashion-mnist`, `cifar10`", "class folders", "IDX"] {
                assert!(error.contains(part), "{error}");
            }
        }
        for source in ["builtin:", "builtin:one", "builtin:-1", "builtin:4294967296"] {
            let error = load(source, &LoadOptions::default()).unwrap_err().to_string();
            assert!(error.contains("has no seed"), "{error}");
        }
        assert!(load("Cargo.toml", &LoadOptions::default()).unwrap_err().to_string().contains("is a file"));
    }

    #[test]
    fn sizes_are_read_with_and_without_channels() {
        assert_eq!("8x6".parse::<ImageSize>().unwrap(), ImageSize { height: 8, width: 6, channels: None });
        assert_eq!("8X6×3".parse::<ImageSize>().unwrap().to_string(), "8×6×3");
        for text in ["8", "8x", "0x8", "8x8x0", "8x8x3x1", "axb", "-1x2"] {
            assert!(text.parse::<ImageSize>().unwrap_err().to_string().contains("such as 32x32"), "{text}");
        }
        let options = LoadOptions {
            pictures: PictureOptions { size: Some([32, 32, 3].into()), skip_bad: false },
            ..LoadOptions::default()
        };
        assert!(
            load("mnist", &options).unwrap_err().to_string().contains("--image 32×32×3 is for folders of pictures")
        );
    }
}
