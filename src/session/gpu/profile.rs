//! Steps with a clock in the hand: the dispatches of one measured apart, and what several in one submission cost the host.

use std::time::Instant;

use super::{Command, GpuSession, Program, Reading, copy, dispatch, record};
use crate::error::Result;
use crate::gpu::timing::{Interval, Stopwatch, done, thread_seconds};
use crate::session::timeline::{Clock, Launch, Timed, Timeline};

impl GpuSession {
    /// [`GpuSession::run`], and what it cost the host.
    pub fn run_timed(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<(Reading, Launch)> {
        let (begun, before) = (Instant::now(), thread_seconds());
        let recorded = self.recorded(graph, [steps, 0], read)?;
        let record = begun.elapsed().as_secs_f64();
        let reading = self.sent(recorded)?;
        let submit = begun.elapsed().as_secs_f64() - record;
        let processor = before.and_then(|before| Some(thread_seconds()? - before));
        Ok((reading, Launch { begun, record, submit, processor }))
    }

    /// See [`crate::session::Session::profile`].
    pub async fn profile(&mut self, graph: usize, wall_clock: bool) -> Result<Timeline> {
        self.gpu.check()?;
        let program = &self.programs[graph];
        let stopwatch = if wall_clock { None } else { Stopwatch::new(&self.gpu, program.commands.len() + 1) };
        match stopwatch {
            Some(stopwatch) => self.with_timestamps(program, &stopwatch).await,
            None => self.one_by_one(program).await,
        }
    }

    /// All dispatches in one submission, each in a pass of its own between two timestamps, and a pass of nothing at the end.
    async fn with_timestamps(&self, program: &Program, stopwatch: &Stopwatch) -> Result<Timeline> {
        let begun = Instant::now();
        let now = || begun.elapsed().as_secs_f64();
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        for (index, command) in program.commands.iter().map(Some).chain([None]).enumerate() {
            let both = stopwatch.interval(index);
            let begins = wgpu::ComputePassTimestampWrites { end_of_pass_write_index: None, ..both.clone() };
            let ends = wgpu::ComputePassTimestampWrites { beginning_of_pass_write_index: None, ..both.clone() };
            let pass = |timestamp_writes, encoder: &mut wgpu::CommandEncoder| {
                let timestamp_writes = Some(timestamp_writes);
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                encoder.begin_compute_pass(&descriptor).forget_lifetime()
            };
            match command {
                None => drop(pass(both, &mut encoder)),
                Some(Command::Dispatch(dispatched)) => dispatch(&mut pass(both, &mut encoder), dispatched),
                // No copy is part of a pass: one of nothing before it and one after it look at the clock.
                Some(Command::Copy(copied)) => {
                    drop(pass(begins, &mut encoder));
                    copy(&mut encoder, copied);
                    drop(pass(ends, &mut encoder));
                }
            }
        }
        let source = stopwatch.resolve(&mut encoder);
        let finished = self.finished(encoder, &[source]);
        let recorded = now();
        let pending = self.send(finished)?;
        let submitted = now();
        let bytes = match pending {
            Some(pending) => pending.bytes().await?,
            None => Vec::new(),
        };
        let wall = now();
        let mut times = stopwatch.read(&bytes, wall - recorded);
        // No clock tells where the device's lies on the host's: somewhere between submission and answer.
        let end = times.iter().flatten().map(|at| at.end()).fold(0.0, f64::max);
        let shift = recorded + (wall - recorded - end).max(0.0) / 2.0;
        times.iter_mut().flatten().for_each(|at| at.start += shift);
        let host = vec![
            ("record", Interval::between(0.0, recorded)),
            ("submit", Interval::between(recorded, submitted)),
            ("wait", Interval::between(submitted, wall)),
        ];
        let empty = times.pop().flatten().map_or(0.0, |at| at.seconds);
        let clock = Clock::Timestamps { period_ns: stopwatch.period(), empty };
        Ok(Timeline { clock, begun, wall, nodes: by_node(program, times), host })
    }

    /// A submission for each dispatch, waited for.
    async fn one_by_one(&self, program: &Program) -> Result<Timeline> {
        let begun = Instant::now();
        let empty = self.alone(begun, &[], &mut Vec::new()).await?.seconds;
        let begun = Instant::now();
        let (mut host, mut times) = (Vec::new(), Vec::with_capacity(program.commands.len()));
        for command in &program.commands {
            times.push(Some(self.alone(begun, std::slice::from_ref(command), &mut host).await?));
        }
        let wall = begun.elapsed().as_secs_f64();
        Ok(Timeline { clock: Clock::WallClock { empty }, begun, wall, nodes: by_node(program, times), host })
    }

    /// One submission from its beginning until the device is done.
    async fn alone(
        &self,
        begun: Instant,
        commands: &[Command],
        host: &mut Vec<(&'static str, Interval)>,
    ) -> Result<Interval> {
        let now = || begun.elapsed().as_secs_f64();
        let start = now();
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        record(&mut encoder, commands);
        let finished = self.finished(encoder, &[]);
        let recorded = now();
        self.send(finished)?;
        let submitted = now();
        done(&self.gpu).await?;
        let end = now();
        host.push(("record", Interval::between(start, recorded)));
        host.push(("submit", Interval::between(recorded, submitted)));
        host.push(("wait", Interval::between(submitted, end)));
        Ok(Interval::between(recorded, end))
    }
}

/// Times of dispatches, sorted into their nodes.
fn by_node(program: &Program, times: Vec<Option<Interval>>) -> Vec<Vec<Timed>> {
    let mut all = program.commands.iter().zip(times);
    let timed = |(command, at): (&Command, _)| match command {
        Command::Dispatch(dispatched) => Timed { entry: dispatched.kernel.entry.name.clone(), at },
        Command::Copy(_) => Timed { entry: "copy_to_texture".into(), at },
    };
    program.rows.iter().map(|row| all.by_ref().take(row.dispatches + row.copies).map(timed).collect()).collect()
}
