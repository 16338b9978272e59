//! What is in a directory of class folders: every picture with its class, and nothing decoded yet.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::data::hex;
use crate::error::{Error, Result};

/// The folders of the splits, where there are two.
const SPLITS: [&str; 2] = ["train", "test"];
/// Without a test folder, one picture in so many becomes a test image.
const TEST_SHARE: usize = 10;
/// Files that systems leave behind.
const NO_PICTURES: [&str; 3] = ["thumbs.db", "desktop.ini", "__macosx"];

/// A picture that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the directory, for people; with `/` on every system.
    pub name: String,
    /// Its class.
    pub label: u32,
    /// Whether it lies in the test folder; `None` where there is none.
    pub test: Option<bool>,
    /// Its length in bytes and when it was last changed, in nanoseconds since 1970: what tells that it is another one.
    state: (u64, u128),
}

/// A directory of class folders.
#[derive(Debug)]
pub struct Listing {
    /// The directory.
    pub dir: PathBuf,
    /// Names of the classes: their folders', sorted.
    pub classes: Vec<String>,
    /// The pictures by path: training folder before test folder, class by class, each sorted by name.
    pub pictures: Vec<Found>,
    /// Whether training and test images lie in folders of their own.
    pub split: bool,
}

impl Listing {
    /// Lists `dir`, which holds either the folders `train` and `test` with class folders in each, or class folders. Hidden files
    /// and folders are passed over, and so are files beside the class folders.
    ///
    /// # Errors
    /// [`Error::File`] where a directory cannot be read or does not hold two classes or more, where training and test folder
    /// differ in their classes, and where there is a folder inside a class folder.
    pub fn read(dir: &Path) -> Result<Self> {
        let [train, test] = SPLITS.map(|name| dir.join(name));
        let split = match (train.is_dir(), test.is_dir()) {
            (true, true) => true,
            (false, false) => false,
            (there, _) => {
                let [there, missing] = if there { SPLITS } else { [SPLITS[1], SPLITS[0]] };
                let problem = format!(
                    "has a folder `{there}` but no folder `{missing}`; there must be both, each with the same class folders, or \
                     neither"
                );
                return Err(Error::file(dir, problem));
            }
        };
        let classes = class_folders(if split { &train } else { dir })?;
        let mut listing = Self { dir: dir.to_owned(), classes, pictures: Vec::new(), split };
        if !split {
            listing.add(dir, None)?;
            return Ok(listing);
        }
        let others = class_folders(&test)?;
        for (names, other, [here, there]) in
            [(&listing.classes, &others, SPLITS), (&others, &listing.classes, [SPLITS[1], SPLITS[0]])]
        {
            if let Some(lone) = names.iter().find(|name| !other.contains(name)) {
                let problem =
                    format!("the class folder `{lone}` is in `{here}` but not in `{there}`; both need the same ones");
                return Err(Error::file(dir, problem));
            }
        }
        listing.add(&train, Some(false))?;
        listing.add(&test, Some(true))?;
        Ok(listing)
    }

    /// Adds the pictures of the class folders in `root`.
    fn add(&mut self, root: &Path, test: Option<bool>) -> Result<()> {
        for (label, class) in self.classes.iter().enumerate() {
            let folder = root.join(class);
            let before = self.pictures.len();
            for file in entries(&folder)? {
                let path = folder.join(&file);
                if path.is_dir() {
                    return Err(Error::file(path, "is a folder inside a class folder, which may hold pictures alone"));
                }
                let below = path.strip_prefix(&self.dir).unwrap_or(&path);
                let name = below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
                self.pictures.push(Found { state: state(&path), path, name, label: label as u32, test });
            }
            if self.pictures.len() == before && test != Some(true) {
                return Err(Error::file(folder, "is a class folder without a picture; fill it or remove it"));
            }
        }
        Ok(())
    }

    /// SHA-256 in hexadecimal of every picture's path below the directory, length and time of change: other pictures have another one.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for Found { path, state: (bytes, changed), .. } in &self.pictures {
            let path = path.strip_prefix(&self.dir).unwrap_or(path).as_os_str().as_encoded_bytes();
            hasher.update((path.len() as u64).to_le_bytes());
            hasher.update(path);
            hasher.update(bytes.to_le_bytes());
            hasher.update(changed.to_le_bytes());
        }
        hex(&hasher.finalize())
    }

    /// Which of these pictures are test images: those of the test folder. Where there is none, a tenth of each class, rounded, but
    /// at least one of two: the pictures whose names have the lowest hashes, so that the others stay training images when pictures
    /// are added.
    pub fn test_images(&self, pictures: &[&Found]) -> Vec<bool> {
        let mut test: Vec<bool> = pictures.iter().map(|picture| picture.test == Some(true)).collect();
        if self.split {
            return test;
        }
        for label in 0..self.classes.len() as u32 {
            let hash = |index: usize| <[u8; 32]>::from(Sha256::digest(&pictures[index].name));
            let mut class: Vec<usize> = (0..pictures.len()).filter(|&index| pictures[index].label == label).collect();
            class.sort_by_cached_key(|&index| hash(index));
            let share = match class.len() {
                0 | 1 => 0,
                count => ((count + TEST_SHARE / 2) / TEST_SHARE).max(1),
            };
            class[..share].iter().for_each(|&index| test[index] = true);
        }
        test
    }
}

/// The names of the class folders in `root`, sorted.
fn class_folders(root: &Path) -> Result<Vec<String>> {
    let refused = |problem: &str| Err(Error::file(root, problem));
    let (mut classes, mut others) = (Vec::new(), 0);
    for entry in entries(root)? {
        if !root.join(&entry).is_dir() {
            others += 1;
            continue;
        }
        let unnamable =
            |entry: OsString| Error::file(root.join(entry), "has a name that is no UTF-8, so it cannot name a class");
        classes.push(entry.into_string().map_err(unnamable)?);
    }
    match (classes.as_slice(), others) {
        ([], 0) => refused("is empty: a data set has a folder of PNG or JPEG pictures for each class"),
        ([], _) => {
            refused("holds files but no class folders: a data set has a folder of PNG or JPEG pictures for each class")
        }
        ([only], _) => refused(&format!("holds one class folder alone, `{only}`: there is nothing to tell apart")),
        _ => Ok(classes),
    }
}

/// The names in a directory, sorted, without hidden ones.
fn entries(dir: &Path) -> Result<Vec<OsString>> {
    let unreadable = |e: std::io::Error| Error::file(dir, format!("cannot be read: {e}"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let plain = name.to_string_lossy().to_lowercase();
        if !plain.starts_with('.') && !NO_PICTURES.contains(&plain.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Length and time of change of a file; zeros where it cannot be asked, as where a link leads nowhere.
fn state(path: &Path) -> (u64, u128) {
    let Ok(metadata) = std::fs::metadata(path) else { return (0, 0) };
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (metadata.len(), changed.map_or(0, |time| time.as_nanos()))
}
