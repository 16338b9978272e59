//! Asking the quick cases of kernels, in an order and on devices that tell which kernel it was where one of them does harm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::gpu::{Gpu, Module, Proof, Proving};
use crate::kernels::BASELINE;
use crate::session::Device;
use crate::session::gpu::kernel_name;
use crate::verify::case::{Case, join};
use crate::verify::trial::{self, Passes, Settings, Verdict};

/// The most devices that are opened on an adapter at once.
const MOST_DEVICES: usize = 8;

/// What is learned on the way, of kernels that will run on a device.
struct Notes<'a> {
    gpu: &'a Gpu,
    learned: Mutex<BTreeMap<String, Proof>>,
    done: AtomicUsize,
    all: usize,
}

impl Notes<'_> {
    fn learn(&self, kernel: &Asked, proof: Proof) {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).insert(kernel.key.clone(), proof);
    }

    fn advance(&self, kernels: usize) {
        let done = self.done.fetch_add(kernels, Ordering::Relaxed) + kernels;
        self.gpu.tell(Proving { done, all: self.all });
    }
}

/// Asks all of these, notes on the device what is found out, and answers what to remember of it, even where it ended early.
pub(super) fn ask(gpu: &Gpu, kernels: Vec<Asked>, with_unchecked: bool) -> (BTreeMap<String, Proof>, Result<()>) {
    let all = kernels.len();
    let notes = Notes { gpu, learned: Mutex::default(), done: AtomicUsize::new(0), all };
    notes.advance(0);
    let helpers = helpers(gpu, all);
    // Fast kernels one after the other: where one of them loses its device, it is known which one it was.
    let (baselines, fast): (Vec<_>, Vec<_>) = kernels.into_iter().partition(|kernel| kernel.variant == BASELINE);
    // For several devices they are dealt out, the baselines too.
    let together = if helpers.is_empty() { baselines.len().max(1) } else { 1 };
    let fast = fast.into_iter().map(|kernel| vec![kernel]);
    let groups: Vec<_> = baselines.chunks(together).map(<[Asked]>::to_vec).chain(fast).collect();
    let (groups, ended) = (Mutex::new(groups.into_iter()), Mutex::new(Ok(())));
    let work = |gpu: &Gpu| {
        loop {
            let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).next();
            let over = || ended.lock().unwrap_or_else(PoisonError::into_inner).is_err();
            let Some(group) = (if over() { None } else { next() }) else { return };
            if let Err(error) = ask_group(gpu, &group, with_unchecked, &notes) {
                let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                // The first one is the cause of the others, if any is.
                if ended.is_ok() {
                    *ended = Err(error);
                }
            }
        }
    };
    if helpers.is_empty() {
        work(gpu);
    } else {
        std::thread::scope(|scope| {
            for gpu in [gpu].into_iter().chain(&helpers) {
                scope.spawn(move || alone(|| work(gpu)));
            }
        });
    }
    // Where it ended early too: nothing more follows.
    gpu.tell(Proving { done: all, all });
    let learned = notes.learned.into_inner().unwrap_or_else(PoisonError::into_inner);
    (learned, ended.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// More devices on an adapter that computes on the processor. Its driver compiles a kernel when it first runs, which is most of what
/// a proof takes, and on one thread a device. On a GPU they would wait for each other, and one that hangs takes all of them with it;
/// under DX12 and GL they are one device behind several names.
fn helpers(gpu: &Gpu, kernels: usize) -> Vec<Gpu> {
    if !gpu.caps().cpu || gpu.adapter().backend != "vulkan" {
        return Vec::new();
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let more = threads.min(kernels).min(MOST_DEVICES).saturating_sub(1);
    // A device that does not open is no failure: the others do its work.
    (0..more).map_while(|_| gpu.another().ok()).collect()
}

/// Runs this in a pool of its own: cases that wait for one device must not keep those of another from starting.
fn alone(work: impl FnOnce() + Send) {
    match rayon::ThreadPoolBuilder::new().num_threads(2).build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// Asks kernels together on this device and notes what is learned of them. A device that is lost on the way is of no use any more;
/// where one fast kernel was asked alone, the next start leaves it out.
fn ask_group(gpu: &Gpu, group: &[Asked], with_unchecked: bool, notes: &Notes) -> Result<()> {
    // With the checks first: on an adapter that nobody knows, a kernel that is wrong must not do harm.
    let checked = ask_all(gpu, group, Passes::Checked);
    let right: Vec<Asked> = group.iter().filter(|kernel| checked.passed(kernel)).cloned().collect();
    let unchecked = if with_unchecked { ask_all(gpu, &right, Passes::Unchecked) } else { Answers::default() };
    if let Err(lost) = gpu.check() {
        let [kernel] = group else { return Err(lost) };
        if kernel.variant != BASELINE {
            notes.learn(kernel, Proof { right: false, unchecked: false, checks_alone: false });
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
            kernel.note(notes.gpu, proof);
        }
        if answered {
            notes.learn(kernel, proof);
        }
    }
    notes.advance(group.len());
    Ok(())
}

/// A kernel with the cases that prove it, and the programs that these run.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) op: &'static str,
    pub(super) variant: &'static str,
    /// Under what the verdict is remembered.
    pub(super) key: String,
    pub(super) cases: Vec<Case>,
    pub(super) programs: Vec<Module>,
}

impl Asked {
    fn name(&self) -> String {
        kernel_name(self.op, self.variant)
    }

    /// What follows for this kernel, where something does.
    pub(super) fn consequence(&self, proof: Proof, with_unchecked: bool) -> Option<String> {
        let what = match (proof.right, proof.unchecked || !with_unchecked) {
            (true, true) => return None,
            (true, false) => "keeps its run-time checks on this adapter",
            (false, _) => "is wrong on this adapter and is not used",
        };
        Some(format!("the {} kernel of {} {what}", self.variant, self.op))
    }

    pub(super) fn note(&self, gpu: &Gpu, proof: Proof) {
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
    for outcome in trial::ask(&Device::Gpu(gpu.clone()), &cases, &Settings { passes, ..Settings::default() }, |_| ()) {
        let name = kernel_name(&join(&outcome.operator, &outcome.direction), &outcome.variant);
        match outcome.verdict {
            Verdict::Passed => drop(answers.right.insert(name)),
            Verdict::NotRun => {}
            Verdict::Failed => drop(answers.wrong.insert(name, outcome.story.unwrap_or_default())),
        }
    }
    answers
}
