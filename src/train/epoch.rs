//! One epoch: steps in submissions, readings of them, and what is told of both.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Trainer;
use super::evaluation::Evaluation;
use super::events::{EpochReport, Event, Progress, StepFigures};
use super::flow::{self, Flow};
use super::program::names;
use super::tally::{Tally, shortest};
use super::trainer::TRAIN;
use crate::error::Result;
use crate::session::{Device, Reading};
use crate::tensor::Tensor;

/// Seconds that one submission should last: short enough for a responsive Ctrl-C and for drivers that reset long work.
const SUBMISSION_SECONDS: f64 = 0.25;
/// Most steps of a submission.
const MOST_STEPS: u64 = 64;
/// What is read back after each submission.
pub(super) const READ: [&str; 4] = [names::CONTROL, names::LOSSES, names::NORMS, names::CORRECTS];

/// Steps under way.
struct Submission {
    /// Steps of the epoch before them.
    from: u64,
    count: u64,
    /// Whether the last of them is watched.
    watched: bool,
    reading: Reading,
}

impl Trainer {
    /// One epoch; `false` when it was interrupted. The report's validation is still empty.
    pub(super) async fn epoch(
        &mut self,
        epoch: u64,
        lr: f64,
        started: Instant,
        observe: &mut impl FnMut(Event),
    ) -> Result<(bool, EpochReport)> {
        let whole = self.steps_per_epoch();
        let rates = self.config.rates(whole, epoch, lr);
        let table: Vec<f32> = rates.iter().flatten().copied().collect();
        self.session.write(names::RATES, &Tensor::float([whole as usize, 4], table))?;
        let (begins, total) = ((epoch - 1) * whole, self.config.total_steps(whole));
        let steps = whole.min(total.saturating_sub(begins));
        let begun = Instant::now();
        let mut flight: VecDeque<Submission> = VecDeque::new();
        let mut tally = Tally::default();
        let (mut submitted, mut done, mut last) = (0, 0, Instant::now());
        let (mut stopped, mut before) = (false, None);
        while done < steps {
            stopped |= self.stop.load(Ordering::Relaxed);
            let first_ever = self.step == 0 && flight.is_empty();
            // A step that is checked beside training begins when all others are done, and is alone.
            let index = begins + submitted;
            let checked = self.shadow.as_ref().is_some_and(|shadow| shadow.is_due(index));
            let alone = checked || before.is_some();
            let room = flight.is_empty() || (flight.len() < in_flight(&self.device) && self.step > 0 && !alone);
            if !stopped && submitted < steps && room {
                let count = if first_ever {
                    1
                } else {
                    steps_a_submission(&self.device, self.step_seconds).min(steps - submitted)
                };
                let count = self.shadow.as_ref().map_or(count, |shadow| shadow.together(index, count));
                let count = self.config.watch.together(index, count);
                if checked {
                    before = Some(self.before().await?);
                }
                let watched = self.config.watch.is_due(index + count - 1, total);
                let reading = match watched {
                    true => self.session.run_watched(TRAIN, count as usize, &[&READ[..], &flow::READ].concat())?,
                    false => self.session.run(TRAIN, count as usize, &READ)?,
                };
                flight.push_back(Submission { from: submitted, count, watched, reading });
                submitted += count;
                continue;
            }
            let Some(Submission { from, count, watched, reading }) = flight.pop_front() else { break };
            let read = reading.wait().await?;
            self.check(&read[0]).await?;
            let checked = before.take();
            if let Some(before) = &checked {
                self.compare(before).await?;
            }
            self.step += count;
            done = from + count;
            if self.step == 1 {
                observe(Event::FirstStep(started.elapsed()));
            } else if checked.is_none() {
                self.step_seconds = Some(last.elapsed().as_secs_f64() / count as f64);
            }
            last = Instant::now();
            let part = tally.add(&read, from as usize..done as usize);
            let images_per_second = self.speed(done, begun.elapsed().as_secs_f64());
            observe(Event::Progress(Progress {
                epoch,
                step: done,
                steps,
                total: self.step,
                loss: part.loss(),
                accuracy: part.accuracy(self.config.batch),
                recent: (from..done).map(|step| self.figures(&read, &rates, step, done)).collect(),
                images_per_second,
            }));
            if let Some((watcher, judge)) = self.watching.as_mut().filter(|_| watched) {
                let row = done as usize - 1;
                let (loss, lr) = (read[1].floats()[row].into(), shortest(rates[row][0]));
                let measured = watcher.flow(&read[READ.len()..], self.config.batch as u64);
                let flow = Flow { epoch, step: self.step, loss, lr, ..measured };
                observe(Event::Flow(Box::new(flow.clone())));
                if let Some(verdict) = judge.observe(flow) {
                    observe(Event::Verdict(verdict));
                }
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let report = EpochReport {
            epoch,
            loss: tally.loss(),
            accuracy: tally.accuracy(self.config.batch),
            validation: Evaluation::default(),
            lr: rates.last().map_or(0.0, |row| shortest(row[0])),
            images_per_second: self.speed(done, seconds),
            seconds,
            verdict: self.watching.as_mut().and_then(|(_, judge)| judge.verdict()),
        };
        Ok((done == steps, report))
    }

    /// Images a second.
    fn speed(&self, steps: u64, seconds: f64) -> f64 {
        (steps * self.config.batch as u64) as f64 / seconds.max(1e-9)
    }

    /// What was read about step `step` of the epoch, from 0, after `done` steps of it.
    fn figures(&self, read: &[Tensor], rates: &[[f32; 4]], step: u64, done: u64) -> StepFigures {
        let row = step as usize;
        StepFigures {
            step: self.step - (done - step) + 1,
            loss: f64::from(read[1].floats()[row]),
            accuracy: f64::from(read[3].u32s()[row]) / self.config.batch as f64,
            gradient_norm: f64::from(read[2].floats()[row]),
            lr: shortest(rates[row][0]),
        }
    }
}

/// Submissions that may be under way: while the GPU works on one, the next is ready. The CPU works when it is asked.
pub(super) fn in_flight(device: &Device) -> usize {
    match device {
        Device::Gpu(_) => 2,
        Device::Cpu(_) => 1,
    }
}

/// Steps that take about [`SUBMISSION_SECONDS`], of which each takes so many; one on the CPU, where nothing is gained by more.
pub(super) fn steps_a_submission(device: &Device, step_seconds: Option<f64>) -> u64 {
    match (device, step_seconds) {
        (Device::Cpu(_), _) => 1,
        (Device::Gpu(_), None) => 2,
        (Device::Gpu(_), Some(seconds)) => ((SUBMISSION_SECONDS / seconds) as u64).clamp(2, MOST_STEPS),
    }
}
