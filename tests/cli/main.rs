//! The commands, run as a user runs them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod augment;
mod bench;
mod errors;
mod experiment;
mod explain;
mod flow;
mod folders;
mod listings;
mod lockstep;
mod micro_batches;
mod profile;
mod recipes;
mod report;
mod runs;
mod signals;
mod tune;
mod verify;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A command that sees nothing of the user's caches, proxies and terminal.
pub fn wgrad(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.current_dir(dir).args(arguments).stdin(Stdio::null());
    for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    for variable in ["WGRAD_MNIST_MIRROR", "WGRAD_FASHION_MNIST_MIRROR", "WGRAD_CIFAR10_MIRROR"] {
        command.env_remove(variable);
    }
    command.env("no_proxy", "*").env("WGRAD_CACHE_DIR", dir.join("cache")).env("COLUMNS", "120");
    command
}

/// Runs it to its end.
pub fn run(dir: &Path, arguments: &[&str]) -> Output {
    wgrad(dir, arguments).output().unwrap()
}

/// Runs what must succeed; answers stdout.
pub fn done(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs what must be refused; answers the sentence.
pub fn refused(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{arguments:?} says not one error but: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    errors[0].to_owned()
}

/// Runs with `--json`; answers the objects of stdout, which holds nothing else.
pub fn json(dir: &Path, arguments: &[&str]) -> Vec<Value> {
    objects(&done(dir, &[arguments, &["--json"]].concat()))
}

/// Reads one object a line.
pub fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// What a command printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `auto` where there is an adapter, else nothing, with a visible line.
pub fn adapter() -> Option<&'static str> {
    match wgrad::gpu::Gpu::shared() {
        Ok(_) => Some("auto"),
        Err(error) => {
            assert!(std::env::var("WGRAD_REQUIRE_GPU").as_deref() != Ok("1"), "WGRAD_REQUIRE_GPU=1, but {error}");
            println!("skipped: no GPU adapter ({error})");
            None
        }
    }
}

/// A network for the data of [`workplace`].
pub const TINY: &str = r#"
name = "tiny"
inputs = [{ name = "image", shape = [8, 8, 1] }]

[[layers]]
name = "conv"
type = "conv2d"
channels = 4
kernel = [3, 3]
bias = false

[[layers]]
name = "bn"
type = "batch_norm2d"

[[layers]]
name = "relu"
type = "relu"

[[layers]]
name = "flat"
type = "flatten"

[[layers]]
name = "head"
type = "linear"
units = 10
"#;

/// An empty directory with a tiny network, `tiny.toml`, and a tiny data set, `idx`: images of one bright row, whose
/// number is the class.
pub fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tiny.toml"), TINY).unwrap();
    let data = dir.path().join("idx");
    std::fs::create_dir(&data).unwrap();
    for (split, count) in [("train", 70u32), ("t10k", 30)] {
        let mut images = [0x803, count, 8, 8].map(u32::to_be_bytes).concat();
        let mut labels = [0x801, count].map(u32::to_be_bytes).concat();
        for index in 0..count {
            let class = index * 7 % 8;
            labels.push(class as u8);
            images.extend((0..64).map(|place| if place / 8 == class { 200 + (index % 50) as u8 } else { 0 }));
        }
        std::fs::write(data.join(format!("{split}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(data.join(format!("{split}-labels-idx1-ubyte")), labels).unwrap();
    }
    dir
}

/// A picture for the network [`TINY`], four times as large, with a bright row.
pub fn picture(dir: &Path, row: u32, name: &str) {
    let bright = |_, y| image::Luma([if y / 4 == row { 220u8 } else { 0 }]);
    image::GrayImage::from_fn(32, 32, bright).save(dir.join(name)).unwrap();
}

/// The options of a training of a moment.
pub const QUICK: [&str; 9] = ["train", "--network", "tiny.toml", "--data", "idx", "--batch", "16", "--device", "cpu"];

/// `QUICK` with more options.
pub fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&QUICK, more].concat()
}
