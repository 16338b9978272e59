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
use crate::kernels::{self, Lowered, Problem, variants};
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
/// earlier graph, from the cache directory, or by asking its quick cases now. Kernels behind the one that will run are not asked.
pub fn certify(device: &Device, graphs: &[Graph], options: Options) -> Result<()> {
    let Device::Gpu(gpu) = device else { return Ok(()) };
    preference::recall(gpu, graphs);
    certify_wanted(gpu, graphs, |op, problem| unproven(gpu, op, problem, options))
}

/// The same for those variants of each node that are wanted: of what is known so far, and again whenever more is.
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

/// The same for one variant of an operator.
pub fn certify_kernel(gpu: &Gpu, op: &Op, variant: &'static str) -> Result<()> {
    let kernel = (op.name(), variant);
    if gpu.trust().policy == Policy::All || !is_unknown(gpu, kernel) {
        return Ok(());
    }
    prove(gpu, &BTreeSet::from([kernel]))
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
    let mut all = Vec::new();
    for case in cases {
        let specs: Vec<_> = case.operands.iter().map(|operand| operand.spec.clone()).collect();
        let outputs = case.op.infer(&specs)?;
        let caps = case.caps(gpu.caps());
        let problem = Problem { inputs: &specs, outputs: &outputs, caps: &caps };
        // What the variant does not serve is not asked either.
        let Some(variant) = variants(&case.op, &problem).into_iter().find(|name| *name == variant) else { continue };
        all.push(kernels::lower(&case.op, &problem, variant)?);
    }
    Ok(all)
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
    use crate::kernels::BASELINE;
    use crate::ops::Conv2d;
    use crate::tensor::Spec;

    #[test]
    fn every_operator_has_a_quick_case() {
        let name = |case: Case| case.op.name();
        let all: BTreeSet<_> = sweep::cases(Depth::Full, &Caps::DEFAULT).into_iter().map(name).collect();
        let quick: BTreeSet<_> = sweep::cases(Depth::Quick, &Caps::DEFAULT).into_iter().map(name).collect();
        assert_eq!(all, quick);
    }

    #[test]
    fn what_stands_behind_a_kernel_that_is_right_is_not_asked() {
        let (op, mut graph) = (Op::from(Conv2d::default()), Graph::new());
        let inputs = [Spec::f32([2, 8, 8, 8]), Spec::f32([3, 3, 8, 8])];
        let operands = inputs.clone().map(|spec| graph.persistent(&format!("{:?}", spec.shape), spec));
        graph.apply("conv", op.clone(), &operands).unwrap();
        for wrong in 0..2 {
            // A device that nobody else asks.
            let Ok(gpu) = Gpu::shared().and_then(|gpu| gpu.another()) else { return println!("skipped: no adapter") };
            let outputs = op.infer(&inputs).unwrap();
            let order = variants(&op, &Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() });
            let proof = |variant: &str| gpu.proof(&kernel_name(op.name(), variant));
            for variant in &order[..wrong] {
                let proof = Proof { right: false, unchecked: false, checks_alone: false };
                gpu.note(&kernel_name(op.name(), variant), proof);
            }
            certify(&Device::Gpu(gpu.clone()), std::slice::from_ref(&graph), Options::default()).unwrap();
            assert!(proof(order[wrong]).is_some_and(|proof| proof.right));
            assert!(order[wrong + 1..].iter().all(|variant| proof(variant).is_none()), "{order:?}");
            if !order[..=wrong].contains(&BASELINE) {
                certify_kernel(&gpu, &op, BASELINE).unwrap();
                assert!(proof(BASELINE).is_some_and(|proof| proof.right));
            }
        }
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
