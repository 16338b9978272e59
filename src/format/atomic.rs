//! Writing a file so that a killed program, a full disk or a power cut leaves the old contents or the new ones, and
//! never a half: a temporary file in the same directory, flushed to the disk, then renamed.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Makes `bytes` the contents of `path`, or leaves `path` as it was.
///
/// # Errors
/// [`Error::File`] where the directory does not exist or cannot be written, or the disk is full.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_parts(path, &[bytes])
}

/// Makes `parts`, one after the other, the contents of `path`, or leaves `path` as it was.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_atomic_parts(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    replace(path, dir, parts)
        .map_err(|e| Error::file(path, format!("cannot be written: {e}; what was there before is untouched")))
}

fn replace(path: &Path, dir: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".part-");
    // A temporary file is private by default; this one becomes an ordinary file, so the umask decides.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut part = builder.tempfile_in(dir).map_err(bare)?;
    for bytes in parts {
        part.write_all(bytes).map_err(bare)?;
    }
    part.as_file().sync_all()?;
    part.persist(path).map_err(|e| e.error)?;
    // The rename itself lasts once the directory is on the disk; where a directory cannot be opened, the file is
    // whole all the same.
    #[cfg(unix)]
    if let Ok(dir) = std::fs::File::open(dir) {
        let _ = dir.sync_all();
    }
    Ok(())
}

/// tempfile adds the temporary file's path to an error, which means nothing to a user: the error beneath.
fn bare(error: std::io::Error) -> std::io::Error {
    error.raw_os_error().map_or_else(|| std::io::Error::from(error.kind()), std::io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays_in_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomic(&path, b"old and longer").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("directory");
        std::fs::create_dir_all(taken.join("full")).unwrap();
        for path in [taken.clone(), dir.path().join("missing/file")] {
            let error = write_atomic(&path, b"new").unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: cannot be written: ", path.display())), "{error}");
            assert!(!error.contains(".part-"), "{error}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        write_atomic(&dir.path().join("ours"), b"").unwrap();
        std::fs::write(dir.path().join("plain"), b"").unwrap();
        assert_eq!(mode("ours"), mode("plain"));
    }
}
