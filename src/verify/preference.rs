//! Which kernel of several right ones is the fastest for a problem on this adapter: what `wgrad tune` measured, remembered in the
//! user's cache directory.
//!
//! A verdict stands under adapter, driver, the versions of wgrad and wgpu, the operator with its attributes and shapes, and a hash
//! of every candidate's programs: a new driver or a changed kernel is a new question, and the guess is used until it is tuned.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::trust::{read, versions, write};
use crate::error::Result;
use crate::format::cache;
use crate::gpu::Gpu;
use crate::gpu::compose::compose;
use crate::graph::Graph;
use crate::kernels::{Problem, lower, variants};
use crate::ops::Op;
use crate::session::gpu::question;
use crate::tensor::Spec;

/// The file in the cache directory.
const FILE: &str = "tuned.json";

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
    if remembered.is_empty() {
        return;
    }
    for (graph, node) in graphs.iter().flat_map(|graph| graph.nodes().iter().map(move |node| (graph, node))) {
        let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() };
        let candidates = variants(&node.op, &problem);
        if candidates.len() < 2 || gpu.preference(&question(&node.op, &inputs)).is_some() {
            continue;
        }
        let found = remembered.get(&key(gpu, &node.op, &inputs, &outputs));
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
