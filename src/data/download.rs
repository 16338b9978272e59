//! Data sets that have names: their files are downloaded once, kept in the user's cache, and trusted only by their SHA-256.
//!
//! A file is written beside its final name and renamed after its hash matched, so a killed download leaves nothing that
//! looks whole; a cached file is hashed again before each use. Everything that can go wrong says what to do instead:
//! a mirror, a directory with the files, or the data set that needs no file.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::data::{Event, LoadOptions, hex};
use crate::error::{Error, Result};
use crate::format::cache;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);

/// A file to download.
pub(super) struct Remote {
    /// The file's name.
    pub name: &'static str,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'static str,
}

/// A data set that can be downloaded.
pub(super) struct Origin {
    /// What people call it.
    pub title: &'static str,
    /// Its folder in the cache.
    pub folder: &'static str,
    /// Where the files come from, unless an option or the environment names a mirror.
    pub source: &'static str,
    /// Environment variable with the address of a mirror, http or https, to which file names are appended.
    pub variable: &'static str,
    /// The files.
    pub files: &'static [Remote],
}

impl Origin {
    /// The paths of the files in the cache, in their order; what is missing there, or damaged, is downloaded.
    ///
    /// # Errors
    /// [`Error::Download`] where the network, the server or the hash fails; [`Error::File`] where the cache cannot be
    /// written or read.
    pub fn fetch(&self, options: &LoadOptions) -> Result<Vec<PathBuf>> {
        let root = options.cache_dir.clone().or_else(cache::directory).ok_or_else(|| {
            let (title, variable) = (self.title, cache::VARIABLE);
            Error::Invalid(format!("there is no home directory to keep {title} in: set {variable} to a directory"))
        })?;
        let mirror = options.mirror.clone().or_else(|| variable(self.variable));
        let mirror = mirror.as_deref().unwrap_or(self.source);
        fetch(self, mirror, &root.join(self.folder), Timeouts::default(), options.observe)
    }
}

/// An environment variable, where an empty one counts as none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// How long to wait for a server.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// For the answer to a request to begin.
    response: Duration,
    /// For the next bytes of a file; a slow transfer may take as long as it wants while it moves.
    stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { response: Duration::from_secs(30), stall: Duration::from_secs(30) }
    }
}

/// The paths of an origin's files in `cache`; those that are missing there, or damaged, are downloaded from `mirror`.
fn fetch(
    origin: &Origin,
    mirror: &str,
    cache: &Path,
    timeouts: Timeouts,
    observe: &dyn Fn(Event),
) -> Result<Vec<PathBuf>> {
    let unmade = |e| Error::file(cache, format!("cannot be made to keep {} in: {e}", origin.title));
    std::fs::create_dir_all(cache).map_err(unmade)?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(timeouts.response))
        .timeout_per_read(Some(timeouts.stall))
        .user_agent(concat!("wgrad/", env!("CARGO_PKG_VERSION")))
        // The files are gzipped themselves; their hashes are those of the gzipped bytes.
        .accept_encoding("identity")
        .build()
        .into();
    let mut paths = Vec::with_capacity(origin.files.len());
    for file in origin.files {
        let path = cache.join(file.name);
        if !is_cached(&path, file)? {
            let url = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
            let refused = |e: ureq::Error| Error::Download { url: url.clone(), problem: refusal(&e, origin) };
            let body = agent.get(&url).call().map_err(refused)?.into_body().into_reader();
            receive(body, &url, file, cache, observe)?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Whether the cache holds the very bytes.
fn is_cached(path: &Path, file: &Remote) -> Result<bool> {
    let mut hasher = Sha256::new();
    match File::open(path).and_then(|mut cached| std::io::copy(&mut cached, &mut hasher)) {
        Ok(_) => Ok(hex(&hasher.finalize()) == file.sha256),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::file(path, format!("cannot be read: {e}"))),
    }
}

/// Takes one file into `cache`, all or nothing.
fn receive(mut body: impl Read, url: &str, file: &Remote, cache: &Path, observe: &dyn Fn(Event)) -> Result<()> {
    let fail = |problem: String| Error::Download { url: url.to_owned(), problem };
    let unwritable = |e: std::io::Error| Error::file(cache, format!("cannot be written to: {e}"));
    let mut part = part_file(cache).map_err(unwritable)?;
    let mut hasher = Sha256::new();
    let mut received = 0;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        observe(Event::Download { file: file.name, received, total: file.bytes });
        let count = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(fail(broken(received, file.bytes, &e))),
        };
        received += count as u64;
        if received > file.bytes {
            return Err(fail(format!("sends more than the {} bytes of the file; nothing was kept", file.bytes)));
        }
        hasher.update(&chunk[..count]);
        part.write_all(&chunk[..count]).map_err(unwritable)?;
    }
    if received < file.bytes {
        return Err(fail(format!("ended after {received} of {} bytes; nothing was kept, try again", file.bytes)));
    }
    let found = hex(&hasher.finalize());
    if found != file.sha256 {
        return Err(fail(format!(
            "has the SHA-256 {found}, but the file's is {}; nothing was kept, use another mirror",
            file.sha256
        )));
    }
    part.as_file().sync_all().map_err(unwritable)?;
    part.persist(cache.join(file.name)).map_err(|e| unwritable(e.error))?;
    Ok(())
}

/// A temporary file in the cache, as readable as any file: a cache may be shared.
fn part_file(cache: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".part-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(cache)
}

/// Why a request brought no file, and what to do.
fn refusal(error: &ureq::Error, origin: &Origin) -> String {
    let instead = format!(
        "name a mirror with {}, give a directory with the files as the data set, or use `builtin`, \
         which needs no network",
        origin.variable
    );
    match error {
        ureq::Error::StatusCode(404) => format!("the server has no such file (HTTP 404); {instead}"),
        ureq::Error::StatusCode(code) => format!("the server refused with HTTP {code}; try later, or {instead}"),
        ureq::Error::Timeout(_) => format!("no answer in time; try later, or {instead}"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            "is no address; a mirror begins with http:// or https://".to_owned()
        }
        ureq::Error::Io(error) => format!("cannot be reached ({error}); {instead}"),
        other => format!("cannot be reached ({other}); {instead}"),
    }
}

/// Why a transfer stopped in the middle.
fn broken(received: u64, total: u64, error: &std::io::Error) -> String {
    // A timeout of ureq's comes wrapped.
    let timeout = matches!(error.get_ref().and_then(|e| e.downcast_ref()), Some(ureq::Error::Timeout(_)));
    let what = if timeout || matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) {
        "stalled".to_owned()
    } else {
        format!("broke off ({error})")
    };
    format!("the transfer {what} after {received} of {total} bytes; nothing was kept, try again")
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
