//! The repository's files, as these tests read them.

use std::path::{Path, PathBuf};

/// A text file of the repository.
pub struct Source {
    /// Its path from the repository's root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below `folder` (and in it) with this ending, by path.
pub fn files(folder: &str, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), ending, &mut found);
    let mut sources: Vec<Source> = found.into_iter().map(read).collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// All Rust files that belong to the crate: library, binary, tests, benches.
pub fn rust() -> Vec<Source> {
    ["src", "tests", "benches"].into_iter().flat_map(|folder| files(folder, "rs")).collect()
}

fn read(path: PathBuf) -> Source {
    let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    Source { path: name, text: std::fs::read_to_string(&path).unwrap() }
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
}

impl Source {
    /// The file's name without its ending.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.split('.').next().unwrap_or_default()
    }

    /// The lines that are not tests, with their numbers from 1. Unit tests stand last in a file, or in a `_tests` file.
    pub fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = if self.stem().ends_with("_tests") { Some(0) } else { self.text.find("\n#[cfg(test)]") };
        self.text[..tests.unwrap_or(self.text.len())].lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Fails once, with everything that was found.
#[track_caller]
pub fn expect_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}
