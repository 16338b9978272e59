//! Decoded pictures on the disk, so that a folder is decoded once: one file in the cache directory for each folder and size.
//!
//! ```text
//! "wgrad pictures 1", length of the header (u32, little-endian), the header (JSON), training images, their labels (u32 each),
//! test images, their labels, SHA-256 of everything before
//! ```
//! A file is used only where its hash is right and its key is that of the folder as it is now.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Bad, Decoded};
use crate::data::{Split, hex};
use crate::error::Result;
use crate::format::write_atomic_parts;

/// Format and version. Another way to fit pictures is another version too.
const MAGIC: &[u8; 16] = b"wgrad pictures 1";
/// The folder in the cache directory.
const FOLDER: &str = "pictures";
const HASH: usize = 32;

/// What the rest of a file is.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Fingerprint of the listing that was decoded.
    key: String,
    /// `[h, w, c]` of all images.
    shape: [usize; 3],
    classes: Vec<String>,
    training_images: usize,
    test_images: usize,
    /// The pictures that were left out, by path.
    bad: Vec<Bad>,
}

/// Where what is decoded of `dir` at this size is kept.
pub fn place(cache: &Path, dir: &Path, size: &str) -> PathBuf {
    let mut hasher = Sha256::new();
    hasher.update(dir.canonicalize().unwrap_or_else(|_| dir.to_owned()).as_os_str().as_encoded_bytes());
    hasher.update([0]);
    hasher.update(size);
    cache.join(FOLDER).join(format!("{}.bin", &hex(&hasher.finalize())[..32]))
}

/// What is kept under this key; `None` where nothing is, or of another listing. What is damaged is passed over with a warning.
pub fn read(path: &Path, key: &str) -> Option<Decoded> {
    let file = File::open(path).ok()?;
    match check(&file, key) {
        Ok(kept) => kept,
        Err(problem) => {
            tracing::warn!("{}: {problem}; the pictures are decoded again", path.display());
            None
        }
    }
}

/// The sections of a file in their order, and the hash of what was read.
struct Sections<R> {
    source: R,
    hasher: Sha256,
    left: u64,
}

impl<R: Read> Sections<R> {
    fn take(&mut self, bytes: usize) -> Result<Vec<u8>, String> {
        // What the file does not have costs no memory.
        self.left = self.left.checked_sub(bytes as u64).ok_or("is truncated")?;
        let mut section = vec![0; bytes];
        self.source.read_exact(&mut section).map_err(|e| format!("cannot be read: {e}"))?;
        self.hasher.update(&section);
        Ok(section)
    }

    fn split(&mut self, images: usize, shape: [usize; 3]) -> Result<Split, String> {
        let sizes =
            shape.iter().try_fold(images, |product, &size| product.checked_mul(size)).zip(images.checked_mul(4));
        let (pixels, labels) = sizes.ok_or("has an absurd header")?;
        let (images, labels) = (self.take(pixels)?, self.take(labels)?);
        let labels = labels.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Split { images, labels, shape })
    }
}

fn check(file: &File, key: &str) -> Result<Option<Decoded>, String> {
    let length = file.metadata().map_err(|e| format!("cannot be read: {e}"))?.len();
    let left = length.checked_sub(HASH as u64).ok_or("is truncated")?;
    let mut sections = Sections { source: BufReader::new(file), hasher: Sha256::new(), left };
    if sections.take(MAGIC.len())? != MAGIC {
        return Err("is of another version of wgrad, or damaged".into());
    }
    let length = sections.take(4)?;
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
    let header = sections.take(length as usize)?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| "is damaged: its header cannot be read")?;
    if header.key != key {
        return Ok(None);
    }
    let train = sections.split(header.training_images, header.shape)?;
    let test = sections.split(header.test_images, header.shape)?;
    let mut hash = Vec::new();
    sections.source.read_to_end(&mut hash).map_err(|e| format!("cannot be read: {e}"))?;
    if sections.left > 0 || sections.hasher.finalize()[..] != hash[..] {
        return Err("is damaged: its SHA-256 is not the one that it holds".into());
    }
    Ok(Some(Decoded { train, test, classes: header.classes, bad: header.bad }))
}

/// Keeps what was decoded. Where that is impossible, it is decoded again the next time.
pub fn write(path: &Path, key: String, decoded: &Decoded) {
    if let Err(error) = try_write(path, key, decoded) {
        tracing::warn!("the decoded pictures cannot be kept: {error}");
    }
}

fn try_write(path: &Path, key: String, decoded: &Decoded) -> Result<()> {
    let unwritable = |e: &dyn std::fmt::Display| crate::Error::file(path, format!("cannot be written: {e}"));
    let Decoded { train, test, classes, bad } = decoded;
    let header = Header {
        key,
        shape: train.shape,
        classes: classes.clone(),
        training_images: train.len(),
        test_images: test.len(),
        bad: bad.clone(),
    };
    let header = serde_json::to_vec(&header).map_err(|e| unwritable(&e))?;
    let length = u32::try_from(header.len()).map_err(|e| unwritable(&e))?.to_le_bytes();
    let labels =
        [train, test].map(|split| split.labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>());
    let sections: [&[u8]; 7] = [MAGIC, &length, &header, &train.images, &labels[0], &test.images, &labels[1]];
    let mut hasher = Sha256::new();
    sections.iter().for_each(|section| hasher.update(section));
    let hash = hasher.finalize();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| unwritable(&e))?;
    }
    write_atomic_parts(path, &[&sections[..], &[&hash[..]]].concat())
}
