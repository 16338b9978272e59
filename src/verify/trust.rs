//! Trusted because verified: a kernel is used on an adapter only after its quick cases passed there.
//!
//! The verdict is remembered in the user's cache directory under adapter, driver, the versions of wgrad and wgpu, and a hash of
//! what the quick cases run: a new driver or a changed kernel is asked again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::case::{Case, Depth, join};
use super::trial::{Passes, Settings, Verdict, ask};
use super::{preference, sweep};
use crate::error::{Error, Result};
use crate::format::{cache, write_atomic};
use crate::gpu::compose::compose;
use crate::gpu::{Gpu, Module, Policy, Proof};
use crate::graph::Graph;
use crate::kernels::{self, BASELINE, Lowered, Problem, variants};
use crate::ops::Operator;
use crate::session::gpu::{kernel_name, question};
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
    certify_of(device, graphs, |preferred, all| {
        // A plan never comes to what stands behind the baseline, unless it was measured to be the fastest.
        let last = all.iter().position(|variant| *variant == BASELINE).map_or(0, |last| last + 1);
        let tuned = all[last..].iter().filter(|variant| Some(**variant) == preferred);
        all[..last].iter().chain(tuned).copied().collect()
    })
}

/// The same for every kernel that could compute a node, for those that want to compare them.
pub fn certify_all(device: &Device, graphs: &[Graph]) -> Result<()> {
    certify_of(device, graphs, |_, all| all.to_vec())
}

/// Makes sure of those kernels that `wanted` takes of all for a node, of which one may be preferred.
fn certify_of(
    device: &Device,
    graphs: &[Graph],
    wanted: impl Fn(Option<&'static str>, &[&'static str]) -> Vec<&'static str>,
) -> Result<()> {
    let Device::Gpu(gpu) = device else { return Ok(()) };
    let trust = gpu.trust();
    preference::recall(gpu, graphs);
    if trust.policy == Policy::All {
        return Ok(());
    }
    let mut unknown: BTreeSet<(&'static str, &'static str)> = BTreeSet::new();
    for graph in graphs {
        for node in graph.nodes() {
            let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
            let problem = Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() };
            let preferred = gpu.preference(&question(&node.op, &inputs));
            for variant in wanted(preferred, &variants(&node.op, &problem)) {
                // The baseline too: it need not be proven to run, but does not run where it is known to be wrong.
                let needed = variant == BASELINE || trust.policy == Policy::Proven;
                if needed && gpu.proof(&kernel_name(node.op.name(), variant)).is_none() {
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
    // Fast kernels one after the other: where one of them loses the device, it is known which one it was.
    let (baselines, fast): (Vec<_>, Vec<_>) = asked.into_iter().partition(|kernel| kernel.variant == BASELINE);
    let groups = [baselines].into_iter().chain(fast.into_iter().map(|kernel| vec![kernel]));
    let (mut learned, mut ended) = (BTreeMap::new(), Ok(()));
    for group in groups {
        ended = ask_group(gpu, &group, with_unchecked, &mut learned);
        if ended.is_err() {
            break;
        }
    }
    if let Some(file) = file
        && let Err(error) = write(&file, &learned)
    {
        tracing::warn!("what was proven of this adapter's kernels cannot be remembered: {error}");
    }
    ended
}

/// Asks kernels together and notes what is learned of them. A device that is lost on the way is of no use any more; where one
/// fast kernel was asked alone, the next start leaves it out.
fn ask_group(gpu: &Gpu, group: &[Asked], with_unchecked: bool, learned: &mut BTreeMap<String, Proof>) -> Result<()> {
    // With the checks first: on an adapter that nobody knows, a kernel that is wrong must not do harm.
    let checked = ask_all(gpu, group, Passes::Checked);
    let right: Vec<Asked> = group.iter().filter(|kernel| checked.passed(kernel)).cloned().collect();
    let unchecked = if with_unchecked { ask_all(gpu, &right, Passes::Unchecked) } else { Answers::default() };
    if let Err(lost) = gpu.check() {
        let [kernel] = group else { return Err(lost) };
        if kernel.variant != BASELINE {
            learned.insert(kernel.key.clone(), Proof { right: false, unchecked: false, checks_alone: false });
            tracing::warn!("{} was lost by the {} kernel of {}", gpu.adapter().name, kernel.variant, kernel.op);
        }
        return Err(lost);
    }
    for kernel in group {
        let proof =
            Proof { right: checked.passed(kernel), unchecked: unchecked.passed(kernel), checks_alone: !with_unchecked };
        let answered = checked.passed(kernel) || checked.wrong.contains_key(&kernel.name());
        if let Some(story) = checked.wrong.get(&kernel.name()).or_else(|| unchecked.wrong.get(&kernel.name())) {
            let story = story.lines().next().unwrap_or_default();
            let consequence = kernel.consequence(proof, with_unchecked).unwrap_or_default();
            tracing::warn!("{consequence} ({story}); `wgrad verify --op {}` tells more", kernel.op);
        }
        // That nothing could be asked, for want of memory perhaps, says nothing: a baseline then runs with its checks.
        if answered || kernel.variant != BASELINE {
            kernel.note(gpu, proof);
        }
        if answered {
            learned.insert(kernel.key.clone(), proof);
        }
    }
    Ok(())
}

/// A kernel with the cases that prove it, and the programs that these run.
#[derive(Debug, Clone)]
struct Asked {
    op: &'static str,
    variant: &'static str,
    key: String,
    cases: Vec<Case>,
    programs: Vec<Module>,
}

impl Asked {
    fn name(&self) -> String {
        kernel_name(self.op, self.variant)
    }

    /// What follows for this kernel, where something does.
    fn consequence(&self, proof: Proof, with_unchecked: bool) -> Option<String> {
        let what = match (proof.right, proof.unchecked || !with_unchecked) {
            (true, true) => return None,
            (true, false) => "keeps its run-time checks on this adapter",
            (false, _) => "is wrong on this adapter and is not used",
        };
        Some(format!("the {} kernel of {} {what}", self.variant, self.op))
    }

    fn note(&self, gpu: &Gpu, proof: Proof) {
        gpu.note(&self.name(), proof);
        if proof.unchecked {
            gpu.note_unchecked(self.programs.iter().cloned());
        }
    }
}

/// What became of kernels.
#[derive(Debug, Default)]
struct Answers {
    right: BTreeSet<String>,
    wrong: BTreeMap<String, String>,
}

impl Answers {
    /// At least one case passed, and none failed.
    fn passed(&self, kernel: &Asked) -> bool {
        let name = kernel.name();
        self.right.contains(&name) && !self.wrong.contains_key(&name)
    }
}

fn ask_all(gpu: &Gpu, kernels: &[Asked], passes: Passes) -> Answers {
    let cases: Vec<Case> = kernels.iter().flat_map(|kernel| kernel.cases.clone()).collect();
    let mut answers = Answers::default();
    for outcome in ask(&Device::Gpu(gpu.clone()), &cases, &Settings { passes, ..Settings::default() }, |_| ()) {
        let name = kernel_name(&join(&outcome.operator, &outcome.direction), &outcome.variant);
        match outcome.verdict {
            Verdict::Passed => drop(answers.right.insert(name)),
            Verdict::NotRun => {}
            Verdict::Failed => drop(answers.wrong.insert(name, outcome.story.unwrap_or_default())),
        }
    }
    answers
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
