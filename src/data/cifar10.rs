//! CIFAR-10 (Krizhevsky 2009) in its binary version: from the network or the cache, or a directory with its files.
//!
//! ```text
//! a file: records of 3,073 bytes: the label, then 32 rows of 32 pixels, all red values first, then all green, then all blue
//! ```
//! The archive is read as it is kept, so nothing unpacked lies about that would have to be trusted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::download::{Origin, Remote};
use super::{Dataset, LoadOptions, Split};
use crate::error::{Error, Result};

/// The archive at its author's. He publishes the MD5 sum c32a1d4ab5d03f1284b67883e8d87530; this is the SHA-256 of the same file, as
/// several public loaders (and TensorFlow Datasets) pin it.
const CIFAR10: Origin = Origin {
    title: "CIFAR-10",
    folder: "cifar10",
    source: "https://www.cs.toronto.edu/~kriz/",
    variable: "WGRAD_CIFAR10_MIRROR",
    files: &[Remote {
        name: "cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    }],
};

/// The files of the training split, in order.
const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
/// The file of the test split.
const TEST: &str = "test_batch.bin";
/// The names of the classes, a line each.
const NAMES: &str = "batches.meta.txt";

const CLASSES: usize = 10;
const SHAPE: [usize; 3] = [32, 32, 3];
const PIXELS: usize = 32 * 32;
const RECORD: usize = 1 + 3 * PIXELS;
/// More than the six files of the original hold together; what claims to be larger is not read to its end.
const MOST_BYTES: u64 = 1 << 28;

/// CIFAR-10: 50,000 training and 10,000 test images of 32×32 in colour, from the cache or the network (170 MB).
///
/// # Errors
/// [`Error::Download`] where the network, the server or the hash fails; [`Error::File`] where the cache cannot be
/// written or read.
pub fn load(options: &LoadOptions) -> Result<Dataset> {
    let paths = CIFAR10.fetch(options)?;
    read_archive(&paths[0])
}

/// Whether a directory holds a file of CIFAR-10's binary version, or of its version for Python.
pub fn is_dir(dir: &Path) -> bool {
    [TRAIN[0], TEST, "data_batch_1", "test_batch"].iter().any(|name| dir.join(name).is_file())
}

/// Reads a directory with `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` and `batches.meta.txt`.
///
/// # Errors
/// [`Error::File`] with one sentence for everything that can be wrong with a file.
pub fn read_dir(dir: &Path) -> Result<Dataset> {
    if !dir.join(TRAIN[0]).exists() && dir.join("data_batch_1").is_file() {
        let problem = "holds CIFAR-10 for Python; what is read is the binary version, cifar-10-binary.tar.gz, unpacked";
        return Err(Error::file(dir, problem));
    }
    assemble(dir, |name| {
        let path = dir.join(name);
        let file = File::open(&path).map_err(|e| Error::file(&path, format!("cannot be read: {e}")))?;
        take(file, &path)
    })
}

/// Reads the archive, without unpacking it on the disk.
fn read_archive(path: &Path) -> Result<Dataset> {
    let damaged = |e: std::io::Error| Error::file(path, format!("is no archive of CIFAR-10, or a damaged one: {e}"));
    let file = File::open(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let inside = entry.path().map_err(damaged)?.into_owned();
        let name = inside.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if entry.header().entry_type().is_file() && (TRAIN.contains(&name.as_str()) || name == TEST || name == NAMES) {
            let bytes = take(entry, &path.join(inside))?;
            files.insert(name, bytes);
        }
    }
    assemble(path, |name| files.remove(name).ok_or_else(|| Error::file(path, format!("holds no {name}"))))
}

/// The bytes of a file.
fn take(source: impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = source.take(MOST_BYTES).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|e| Error::file(path, format!("cannot be read: {e}")))
}

/// The data set of the files that `read` answers by name; `place` is where they are.
fn assemble(place: &Path, mut read: impl FnMut(&'static str) -> Result<Vec<u8>>) -> Result<Dataset> {
    let names = read(NAMES)?;
    let names = String::from_utf8_lossy(&names);
    let classes: Vec<String> =
        names.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if classes.len() != CLASSES {
        let problem = format!("names {} classes, a line each, but CIFAR-10 has {CLASSES}", classes.len());
        return Err(Error::file(place.join(NAMES), problem));
    }
    let mut split = |files: &[&'static str]| {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for name in files {
            append(&read(name)?, &mut images, &mut labels).map_err(|problem| Error::file(place.join(name), problem))?;
        }
        Split::new(images, labels, SHAPE)
    };
    let train = split(&TRAIN)?;
    Dataset::new(place.display().to_string(), train, split(&[TEST])?, classes)
}

/// Appends the records of a file, channels last.
fn append(file: &[u8], images: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<(), String> {
    if file.is_empty() {
        return Err("is empty".into());
    }
    if !file.len().is_multiple_of(RECORD) {
        let (bytes, over) = (file.len(), file.len() % RECORD);
        return Err(format!(
            "is truncated or no file of CIFAR-10: its {bytes} bytes are {} records of {RECORD} bytes and {over} more",
            bytes / RECORD
        ));
    }
    for (index, record) in file.chunks_exact(RECORD).enumerate() {
        let (label, planes) = (record[0], &record[1..]);
        if usize::from(label) >= CLASSES {
            return Err(format!("label {label} of image {index} is out of range: CIFAR-10 has {CLASSES} classes"));
        }
        labels.push(u32::from(label));
        images.extend((0..PIXELS).flat_map(|at| [planes[at], planes[PIXELS + at], planes[2 * PIXELS + at]]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Two records a file, whose values tell file, record, channel and pixel apart.
    fn file(number: u8) -> Vec<u8> {
        let record = |index: u8| {
            let plane =
                move |channel: u8| (0..PIXELS).map(move |at| number * 40 + index * 20 + channel * 5 + (at % 5) as u8);
            std::iter::once(number + index).chain((0..3).flat_map(plane)).collect::<Vec<u8>>()
        };
        [record(0), record(1)].concat()
    }

    fn dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (number, name) in TRAIN.iter().chain([&TEST]).enumerate() {
            std::fs::write(dir.path().join(name), file(number as u8)).unwrap();
        }
        std::fs::write(
            dir.path().join(NAMES),
            "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n",
        )
        .unwrap();
        dir
    }

    fn archive(of: &Path) -> PathBuf {
        let path = of.join("cifar.tar.gz");
        let encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(encoder);
        for name in TRAIN.iter().chain([&TEST, &NAMES]) {
            archive.append_path_with_name(of.join(name), format!("cifar-10-batches-bin/{name}")).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        path
    }

    #[test]
    fn files_are_read_in_order_with_channels_last() {
        let dir = dir();
        assert!(is_dir(dir.path()));
        let dataset = read_dir(dir.path()).unwrap();
        assert_eq!((dataset.train.len(), dataset.test.len(), dataset.train.shape), (10, 2, SHAPE));
        assert_eq!(dataset.train.labels, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
        assert_eq!((dataset.test.labels.as_slice(), dataset.classes[9].as_str()), (&[5, 6][..], "truck"));
        assert_eq!(dataset.train.image(3)[..6], [60, 65, 70, 61, 66, 71]);
    }

    #[test]
    fn the_archive_holds_what_the_directory_holds() {
        let dir = dir();
        let path = archive(dir.path());
        let (packed, unpacked) = (read_archive(&path).unwrap(), read_dir(dir.path()).unwrap());
        assert_eq!((packed.train, packed.test, packed.classes), (unpacked.train, unpacked.test, unpacked.classes));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read_archive(&path).unwrap_err().to_string().starts_with(&path.display().to_string()));
    }

    #[test]
    fn bad_files_are_refused_with_a_sentence_that_says_why() {
        let mut label = file(0);
        label[RECORD] = 10;
        let cases: &[(&str, &[u8], &str)] = &[
            (TRAIN[2], b"", "is empty"),
            (TRAIN[2], &file(2)[1..], "its 6145 bytes are 1 records of 3073 bytes and 3072 more"),
            (TRAIN[0], &label, "label 10 of image 1 is out of range"),
            (NAMES, b"cat\ndog\n", "names 2 classes"),
        ];
        for (name, bytes, expected) in cases {
            let dir = dir();
            std::fs::write(dir.path().join(name), bytes).unwrap();
            let error = read_dir(dir.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(name), "expected \"{expected}\", found: {error}");
        }
        let dir = dir();
        std::fs::remove_file(dir.path().join(TRAIN[4])).unwrap();
        assert!(read_dir(dir.path()).unwrap_err().to_string().contains("data_batch_5.bin: cannot be read"));
        let python = tempfile::tempdir().unwrap();
        std::fs::write(python.path().join("data_batch_1"), "pickled").unwrap();
        assert!(is_dir(python.path()) && read_dir(python.path()).unwrap_err().to_string().contains("for Python"));
    }
}
