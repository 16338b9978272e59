//! IDX, the format of MNIST and its many siblings (Fashion-MNIST, KMNIST, EMNIST): a big-endian header, then bytes.
//!
//! ```text
//! images: 0x00000803, n, h, w (u32 each), then n·h·w bytes       labels: 0x00000801, n, then n bytes
//! ```
//! Files are gzipped or not, whatever their names say: the first two bytes tell. Nothing that a header promises is
//! believed before the bytes are there, so a damaged file costs no memory.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::data::{Dataset, Split};
use crate::error::{Error, Result};

/// The first bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What the names of the files of both splits begin with.
const STEMS: [&str; 4] = ["train-images", "train-labels", "t10k-images", "t10k-labels"];

/// Whether a directory holds a file with one of the usual names.
pub fn is_dir(dir: &Path) -> bool {
    let ours = |entry: std::io::Result<std::fs::DirEntry>| {
        let named = |name: &str| STEMS.iter().any(|stem| name.starts_with(stem));
        entry.is_ok_and(|entry| named(&entry.file_name().to_string_lossy()) && entry.path().is_file())
    };
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.any(ours))
}

/// Reads a directory with the four files under their usual names (`train-images-idx3-ubyte`, also
/// `train-images.idx3-ubyte`, with or without `.gz`; `train-labels-idx1-ubyte`; `t10k-...` for the test images).
/// IDX knows no class names, so the classes are called `0` to `classes - 1`.
///
/// # Errors
/// [`Error::File`] with one sentence for everything that can be wrong with a file, the label out of range included;
/// [`Error::Invalid`] where training and test images differ in size.
pub fn read_dir(dir: &Path, classes: usize) -> Result<Dataset> {
    let read = |split: &str| {
        let images = find(dir, &format!("{split}-images"), 3)?;
        let labels = find(dir, &format!("{split}-labels"), 1)?;
        read_split(&images, &labels, classes)
    };
    let names = (0..classes).map(|class| class.to_string()).collect();
    Dataset::new(dir.display().to_string(), read("train")?, read("t10k")?, names)
}

/// Reads a file of images and the file of their labels, each below `classes`. The images become `[n, h, w, 1]`.
///
/// # Errors
/// [`Error::File`], as [`read_dir`].
pub fn read_split(images: &Path, labels: &Path, classes: usize) -> Result<Split> {
    let (sizes, pixels) = read(images, 3)?;
    let (count, bytes) = read(labels, 1)?;
    if sizes[0] != count[0] {
        return Err(Error::file(
            labels,
            format!("holds {} labels, but {} holds {} images", count[0], images.display(), sizes[0]),
        ));
    }
    let split = Split::new(pixels, bytes.into_iter().map(u32::from).collect(), [sizes[1], sizes[2], 1])?;
    match split.label_outside(classes) {
        Some((i, label)) => Err(Error::file(
            labels,
            format!("label {label} of image {i} is out of range: there are {classes} classes, counted from 0"),
        )),
        None => Ok(split),
    }
}

/// The first of the usual spellings of a file that exists in `dir`.
fn find(dir: &Path, stem: &str, rank: usize) -> Result<PathBuf> {
    let names = ["-", "."].map(|dash| format!("{stem}{dash}idx{rank}-ubyte"));
    let names = [names[0].clone(), format!("{}.gz", names[0]), names[1].clone(), format!("{}.gz", names[1])];
    names
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::file(dir, format!("holds no file of the {stem}; its name could be {}", names.join(", "))))
}

/// The sizes and the bytes of one IDX file of the given rank.
fn read(path: &Path, rank: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let mut source = open(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let header = take(&mut source, 4 + 4 * rank as u64, path)?;
    check_magic(&header, rank, path)?;
    if header.len() < 4 + 4 * rank {
        return Err(Error::file(
            path,
            format!("is truncated: its header wants {} bytes, but there are only {}", 4 + 4 * rank, header.len()),
        ));
    }
    let sizes: Vec<usize> =
        header[4..].chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let shape = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    let want = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
    let Some(want) = want.filter(|&want| want < isize::MAX as u64) else {
        return Err(Error::file(path, format!("has an absurd header: {shape} bytes fit no memory")));
    };
    if want == 0 {
        return Err(Error::file(path, format!("is empty: its header says {shape}")));
    }
    // One byte more than promised, to see whether the file ends there (and whether gzip's checksum holds).
    let bytes = take(&mut source, want + 1, path)?;
    let have = bytes.len() as u64;
    if have < want {
        return Err(Error::file(
            path,
            format!("is truncated: its header promises {shape} = {want} bytes, but only {have} follow"),
        ));
    }
    if have > want {
        return Err(Error::file(path, format!("has more bytes than the {shape} = {want} that its header promises")));
    }
    Ok((sizes, bytes))
}

/// Opens a file and looks through gzip where it begins like gzip.
fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let mut file = BufReader::new(File::open(path)?);
    Ok(if file.fill_buf()?.starts_with(&GZIP) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Up to `limit` bytes; memory grows with what is there, not with what was asked for.
fn take(source: &mut impl Read, limit: u64, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit).read_to_end(&mut bytes).map_err(|e| {
        let problem = match e.kind() {
            ErrorKind::UnexpectedEof => format!("is truncated: its gzip data break off after {} bytes", bytes.len()),
            ErrorKind::InvalidInput | ErrorKind::InvalidData => format!("has damaged gzip data ({e})"),
            _ => format!("cannot be read: {e}"),
        };
        Error::file(path, problem)
    })?;
    Ok(bytes)
}

/// Checks the four bytes that say "unsigned bytes, of this rank", or as many of them as there are.
fn check_magic(header: &[u8], rank: usize, path: &Path) -> Result<()> {
    let magic = [0, 0, 8, rank as u8];
    let found = &header[..header.len().min(4)];
    if magic.starts_with(found) {
        return Ok(());
    }
    let what = |rank| if rank == 3 { "images" } else { "labels" };
    let problem = match found {
        [0, 0, 8, other @ (1 | 3)] => format!("holds {}, where {} were expected", what(*other), what(magic[3])),
        _ => format!(
            "is no IDX file of {}: it begins with {}, not {}",
            what(magic[3]),
            crate::data::hex(found),
            crate::data::hex(&magic)
        ),
    };
    Err(Error::file(path, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend(bytes);
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Three images of 2×2 with the labels 0, 1, 2, for both splits.
    fn dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let images = idx(&[3, 2, 2], &(0..12).collect::<Vec<u8>>());
        let labels = idx(&[3], &[0, 1, 2]);
        std::fs::write(dir.path().join("train-images-idx3-ubyte"), &images).unwrap();
        std::fs::write(dir.path().join("train-labels-idx1-ubyte.gz"), gzip(&labels)).unwrap();
        std::fs::write(dir.path().join("t10k-images.idx3-ubyte"), gzip(&images)).unwrap();
        std::fs::write(dir.path().join("t10k-labels.idx1-ubyte.gz"), &labels).unwrap();
        dir
    }

    /// The error after one file of a good directory was replaced.
    fn complaint(name: &str, bytes: &[u8]) -> String {
        let dir = dir();
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let error = read_dir(dir.path(), 10).unwrap_err().to_string();
        assert!(error.starts_with(&dir.path().join(name).display().to_string()), "{error} does not name {name}");
        error
    }

    #[test]
    fn every_spelling_is_found_and_gzip_is_told_by_content_and_not_by_name() {
        let dir = dir();
        let dataset = read_dir(dir.path(), 10).unwrap();
        assert_eq!(dataset.train.shape, [2, 2, 1]);
        assert_eq!(dataset.train.labels, [0, 1, 2]);
        assert_eq!(dataset.test.image(2), [8, 9, 10, 11]);
        assert_eq!(dataset.train.images, dataset.test.images);
        assert_eq!(dataset.classes.len(), 10);
    }

    #[test]
    fn a_missing_file_names_what_was_looked_for() {
        let dir = dir();
        std::fs::remove_file(dir.path().join("t10k-labels.idx1-ubyte.gz")).unwrap();
        let error = read_dir(dir.path(), 10).unwrap_err().to_string();
        for name in ["t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz", "t10k-labels.idx1-ubyte.gz"] {
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn bad_files_are_refused_with_a_sentence_that_says_why() {
        let images = "train-images-idx3-ubyte";
        let labels = "train-labels-idx1-ubyte.gz";
        let whole = gzip(&idx(&[3, 2, 2], &(0..12).collect::<Vec<u8>>()));
        let mut flipped = whole.clone();
        let checksum = flipped.len() - 6;
        flipped[checksum] ^= 1;
        let cases: &[(&str, Vec<u8>, &str)] = &[
            (images, vec![], "header wants 16 bytes, but there are only 0"),
            (images, vec![0, 0, 8, 3, 0], "header wants 16 bytes, but there are only 5"),
            (images, b"not an IDX file".to_vec(), "begins with 6e6f7420, not 00000803"),
            (images, idx(&[3], &[0, 1, 2]), "holds labels, where images were expected"),
            (labels, idx(&[3, 2, 2], &[0; 12]), "holds images, where labels were expected"),
            (images, idx(&[3, 2, 2], &[0; 11]), "promises 3×2×2 = 12 bytes, but only 11 follow"),
            (images, idx(&[3, 2, 2], &[0; 13]), "has more bytes than the 3×2×2 = 12"),
            (images, idx(&[u32::MAX, u32::MAX, 2], &[0; 12]), "absurd header"),
            (images, idx(&[u32::MAX, 28, 28], &[0; 12]), "only 12 follow"),
            (images, idx(&[0, 2, 2], &[]), "is empty: its header says 0×2×2"),
            (images, idx(&[3, 0, 2], &[]), "is empty"),
            (images, whole[..whole.len() - 12].to_vec(), "gzip data break off"),
            (images, whole[..whole.len() - 3].to_vec(), "gzip data break off"),
            (images, flipped, "damaged gzip data"),
            (labels, idx(&[2], &[0, 1]), "holds 2 labels, but"),
            (labels, gzip(&idx(&[3], &[0, 10, 2])), "label 10 of image 1 is out of range: there are 10 classes"),
        ];
        for (name, bytes, expected) in cases {
            let error = complaint(name, bytes);
            assert!(error.contains(expected), "expected \"{expected}\", found: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_split(Path::new("/nowhere/images"), Path::new("/nowhere/labels"), 10).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/images: cannot be read"), "{error}");
    }
}
