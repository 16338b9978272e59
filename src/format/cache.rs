//! Where the user's machine keeps what can be had again: downloads, decoded pictures, and verdicts on kernels.

use std::path::PathBuf;

/// Environment variable with the directory that takes the place of the user's cache directory.
pub const VARIABLE: &str = "WGRAD_CACHE_DIR";

/// The cache directory: what the environment names, or the user's. `None` where there is neither.
pub fn directory() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    named.or_else(|| directories::ProjectDirs::from("", "", "wgrad").map(|dirs| dirs.cache_dir().to_owned()))
}
