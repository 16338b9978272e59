//! Which kernels a device may run: what was proven of them here, and how much proof the user asks for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Gpu, Module};

/// How much proof kernels need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// A variant other than the baseline runs after it was proven on this adapter, and any kernel runs without checks after it
    /// was proven without them.
    #[default]
    Proven,
    /// The preferred variants, unproven.
    All,
    /// Baseline kernels alone.
    Baseline,
}

/// What a device is trusted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trust {
    /// How much proof kernels need.
    pub policy: Policy,
    /// Whether every kernel keeps wgpu's run-time checks.
    pub checked: bool,
}

/// What was found out about a kernel on this adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proof {
    /// Whether its answers were right, with the checks or without.
    pub right: bool,
    /// Whether they were right, and nothing else was touched, without wgpu's run-time checks.
    pub unchecked: bool,
    /// Whether it was asked with the checks alone, since that was wanted.
    pub checks_alone: bool,
}

/// How far the proof of kernels on a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proving {
    /// Kernels that were asked.
    pub done: usize,
    /// Kernels to ask.
    pub all: usize,
}

/// Who hears of it.
type Listener = Arc<dyn Fn(Proving) + Send + Sync>;

/// The trust in a device and the proofs on which it rests; see the methods of [`Gpu`].
#[derive(Default)]
pub(super) struct Register {
    trust: Mutex<Trust>,
    proofs: Mutex<HashMap<String, Proof>>,
    /// Programs that were right without run-time checks.
    unchecked: Mutex<HashSet<Module>>,
    /// The fastest kernel of a problem, where somebody measured.
    preferred: Mutex<HashMap<String, &'static str>>,
    listener: Mutex<Option<Listener>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// What the device is trusted with.
    pub fn trust(&self) -> Trust {
        *locked(&self.register().trust)
    }

    /// Trusts the device with more, or less, for the sessions built from now on.
    pub fn set_trust(&self, trust: Trust) {
        *locked(&self.register().trust) = trust;
    }

    /// What is known of a kernel, by the name that [`Gpu::note`] was given.
    pub fn proof(&self, kernel: &str) -> Option<Proof> {
        locked(&self.register().proofs).get(kernel).copied()
    }

    /// Whether a program was proven without run-time checks.
    pub fn runs_unchecked(&self, program: &Module) -> bool {
        locked(&self.register().unchecked).contains(program)
    }

    /// Notes programs that were proven without run-time checks.
    pub fn note_unchecked(&self, programs: impl IntoIterator<Item = Module>) {
        locked(&self.register().unchecked).extend(programs);
    }

    /// Notes what was found out about a kernel.
    pub fn note(&self, kernel: &str, proof: Proof) {
        locked(&self.register().proofs).insert(kernel.to_owned(), proof);
    }

    /// The kernel that was measured to be the fastest for a problem, by the name that [`Gpu::prefer`] was given.
    pub fn preference(&self, question: &str) -> Option<&'static str> {
        locked(&self.register().preferred).get(question).copied()
    }

    /// Lets the sessions built from now on compute a problem with this kernel, if it is right there.
    pub fn prefer(&self, question: &str, variant: &'static str) {
        locked(&self.register().preferred).insert(question.to_owned(), variant);
    }

    /// Lets somebody hear how far proofs on this device are, which take a while where its driver compiles slowly: before the first kernel
    /// of several, after each few of them, and at the end, where as many as there are count as asked. It is told from other threads.
    pub fn on_proof(&self, listener: impl Fn(Proving) + Send + Sync + 'static) {
        *locked(&self.register().listener) = Some(Arc::new(listener));
    }

    /// Tells who wants to hear of it.
    pub fn tell(&self, proving: Proving) {
        let listener = locked(&self.register().listener).clone();
        if let Some(listener) = listener {
            listener(proving);
        }
    }
}
