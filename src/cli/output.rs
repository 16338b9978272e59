//! Where words go: to stdout for people, and with `--json` to stderr, so that stdout holds JSON alone.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

/// Nobody reads stdout any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output was closed")]
pub struct Silenced;

/// Says something on stderr; where even that is closed, nobody listens.
pub fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// What the commands print through.
#[derive(Debug, Default)]
pub struct Output {
    json: bool,
    silenced: AtomicBool,
}

impl Output {
    /// For people, or for programs.
    pub fn new(json: bool) -> Self {
        Self { json, silenced: AtomicBool::new(false) }
    }

    /// Words for people who wait: on stderr where stdout is for programs.
    pub fn say(&self, text: impl AsRef<str>) {
        match self.json {
            true => complain(text.as_ref()),
            false => self.print(text.as_ref()),
        }
    }

    /// The answer itself, for people alone: programs get it as an event.
    pub fn answer(&self, text: impl AsRef<str>) {
        if !self.json {
            self.print(text.as_ref());
        }
    }

    /// One object for programs; people do not see it.
    pub fn event(&self, object: &serde_json::Value) {
        if self.json {
            self.print(&object.to_string());
        }
    }

    /// One line for programs that is no object; people do not see it.
    pub fn line(&self, text: &str) {
        if self.json {
            self.print(text);
        }
    }

    fn print(&self, line: &str) {
        let mut out = io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            self.silenced.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody reads it any more.
    pub fn silenced(&self) -> bool {
        self.silenced.load(Ordering::Relaxed)
    }

    /// The error with which a command ends whose output nobody read to the end.
    pub fn finish(&self) -> anyhow::Result<()> {
        if self.silenced() { Err(Silenced.into()) } else { Ok(()) }
    }
}

/// Refuses, before any work, a file that cannot be written since its directory is not there.
pub fn writable(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if file.is_dir() {
        anyhow::bail!("{} is a directory, not a file to write", file.display());
    }
    match folder.filter(|folder| !folder.is_dir()) {
        Some(folder) => {
            anyhow::bail!("{} cannot be written: there is no directory {}", file.display(), folder.display())
        }
        None => Ok(()),
    }
}
