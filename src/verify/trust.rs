//! Trusted because verified: a kernel is used on an adapter only after its quick cases passed there.
//!
//! The verdict is remembered in the user's cache directory under adapter, driver, wgpu's version and a hash of the composed
//! shaders, sources and tile constants alike: a new driver or a changed shader is asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::case::{Case, Depth};
use super::sweep;
use super::trial::{Passes, Settings, Verdict, ask};
use crate::error::{Error, Result};
use crate::format::{cache, write_atomic};
use crate::gpu::compose::compose;
use crate::gpu::{Gpu, Policy, Proof};
use crate::graph::Graph;
use crate::kernels::{self, BASELINE, Problem, variants};
use crate::ops::Operator;
use crate::session::gpu::kernel_name;
use crate::session::{Device, Options, Session};

/// The file of verdicts in the cache directory.
const FILE: &str = "verdicts.json";

/// Builds a session from kernels that are proven on the device; see [`certify`].
pub fn session(device: &Device, graphs: Vec<Graph>, options: Options) -> Result<Session> {
    certify(device, &graphs)?;
    Session::new(device, graphs, options)
}

/// Makes sure that of every kernel which these graphs may use it is known whether it is right on this device: from an
/// earlier graph, from the cache directory, or by asking its quick cases now.
pub fn certify(device: &Device, graphs: &[Graph]) -> Result<()> {
    let Device::Gpu(gpu) = device else { return Ok(()) };
    let trust = gpu.trust();
    if trust.policy == Policy::All || (trust.policy == Policy::Baseline && trust.checked) {
        return Ok(());
    }
    let mut unknown: BTreeSet<(&'static str, &'static str)> = BTreeSet::new();
    for graph in graphs {
        for node in graph.nodes() {
            let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
            let problem = Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() };
            for variant in variants(&node.op, &problem) {
                let needed =
                    variant == BASELINE && !trust.checked || variant != BASELINE && trust.policy == Policy::Proven;
                if needed && gpu.proof(&kernel_name(&node.op, variant)).is_none() {
                    unknown.insert((node.op.name(), variant));
                }
            }
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    prove(gpu, &unknown)
}

/// Notes a proof for each of these kernels, remembered ones first.
fn prove(gpu: &Gpu, unknown: &BTreeSet<(&'static str, &'static str)>) -> Result<()> {
    let quick = sweep::cases(Depth::Quick, gpu.caps());
    let file = cache::directory().map(|folder| folder.join(FILE));
    let mut remembered = file.as_deref().map(read).unwrap_or_default();
    let mut asked: Vec<Asked> = Vec::new();
    for &(op, variant) in unknown {
        let fits = |case: &&Case| case.op.name() == op && case.variant.is_none_or(|only| only == variant);
        let cases: Vec<Case> = quick.iter().filter(fits).map(|case| case.clone().only(variant)).collect();
        let key = key(gpu, op, variant, &cases)?;
        match remembered.get(&key) {
            Some(proof) => gpu.note(&format!("{op} {variant}"), *proof),
            None => asked.push(Asked { op, variant, key, cases }),
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let unchecked = wrong(gpu, &asked, Passes::Unchecked);
    let doubtful: Vec<Asked> = asked.iter().filter(|kernel| unchecked.contains_key(&kernel.name())).cloned().collect();
    let checked = wrong(gpu, &doubtful, Passes::Checked);
    gpu.check()?;
    for kernel in &asked {
        let name = kernel.name();
        let proof = Proof { right: !checked.contains_key(&name), unchecked: !unchecked.contains_key(&name) };
        if let Some(story) = checked.get(&name).or_else(|| unchecked.get(&name)) {
            let story = story.lines().next().unwrap_or_default();
            let instead = match (proof.right, kernel.variant) {
                (true, _) => "keeps its run-time checks",
                (false, BASELINE) => "is wrong on this adapter; `wgrad verify` tells more",
                (false, _) => "is wrong on this adapter and is not used",
            };
            tracing::warn!("the {} kernel of {} {instead} ({story})", kernel.variant, kernel.op);
        }
        gpu.note(&name, proof);
        remembered.insert(kernel.key.clone(), proof);
    }
    if let Some(file) = file
        && let Err(error) = write(&file, &remembered)
    {
        tracing::warn!("what was proven of this adapter's kernels cannot be remembered: {error}");
    }
    Ok(())
}

/// A kernel with the cases that prove it.
#[derive(Debug, Clone)]
struct Asked {
    op: &'static str,
    variant: &'static str,
    key: String,
    cases: Vec<Case>,
}

impl Asked {
    fn name(&self) -> String {
        format!("{} {}", self.op, self.variant)
    }
}

/// Of these kernels, those that are not proven right, with why.
fn wrong(gpu: &Gpu, kernels: &[Asked], passes: Passes) -> BTreeMap<String, String> {
    let cases: Vec<Case> = kernels.iter().flat_map(|kernel| kernel.cases.clone()).collect();
    let outcomes = ask(&Device::Gpu(gpu.clone()), &cases, &Settings { passes, ..Settings::default() }, |_| ());
    let mut passed = BTreeSet::new();
    let mut wrong = BTreeMap::new();
    for outcome in outcomes {
        let direction = if outcome.direction == "forward" { String::new() } else { format!("_{}", outcome.direction) };
        let name = format!("{}{direction} {}", outcome.operator, outcome.variant);
        match outcome.verdict {
            Verdict::Passed => drop(passed.insert(name)),
            Verdict::NotRun => {}
            Verdict::Failed => drop(wrong.insert(name, outcome.story.unwrap_or_default())),
        }
    }
    for kernel in kernels.iter().filter(|kernel| !passed.contains(&kernel.name())) {
        wrong.entry(kernel.name()).or_insert_with(|| "none of its quick cases could be asked".into());
    }
    wrong
}

/// Under what a verdict is remembered.
fn key(gpu: &Gpu, op: &str, variant: &str, cases: &[Case]) -> Result<String> {
    let mut texts = BTreeSet::new();
    for case in cases {
        let specs: Vec<_> = case.operands.iter().map(|operand| operand.spec.clone()).collect();
        let outputs = case.op.infer(&specs)?;
        let caps = case.caps(gpu.caps());
        let problem = Problem { inputs: &specs, outputs: &outputs, caps: &caps };
        let Some(variant) = kernels::names().into_iter().find(|name| *name == variant) else { continue };
        for dispatch in kernels::lower(&case.op, &problem, variant)?.dispatches {
            texts.insert(compose(&dispatch.module)?.text);
        }
    }
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let mut digest = String::new();
    for byte in &hash.finalize()[..16] {
        let _ = write!(digest, "{byte:02x}");
    }
    let adapter = gpu.adapter();
    let (name, backend, driver) = (&adapter.name, &adapter.backend, &adapter.driver);
    Ok(format!("{name} | {backend} | {driver} | wgpu {} | {op} {variant} | {digest}", crate::gpu::WGPU_VERSION))
}

/// What is remembered. A file that is missing, damaged or of another version is none: everything is asked again.
fn read(file: &Path) -> BTreeMap<String, Proof> {
    std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write(file: &Path, verdicts: &BTreeMap<String, Proof>) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    }
    // Another process may have remembered something meanwhile.
    let mut all = read(file);
    all.extend(verdicts.iter().map(|(key, proof)| (key.clone(), *proof)));
    let text = serde_json::to_vec_pretty(&all).map_err(|error| Error::file(file, error))?;
    write_atomic(file, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Caps;

    #[test]
    fn every_operator_has_a_quick_case() {
        let name = |case: Case| case.op.name();
        let all: BTreeSet<_> = sweep::cases(Depth::Full, &Caps::DEFAULT).into_iter().map(name).collect();
        let quick: BTreeSet<_> = sweep::cases(Depth::Quick, &Caps::DEFAULT).into_iter().map(name).collect();
        assert_eq!(all, quick);
    }

    #[test]
    fn a_damaged_file_of_verdicts_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, "{ not json").unwrap();
        assert!(read(&file).is_empty());
        let proof = Proof { right: true, unchecked: false };
        write(&file, &BTreeMap::from([("a".to_owned(), proof)])).unwrap();
        write(&file, &BTreeMap::from([("b".to_owned(), proof)])).unwrap();
        assert_eq!(read(&file).len(), 2);
    }
}
