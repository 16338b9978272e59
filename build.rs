//! Embeds every file below `shaders/` in the binary, so that a new kernel needs no list to be kept up.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest.join("shaders");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &root, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in files {
        table += &format!("    ({name:?}, include_str!({path:?})),\n");
    }
    table += "]\n";
    println!("cargo::rustc-env=WGRAD_WGPU_VERSION={}", wgpu_version(&manifest.join("Cargo.lock")));
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("shaders.rs");
    fs::write(out, table)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "wgsl") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.push((name, path.to_string_lossy().into_owned()));
        }
    }
    Ok(())
}

/// The version of wgpu that is built in, from the lock file; without one only what the manifest says is known.
fn wgpu_version(lock: &Path) -> String {
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(lock).unwrap_or_default();
    let mut lines = text.lines().skip_while(|line| *line != "name = \"wgpu\"");
    let version =
        lines.nth(1).and_then(|line| line.strip_prefix("version = ")).map(|version| version.trim_matches('"'));
    version.unwrap_or("30").to_owned()
}
