//! The one thread of a native device that waits for the GPU and thereby wakes the futures of those who read from it.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

#[derive(Default)]
struct State {
    work: Mutex<bool>,
    wake: Condvar,
}

/// Wakes the poll thread; the thread ends when this is dropped.
pub(super) struct Poller {
    state: Arc<State>,
}

impl Poller {
    pub(super) fn start(device: wgpu::Device) -> Self {
        let state = Arc::new(State::default());
        let weak = Arc::downgrade(&state);
        let spawned = std::thread::Builder::new().name("wgrad-poll".into()).spawn(move || run(&device, &weak));
        if let Err(error) = spawned {
            tracing::error!("the poll thread did not start: {error}");
        }
        Self { state }
    }

    /// Something is on its way: wait for it.
    pub(super) fn wake(&self) {
        *self.state.work.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.state.wake.notify_one();
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.wake();
    }
}

fn run(device: &wgpu::Device, state: &Weak<State>) {
    while let Some(state) = state.upgrade() {
        let mut work = state.work.lock().unwrap_or_else(PoisonError::into_inner);
        if !*work {
            // The timeout lets the thread notice that its device is gone.
            let pause = std::time::Duration::from_millis(200);
            work = state.wake.wait_timeout(work, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        let due = std::mem::take(&mut *work);
        drop(work);
        drop(state);
        if due && let Err(error) = device.poll(wgpu::PollType::wait_indefinitely()) {
            tracing::error!("waiting for the GPU failed: {error}");
        }
    }
}
