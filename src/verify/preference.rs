//! Which kernel of several right ones is the fastest for a problem on this adapter: what `wgrad tune` measured, remembered in the
//! user's cache directory; behind that, what was measured elsewhere on adapters of the same name and driver and comes with the
//! program (`shipped_choices.toml`, which `wgrad tune --export` writes).
//!
//! A verdict stands under adapter, driver, the versions of wgrad and wgpu, the operator with its attributes and shapes, and a hash
//! of every candidate's programs: a new driver or a changed kernel is a new question, and the guess is used until it is tuned.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::trust::{read, versions, write};
use crate::error::{Error, Result};
use crate::format::{cache, write_atomic};
use crate::gpu::Gpu;
use crate::gpu::compose::compose;
use crate::graph::Graph;
use crate::kernels::{Problem, lower, variants};
use crate::ops::Op;
use crate::session::gpu::question;
use crate::tensor::Spec;

/// The file in the cache directory.
const FILE: &str = "tuned.json";
/// The choices that come with the program.
const SHIPPED: &str = include_str!("shipped_choices.toml");

/// Under what the verdict on a problem is remembered.
pub fn key(gpu: &Gpu, op: &Op, inputs: &[Spec], outputs: &[Spec]) -> String {
    let problem = Problem { inputs, outputs, caps: gpu.caps() };
    let mut hash = Sha256::new();
    for variant in variants(op, &problem) {
        // A variant that cannot be had here is none of the candidates, but why is a part of the question.
        match programs(op, &problem, variant) {
            Ok(text) => hash.update(text),
            Err(error) => hash.update(error.to_string()),
        }
    }
    let digest: String = hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} | {} | {digest}", versions(gpu), question(op, inputs))
}

/// All that a variant would run, as text.
fn programs(op: &Op, problem: &Problem, variant: &'static str) -> Result<String> {
    let lowered = lower(op, problem, variant)?;
    let mut text = format!("{lowered:?}");
    for dispatch in &lowered.dispatches {
        text.push_str(&compose(&dispatch.module)?.text);
    }
    Ok(text)
}

/// Lets a device prefer what is remembered of the nodes of these graphs.
pub fn recall(gpu: &Gpu, graphs: &[Graph]) {
    let remembered: BTreeMap<String, String> =
        cache::directory().map(|folder| read(&folder.join(FILE))).unwrap_or_default();
    // A test reads the shipped ones.
    let shipped: BTreeMap<String, String> = toml::from_str(SHIPPED).unwrap_or_default();
    if remembered.is_empty() && shipped.is_empty() {
        return;
    }
    for (graph, node) in graphs.iter().flat_map(|graph| graph.nodes().iter().map(move |node| (graph, node))) {
        let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() };
        let candidates = variants(&node.op, &problem);
        if candidates.len() < 2 || gpu.preference(&question(&node.op, &inputs)).is_some() {
            continue;
        }
        let key = key(gpu, &node.op, &inputs, &outputs);
        let found = remembered.get(&key).or_else(|| shipped.get(&key));
        if let Some(variant) = candidates.into_iter().find(|variant| found.is_some_and(|found| found == variant)) {
            gpu.prefer(&question(&node.op, &inputs), variant);
        }
    }
}

/// Remembers verdicts under their keys. Where there is no cache directory they are forgotten when the program ends.
pub fn keep(verdicts: &BTreeMap<String, String>) -> Result<()> {
    match cache::directory() {
        Some(folder) => write(&folder.join(FILE), verdicts),
        None => Ok(()),
    }
}

/// Adds choices, by their keys, to a file as it comes with the program, which need not exist yet; answers how many it holds then.
///
/// # Errors
/// [`Error::File`] where the file is none of these or cannot be written.
pub fn export(file: &Path, choices: &BTreeMap<String, String>) -> Result<usize> {
    let text = match file.exists() {
        true => std::fs::read_to_string(file).map_err(|error| Error::file(file, error))?,
        false => String::new(),
    };
    let mut all: BTreeMap<String, String> = toml::from_str(&text).map_err(|error| {
        Error::file(file, format!("is no file of choices: {}", error.message().replace('\n', ", ")))
    })?;
    all.extend(choices.iter().map(|(key, variant)| (key.clone(), variant.clone())));
    // What was written by hand above the choices stays there.
    let heading: String =
        text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let table = toml::to_string(&all).map_err(|error| Error::file(file, error))?;
    write_atomic(file, format!("{heading}{table}").as_bytes())?;
    Ok(all.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::names;

    #[test]
    fn every_choice_that_comes_with_the_program_is_a_variant() {
        let shipped: BTreeMap<String, String> = toml::from_str(SHIPPED).unwrap();
        assert!(shipped.values().all(|variant| names().contains(&variant.as_str())), "{shipped:?}");
    }

    #[test]
    fn exported_choices_join_those_that_are_there_below_the_heading() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("choices.toml");
        let choice = |key: &str, variant: &str| BTreeMap::from([(key.to_owned(), variant.to_owned())]);
        assert_eq!(export(&file, &choice("b | \"x\"", "tiled")).unwrap(), 1);
        let written = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("# Measured.\n{written}")).unwrap();
        export(&file, &choice("b | \"x\"", "baseline")).unwrap();
        assert_eq!(export(&file, &choice("a", "tiled")).unwrap(), 2);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().next(), Some("# Measured."));
        let all: BTreeMap<String, String> = toml::from_str(&text).unwrap();
        assert_eq!((all["a"].as_str(), all["b | \"x\""].as_str()), ("tiled", "baseline"));
        std::fs::write(&file, "a = 1").unwrap();
        assert!(export(&file, &BTreeMap::new()).unwrap_err().to_string().contains("is no file of choices"));
    }
}
