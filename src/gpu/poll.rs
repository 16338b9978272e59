//! The one thread of a native device that waits for the GPU and thereby wakes the futures of those who read from it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Gpu;
use crate::error::{Error, Result};

/// What the thread is asked to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    /// Nothing.
    Rest,
    /// Something is on its way: wait for it.
    Poll,
    /// The device is no longer used: let go of it.
    End,
}

struct State {
    request: Mutex<Request>,
    wake: Condvar,
}

/// Wakes the poll thread; when this is dropped the thread ends, and is waited for: a process whose main function returns
/// while the thread is still inside the driver may crash, since the driver is torn down then.
pub(super) struct Poller {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    pub(super) fn start(device: wgpu::Device) -> Self {
        let state = Arc::new(State { request: Mutex::new(Request::Rest), wake: Condvar::new() });
        let theirs = state.clone();
        let spawned = std::thread::Builder::new().name("wgrad-poll".into()).spawn(move || run(&device, &theirs));
        let thread = spawned.inspect_err(|error| tracing::error!("the poll thread did not start: {error}")).ok();
        Self { state, thread }
    }

    /// Something is on its way: wait for it.
    pub(super) fn wake(&self) {
        self.ask(Request::Poll);
    }

    fn ask(&self, request: Request) {
        *self.state.request.lock().unwrap_or_else(PoisonError::into_inner) = request;
        self.state.wake.notify_one();
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.ask(Request::End);
        // A callback runs on the thread itself, which cannot wait for itself.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            drop(thread.join());
        }
    }
}

impl Gpu {
    /// Blocks until everything that was submitted so far is done.
    pub fn wait(&self) -> Result<()> {
        let waited = self.device().poll(wgpu::PollType::wait_indefinitely());
        waited.map_err(|error| Error::Gpu(format!("waiting for it failed ({error})")))?;
        self.check()
    }
}

fn run(device: &wgpu::Device, state: &State) {
    loop {
        let asked = state.request.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked =
            state.wake.wait_while(asked, |request| *request == Request::Rest).unwrap_or_else(PoisonError::into_inner);
        if *asked == Request::End {
            return;
        }
        *asked = Request::Rest;
        drop(asked);
        if let Err(error) = device.poll(wgpu::PollType::wait_indefinitely()) {
            tracing::error!("waiting for the GPU failed: {error}");
        }
    }
}
