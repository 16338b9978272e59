//! When things happen: timestamps that the device writes round passes, what of them can be believed, and the host's own time.
//!
//! Some drivers answer timestamps that cannot be: never written, running backwards, far apart. So what is read is held against
//! the host's clock, which saw the submission begin and end; what does not fit in between is no measurement.

use futures_intrusive::channel::shared::oneshot_channel;

use super::Gpu;
use crate::error::{Error, Result};

/// A stretch of time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its beginning, after a moment that whoever gives it names.
    pub start: f64,
    /// How long it lasts.
    pub seconds: f64,
}

impl Interval {
    /// Between two moments.
    pub fn between(start: f64, end: f64) -> Self {
        Self { start, seconds: end - start }
    }

    /// The moment after it.
    pub fn end(self) -> f64 {
        self.start + self.seconds
    }
}

/// Intervals whose both ends fit in one set of queries.
const PER_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Measures passes with the device's own clock.
pub struct Stopwatch {
    sets: Vec<wgpu::QuerySet>,
    ticks: wgpu::Buffer,
    intervals: usize,
    period: f64,
}

impl Stopwatch {
    /// For so many passes; `None` where the device has no timestamps.
    pub fn new(gpu: &Gpu, intervals: usize) -> Option<Self> {
        let period = tick(gpu)?;
        let set = |first: usize| {
            let count = 2 * PER_SET.min(intervals - first) as u32;
            let label = Some("timestamps");
            gpu.device().create_query_set(&wgpu::QuerySetDescriptor { label, ty: wgpu::QueryType::Timestamp, count })
        };
        let ticks = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: (16 * intervals).max(16) as u64,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Some(Self { sets: (0..intervals).step_by(PER_SET).map(set).collect(), ticks, intervals, period })
    }

    /// Nanoseconds of a tick.
    pub fn period(&self) -> f64 {
        self.period
    }

    /// What pass number `index` writes.
    pub fn interval(&self, index: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * (index % PER_SET) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[index / PER_SET],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Records, after the passes, that their ticks become bytes; answers where: a source for [`super::readback::Staging`].
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) -> (&wgpu::Buffer, u64, u64) {
        for (number, set) in self.sets.iter().enumerate() {
            let count = 2 * PER_SET.min(self.intervals - number * PER_SET) as u32;
            encoder.resolve_query_set(set, 0..count, &self.ticks, (number * PER_SET * 16) as u64);
        }
        (&self.ticks, 0, self.ticks.size())
    }

    /// What was read, interval by interval: see [`plausible`].
    pub fn read(&self, bytes: &[u8], wall: f64) -> Vec<Option<Interval>> {
        let words: Vec<u64> = bytemuck::pod_collect_to_vec(bytes);
        let ticks: Vec<[u64; 2]> = words.chunks_exact(2).take(self.intervals).map(|pair| [pair[0], pair[1]]).collect();
        plausible(&ticks, self.period, wall)
    }
}

/// Nanoseconds of a tick of the device's clock; `None` where it has no timestamps.
pub fn tick(gpu: &Gpu) -> Option<f64> {
    let period = f64::from(gpu.queue().get_timestamp_period());
    (gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) && period > 0.0).then_some(period)
}

/// How much faster than the host's clock a device's may run.
const DRIFT: f64 = 1.02;

/// Ticks as seconds after the first of them, each only where it can be: written, not ending before it begins, and all together
/// no longer than the `wall` seconds that the host saw them take.
pub fn plausible(ticks: &[[u64; 2]], period_ns: f64, wall: f64) -> Vec<Option<Interval>> {
    let most = wall * DRIFT / (period_ns * 1e-9);
    let possible = |&[begin, end]: &[u64; 2]| begin > 0 && end >= begin && (end - begin) as f64 <= most;
    let mut begins: Vec<u64> = ticks.iter().filter(|pair| possible(pair)).map(|pair| pair[0]).collect();
    begins.sort_unstable();
    // One that lies far from all others must not become the beginning.
    let Some(&middle) = begins.get(begins.len() / 2) else { return vec![None; ticks.len()] };
    let near = |pair: &&[u64; 2]| possible(pair) && pair[0].abs_diff(middle) as f64 <= most;
    let (first, last) = ticks.iter().filter(near).fold((u64::MAX, 0), |(a, b), pair| (a.min(pair[0]), b.max(pair[1])));
    if last.saturating_sub(first) as f64 > most {
        return vec![None; ticks.len()];
    }
    let seconds = |ticks: u64| ticks as f64 * period_ns * 1e-9;
    let interval = |pair: &[u64; 2]| Interval { start: seconds(pair[0] - first), seconds: seconds(pair[1] - pair[0]) };
    ticks.iter().map(|pair| near(&pair).then(|| interval(pair))).collect()
}

/// Waits until the device has done all that was submitted.
pub async fn done(gpu: &Gpu) -> Result<()> {
    let (sender, arrived) = oneshot_channel();
    // Who no longer waits need not be told.
    gpu.queue().on_submitted_work_done(move || drop(sender.send(())));
    gpu.wake();
    let arrived = arrived.receive().await;
    gpu.check()?;
    arrived.ok_or_else(|| Error::Gpu("the device went away while it was waited for".into()))
}

/// Seconds that this thread has spent on a processor; `None` where the system is not asked.
pub fn thread_seconds() -> Option<f64> {
    processor_seconds(false)
}

/// The same of all threads of this process together.
pub fn process_seconds() -> Option<f64> {
    processor_seconds(true)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn processor_seconds(whole_process: bool) -> Option<f64> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(if whole_process { ClockId::ProcessCPUTime } else { ClockId::ThreadCPUTime });
    Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn processor_seconds(_whole_process: bool) -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ticks a nanosecond, and a microsecond on the wall.
    fn kept(ticks: &[[u64; 2]]) -> Vec<Option<(f64, f64)>> {
        let intervals = plausible(ticks, 0.5, 1e-6);
        let rounded = |seconds: f64| (seconds * 1e10).round() / 10.0;
        intervals.iter().map(|at| at.map(|at| (rounded(at.start), rounded(at.seconds)))).collect()
    }

    #[test]
    fn times_count_from_the_first_beginning() {
        assert_eq!(
            kept(&[[500, 600], [600, 600], [700, 2000]]),
            [Some((0.0, 50.0)), Some((50.0, 0.0)), Some((100.0, 650.0))]
        );
        assert!(kept(&[]).is_empty());
    }

    #[test]
    fn absurd_timestamps_are_left_out() {
        let unwritten = kept(&[[0, 0], [500, 600], [700, 0], [800, 700], [900, 1000]]);
        assert_eq!(unwritten, [None, Some((0.0, 50.0)), None, None, Some((200.0, 50.0))]);
        let far = kept(&[[3, 4], [1_000_000, 1_000_100], [1_000_200, 1_000_300], [u64::MAX - 1, u64::MAX]]);
        assert_eq!(far, [None, Some((0.0, 50.0)), Some((100.0, 50.0)), None]);
        assert_eq!(kept(&[[100, 200], [300, 3000]]), [Some((0.0, 50.0)), None], "longer than the wall");
    }

    #[test]
    fn a_clock_that_outruns_the_wall_is_not_believed() {
        assert_eq!(kept(&[[500, 1500], [1500, 2500], [2500, 3500]]), [None; 3]);
    }
}
