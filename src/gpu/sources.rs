//! The texts of the shaders: every file below `shaders/`, embedded in the binary.
//!
//! Who writes kernels need not build the crate for each try: where the environment variable `WGRAD_SHADERS` names a
//! folder, a file in it stands in for the embedded one of the same path.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Every file below `shaders/`, by its path there.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The environment variable that names a folder of other shaders.
pub const VARIABLE: &str = "WGRAD_SHADERS";

type Replaced = BTreeMap<&'static str, &'static str>;

/// The paths of all shader files.
pub fn files() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The text of a file: the one below the folder that the environment names, or the embedded one. `None` where there is no
/// such shader; an error where the folder cannot be read or holds a file that stands in for none.
pub fn source(file: &str) -> Result<Option<(&'static str, &'static str)>> {
    let Some(&(name, embedded)) = FILES.iter().find(|(name, _)| *name == file) else { return Ok(None) };
    Ok(Some((name, overlay()?.get(name).copied().unwrap_or(embedded))))
}

/// The shaders that a folder replaces.
pub fn replaced() -> Result<Vec<&'static str>> {
    Ok(overlay()?.keys().copied().collect())
}

fn overlay() -> Result<&'static Replaced> {
    static OVERLAY: OnceLock<Result<Replaced, String>> = OnceLock::new();
    let read = || match std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        None => Ok(Replaced::new()),
        Some(folder) => {
            let folder = Path::new(&folder);
            let mut found = Replaced::new();
            let told = |problem: String| format!("{VARIABLE}={}: {problem}", folder.display());
            collect(folder, folder, &mut found).map_err(told)?;
            Ok(found)
        }
    };
    OVERLAY.get_or_init(read).as_ref().map_err(|problem| Error::Invalid(problem.clone()))
}

/// Reads the shaders below `folder`. They are few and wanted until the process ends, so their texts are never freed.
fn collect(root: &Path, folder: &Path, found: &mut Replaced) -> Result<(), String> {
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            collect(root, &path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "wgsl") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let known = files().find(|file| *file == name);
            let known = known.ok_or_else(|| format!("{name} stands in for no shader of this program"))?;
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
            found.insert(known, text.leak());
        }
    }
    Ok(())
}
