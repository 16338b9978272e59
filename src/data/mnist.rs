//! MNIST and Fashion-MNIST by name: four files in the format of [`idx`] each, from the network or the cache.

use std::path::PathBuf;

use super::download::{Origin, Remote};
use super::{Dataset, LoadOptions, idx};
use crate::error::Result;

/// Handwritten digits (LeCun, Cortes, Burges).
const MNIST: Origin = Origin {
    title: "MNIST",
    folder: "mnist",
    source: "https://storage.googleapis.com/cvdf-datasets/mnist/",
    variable: "WGRAD_MNIST_MIRROR",
    files: &[
        Remote {
            name: "train-images-idx3-ubyte.gz",
            bytes: 9_912_422,
            sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        },
        Remote {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 28_881,
            sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        },
        Remote {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 1_648_877,
            sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        },
        Remote {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 4_542,
            sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ],
};

/// Articles of clothing (Xiao, Rasul, Vollgraf 2017), from their authors' repository. The authors publish MD5 sums; these are the
/// SHA-256 of the same files, as several public loaders pin them beside the MD5 sums.
const FASHION_MNIST: Origin = Origin {
    title: "Fashion-MNIST",
    folder: "fashion-mnist",
    source: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    variable: "WGRAD_FASHION_MNIST_MIRROR",
    files: &[
        Remote {
            name: "train-images-idx3-ubyte.gz",
            bytes: 26_421_880,
            sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        },
        Remote {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 29_515,
            sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
        Remote {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 4_422_102,
            sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        },
        Remote {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 5_148,
            sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ],
};

/// What Fashion-MNIST's labels mean, from 0.
const ARTICLES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// MNIST: 60,000 training and 10,000 test images of 28×28 grey, from the cache or the network.
///
/// # Errors
/// [`crate::Error::Download`] where the network, the server or the hash fails; [`crate::Error::File`] where the cache cannot be
/// written or read.
pub fn digits(options: &LoadOptions) -> Result<Dataset> {
    read("mnist", &MNIST.fetch(options)?, (0..10).map(|digit| digit.to_string()).collect())
}

/// Fashion-MNIST: as many images of the same size, of clothes.
///
/// # Errors
/// As [`digits`].
pub fn fashion(options: &LoadOptions) -> Result<Dataset> {
    read("fashion-mnist", &FASHION_MNIST.fetch(options)?, ARTICLES.map(str::to_owned).to_vec())
}

/// Reads images and labels of the training split, then those of the test split.
fn read(name: &str, paths: &[PathBuf], classes: Vec<String>) -> Result<Dataset> {
    let train = idx::read_split(&paths[0], &paths[1], classes.len())?;
    let test = idx::read_split(&paths[2], &paths[3], classes.len())?;
    Dataset::new(name, train, test, classes)
}
