//! MNIST by name: downloads the four files once, keeps them in the user's cache, and trusts only their SHA-256.
//!
//! A file is written beside its final name and renamed after its hash matched, so a killed download leaves nothing that
//! looks whole; a cached file is hashed again before each use. Everything that can go wrong says what to do instead:
//! a mirror, a directory with the files, or the data set that needs no file.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::data::{Dataset, LoadOptions, hex, idx};
use crate::error::{Error, Result};
use crate::format::cache;

/// Where the files come from, unless an option or the environment names a mirror.
pub const SOURCE: &str = "https://storage.googleapis.com/cvdf-datasets/mnist/";
/// Environment variable with the address of a mirror, http or https, to which file names are appended.
pub const MIRROR_VARIABLE: &str = "WGRAD_MNIST_MIRROR";

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);

/// A file to download.
struct Remote {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
}

/// The files in the order images and labels of the training split, images and labels of the test split.
const FILES: [Remote; 4] = [
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
];

/// How far a download is, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Bytes received so far; the first report of a file has 0.
    pub received: u64,
    /// Bytes that the file has; the last report has as many received.
    pub total: u64,
}

/// MNIST: 60,000 training and 10,000 test images of 28×28 grey, from the cache or the network.
///
/// # Errors
/// [`Error::Download`] where the network, the server or the hash fails; [`Error::File`] where the cache cannot be
/// written or read.
pub fn load(options: &LoadOptions) -> Result<Dataset> {
    let cache = cache_dir(options)?;
    let mirror = options.mirror.clone().or_else(|| variable(MIRROR_VARIABLE)).unwrap_or_else(|| SOURCE.to_owned());
    let paths = fetch(&FILES, &mirror, &cache, Timeouts::default(), options.progress)?;
    let classes = (0..10).map(|digit| digit.to_string()).collect();
    let train = idx::read_split(&paths[0], &paths[1], 10)?;
    let test = idx::read_split(&paths[2], &paths[3], 10)?;
    Dataset::new("mnist", train, test, classes)
}

/// The directory of the cached files: `mnist` below the option, the environment variable, or the user's cache.
fn cache_dir(options: &LoadOptions) -> Result<PathBuf> {
    let root = options.cache_dir.clone().or_else(cache::directory).ok_or_else(|| {
        Error::Invalid(format!("there is no home directory to keep MNIST in: set {} to a directory", cache::VARIABLE))
    })?;
    Ok(root.join("mnist"))
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

/// The paths of `files` in `cache`; those that are missing there, or damaged, are downloaded from `mirror`.
fn fetch(
    files: &[Remote],
    mirror: &str,
    cache: &Path,
    timeouts: Timeouts,
    progress: &dyn Fn(Progress),
) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(cache).map_err(|e| Error::file(cache, format!("cannot be made to keep MNIST in: {e}")))?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(timeouts.response))
        .timeout_per_read(Some(timeouts.stall))
        .user_agent(concat!("wgrad/", env!("CARGO_PKG_VERSION")))
        // The files are gzipped themselves; their hashes are those of the gzipped bytes.
        .accept_encoding("identity")
        .build()
        .into();
    let mut paths = Vec::with_capacity(files.len());
    for file in files {
        let path = cache.join(file.name);
        if !is_cached(&path, file)? {
            download(&agent, &format!("{}/{}", mirror.trim_end_matches('/'), file.name), file, cache, progress)?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Whether the cache holds the very bytes.
fn is_cached(path: &Path, file: &Remote) -> Result<bool> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(hex(&Sha256::digest(&bytes)) == file.sha256),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::file(path, format!("cannot be read: {e}"))),
    }
}

/// Downloads one file into `cache`, all or nothing.
fn download(agent: &ureq::Agent, url: &str, file: &Remote, cache: &Path, progress: &dyn Fn(Progress)) -> Result<()> {
    let fail = |problem: String| Error::Download { url: url.to_owned(), problem };
    let unwritable = |e: std::io::Error| Error::file(cache, format!("cannot be written to: {e}"));
    let mut body = agent.get(url).call().map_err(|e| fail(refusal(&e)))?.into_body().into_reader();
    let mut part = part_file(cache).map_err(unwritable)?;
    let mut hasher = Sha256::new();
    let mut received = 0;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        progress(Progress { file: file.name, received, total: file.bytes });
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
fn refusal(error: &ureq::Error) -> String {
    let instead = format!(
        "name a mirror with {MIRROR_VARIABLE}, give a directory with the files as the data set, or use `builtin`, \
         which needs no network"
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
#[path = "mnist_tests.rs"]
mod tests;
