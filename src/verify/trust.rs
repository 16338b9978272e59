//! Trusted because verified: a kernel is used on an adapter only after its quick cases passed there.
//!
//! The verdict is remembered in the user's cache directory under adapter, driver, the versions of wgrad and wgpu, and a hash of
//! what the quick cases run: a new driver or a changed kernel is asked again.

mod asking;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use self::asking::Asked;
use super::case::{Case, Depth};
use super::{preference, sweep};
use crate::error::{Error, Result};
use crate::format::{cache, write_atomic};
use crate::gpu::compose::compose;
use crate::gpu::{Gpu, Module, Policy, Proof};
use crate::graph::Graph;
use crate::kernels::{self, BASELINE, Lowered, Problem};
use crate::ops::{Op, Operator};
use crate::session::gpu::{kernel_name, unproven};
use crate::session::{Device, Options, Session};

/// The file of verdicts in the cache directory.
const FILE: &str = "verdicts.json";

/// Builds a session from kernels that are proven on the device; see [`certify`].
pub fn session(device: &Device, graphs: Vec<Graph>, options: Options) -> Result<Session> {
    certify(device, &graphs, options)?;
    Session::new(device, graphs, options)
}

/// Makes sure that of every kernel on which a plan of these graphs depends it is known whether it is right on this device: from an
/// earlier graph, from the cache directory, or by asking its quick cases now. Variants between the one that will run and the baseline are not asked.
pub fn certify(device: &Device, graphs: &[Graph], options: Options) -> Result<()> {
    let Device::Gpu(gpu) = device else { return Ok(()) };
    preference::recall(gpu, graphs);
    // Baselines too: they need no proof to run, but do not run where they are known to be wrong, and their cases prove programs that
    // others share with them.
    certify_wanted(gpu, graphs, |op, problem| {
        Ok([Some(BASELINE), unproven(gpu, op, problem, options)?].into_iter().flatten())
    })
}

/// The same for those variants of each node that are wanted, which is asked again after each round until it names nothing new.
pub fn certify_wanted<W>(gpu: &Gpu, graphs: &[Graph], wanted: impl Fn(&Op, &Problem) -> Result<W>) -> Result<()>
where
    W: IntoIterator<Item = &'static str>,
{
    if gpu.trust().policy == Policy::All {
        return Ok(());
    }
    let mut asked = BTreeSet::new();
    loop {
        let mut unknown = BTreeSet::new();
        for (graph, node) in graphs.iter().flat_map(|graph| graph.nodes().iter().map(move |node| (graph, node))) {
            let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
            let problem = Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() };
            unknown.extend(wanted(&node.op, &problem)?.into_iter().map(|variant| (node.op.name(), variant)));
        }
        // Of a baseline that could not be asked nothing is known afterwards either.
        unknown.retain(|kernel| is_unknown(gpu, *kernel) && asked.insert(*kernel));
        if unknown.is_empty() {
            return Ok(());
        }
        prove(gpu, &unknown)?;
    }
}

/// The same for one variant of an operator, and its baseline.
pub fn certify_kernel(gpu: &Gpu, op: &Op, variant: &'static str) -> Result<()> {
    let mut kernels = BTreeSet::from([(op.name(), variant), (op.name(), BASELINE)]);
    kernels.retain(|kernel| is_unknown(gpu, *kernel));
    if gpu.trust().policy == Policy::All || kernels.is_empty() {
        return Ok(());
    }
    prove(gpu, &kernels)
}

/// An operator's name and a variant.
type Kernel = (&'static str, &'static str);

fn is_unknown(gpu: &Gpu, (op, variant): Kernel) -> bool {
    gpu.proof(&kernel_name(op, variant)).is_none()
}

/// Notes a proof for each of these kernels, remembered ones first.
fn prove(gpu: &Gpu, unknown: &BTreeSet<Kernel>) -> Result<()> {
    let quick = sweep::cases(Depth::Quick, gpu.caps());
    let file = cache::directory().map(|folder| folder.join(FILE));
    let remembered: BTreeMap<String, Proof> = file.as_deref().map(read).unwrap_or_default();
    let with_unchecked = !gpu.trust().checked;
    let mut asked: Vec<Asked> = Vec::new();
    for &(op, variant) in unknown {
        let fits = |case: &&Case| case.op.name() == op && case.asks(variant);
        let cases: Vec<Case> = quick.iter().filter(fits).map(|case| case.clone().only(variant)).collect();
        let (key, programs) = identity(gpu, op, variant, &cases)?;
        let kernel = Asked { op, variant, key, cases, programs };
        match remembered.get(&kernel.key) {
            // What was proven with the checks alone is asked without them when that is wanted.
            Some(&proof) if !with_unchecked || proof.unchecked || !proof.right || !proof.checks_alone => {
                if let (Some(consequence), Some(file)) = (kernel.consequence(proof, with_unchecked), &file) {
                    let (op, file) = (kernel.op, file.display());
                    tracing::warn!("{consequence}, as {file} remembers; `wgrad verify --op {op}` asks again");
                }
                kernel.note(gpu, proof)
            }
            _ => asked.push(kernel),
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let (learned, ended) = asking::ask(gpu, asked, with_unchecked);
    if let Some(file) = file
        && let Err(error) = write(&file, &learned)
    {
        tracing::warn!("what was proven of this adapter's kernels cannot be remembered: {error}");
    }
    ended
}

/// What the cases run that a variant serves.
fn lowered(gpu: &Gpu, variant: &str, cases: &[Case]) -> Result<Vec<Lowered>> {
    cases.iter().filter_map(|case| case.lowered(variant, gpu.caps()).transpose()).collect()
}

/// Under what a verdict is remembered, and the programs that it covers. The hash is over what runs: composed shaders, uniforms,
/// bindings, extents and scratch memory of the quick cases.
fn identity(gpu: &Gpu, op: &str, variant: &str, cases: &[Case]) -> Result<(String, Vec<Module>)> {
    let (mut programs, mut hash) = (Vec::new(), Sha256::new());
    for lowered in lowered(gpu, variant, cases)? {
        hash.update(format!("{lowered:?}"));
        for dispatch in lowered.dispatches {
            if !programs.contains(&dispatch.module) {
                hash.update(compose(&dispatch.module)?.text);
                programs.push(dispatch.module);
            }
        }
    }
    let mut digest = String::new();
    for byte in &hash.finalize()[..16] {
        let _ = write!(digest, "{byte:02x}");
    }
    Ok((format!("{} | {op} {variant} | {digest}", versions(gpu)), programs))
}

/// The programs that plans run without run-time checks on a device where all kernels are right: those of quick cases.
pub fn unchecked_programs(gpu: &Gpu) -> Result<HashSet<Module>> {
    let mut programs = HashSet::new();
    for case in sweep::cases(Depth::Quick, gpu.caps()) {
        for variant in kernels::known(&case.op) {
            if case.asks(variant.name) && variant.limits.refuse(gpu.caps()).is_none() {
                let lowered = lowered(gpu, variant.name, std::slice::from_ref(&case))?;
                programs.extend(lowered.into_iter().flat_map(|one| one.dispatches).map(|dispatch| dispatch.module));
            }
        }
    }
    Ok(programs)
}

/// The adapter, its driver, and the versions of what computes with it.
pub(super) fn versions(gpu: &Gpu) -> String {
    let adapter = gpu.adapter();
    let (name, backend, driver) = (&adapter.name, &adapter.backend, &adapter.driver);
    let versions = format!("wgrad {} | wgpu {}", env!("CARGO_PKG_VERSION"), crate::gpu::WGPU_VERSION);
    format!("{name} | {backend} | {driver} | {versions}")
}

/// What is remembered. A file that is missing, damaged or of another version is none: everything is asked again.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> BTreeMap<String, T> {
    std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Adds to what is remembered.
pub(super) fn write<T>(file: &Path, verdicts: &BTreeMap<String, T>) -> Result<()>
where
    T: Clone + Serialize + DeserializeOwned,
{
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    }
    // Another process may have remembered something meanwhile.
    let mut all = read(file);
    all.extend(verdicts.iter().map(|(key, verdict)| (key.clone(), verdict.clone())));
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
        assert!(read::<Proof>(&file).is_empty());
        let proof = Proof { right: true, unchecked: false, checks_alone: true };
        write(&file, &BTreeMap::from([("a".to_owned(), proof)])).unwrap();
        write(&file, &BTreeMap::from([("b".to_owned(), proof)])).unwrap();
        assert_eq!(read::<Proof>(&file).len(), 2);
    }
}
