//! The measurement: a session on made-up data, in which ordinary steps and steps that are taken apart alternate.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Cost, HostCost, NodeTime, Profile, Settings, Span, median, quantile};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::nn::Network;
use crate::ops::random::random;
use crate::ops::{Operator, optimizer};
use crate::session::{Clock, Device, Interval, Launch, Options, Reading, Session, Timeline};
use crate::tensor::Tensor;
use crate::train::config::TrainConfig;
use crate::train::divergence::Divergence;
use crate::train::epoch::{READ, in_flight, steps_a_submission};
use crate::train::evaluation::{check_fit, image_of, upload, write_state};
use crate::train::micro_batch;
use crate::train::program::{self, Resident, names};
use crate::train::schedule::Schedule;
use crate::verify::case::split;
use crate::verify::trust;

/// Batches of made-up images.
const BATCHES: usize = 4;
/// Submissions of ordinary steps between two steps that are taken apart; the first one fills the queue and is not counted.
const BURST: usize = 3;
/// Seconds after which no more ordinary steps are measured.
const ORDINARY_SECONDS: f64 = 20.0;

/// Measures training steps of a network on a device.
///
/// # Errors
/// [`Error::Invalid`] for a network that cannot be trained on images with classes, and what the device reports.
pub async fn profile(device: &Device, network: &Network, config: &TrainConfig, settings: Settings) -> Result<Profile> {
    if settings.steps == 0 {
        return Err(Error::Invalid("--steps must be at least 1".into()));
    }
    let mut bench = Bench::new(device, network, config)?;
    bench.ordinary().await?;
    // Once more, where the number of steps in a submission is another one now that their time is known.
    if bench.together() != steps_a_submission(device, None) {
        bench.ordinary().await?;
    }
    bench.session.profile(0, settings.wall_clock).await?;
    bench.forget();
    for step in 1..=settings.steps {
        if bench.begun.elapsed().as_secs_f64() < ORDINARY_SECONDS || step == 1 {
            bench.ordinary().await?;
        }
        let timeline = bench.session.profile(0, settings.wall_clock).await?;
        bench.see(step, &timeline);
        bench.timelines.push(timeline);
    }
    Ok(bench.profile())
}

/// A session on made-up data, and what was measured in it.
struct Bench {
    device: Device,
    session: Session,
    begun: Instant,
    timelines: Vec<Timeline>,
    /// Seconds of an ordinary step, one for each burst.
    steps: Vec<f64>,
    launches: Vec<(u64, Launch)>,
    counted: u64,
    spans: Vec<Span>,
}

impl Bench {
    fn new(device: &Device, network: &Network, config: &TrainConfig) -> Result<Self> {
        let (len, still) =
            (BATCHES * config.batch, TrainConfig { lr: 0.0, schedule: Schedule::Constant, ..config.clone() });
        config.check(len.max(1))?;
        let image = image_of(network)?;
        let classes = network.summary(1)?.rows.last().and_then(|row| row.output.last().copied()).unwrap_or(1);
        check_fit(network, image, classes)?;
        let layout = network.layout()?;
        let resident = Resident::new("train", len, image, device.max_binding_bytes());
        let config = &micro_batch::fitting(device, (network, &layout), &resident, config)?;
        let (graph, _) = device.fuse(program::train(network, &layout, &resident, config)?, &config.no_fuse)?;
        let mut session = trust::session(device, vec![graph], Options::default())?;
        let pixels = (0..len * image.iter().product::<usize>()).map(|i| random(1, 0, i as u32) as u8).collect();
        let labels = (0..len).map(|i| random(2, 0, i as u32) % classes.max(1) as u32).collect();
        upload(&mut session, &resident, &Split::new(pixels, labels, image)?)?;
        write_state(&mut session, &layout.draw(config.seed))?;
        let table = still.rates(BATCHES as u64, 1, 0.0).into_iter().flatten().collect();
        session.write(names::RATES, &Tensor::float([BATCHES, optimizer::RATES], table))?;
        let (device, begun) = (device.clone(), Instant::now());
        let (timelines, steps, launches, spans) = Default::default();
        Ok(Self { device, session, begun, timelines, steps, launches, counted: 0, spans })
    }

    /// What came before was for warming up; the time of a step is remembered.
    fn forget(&mut self) {
        self.launches.clear();
        self.spans.clear();
        self.steps.drain(..self.steps.len().saturating_sub(1));
        (self.counted, self.begun) = (0, Instant::now());
    }

    /// Steps that training would put into a submission.
    fn together(&self) -> u64 {
        steps_a_submission(&self.device, self.steps.last().copied())
    }

    /// Some submissions of steps as training runs them.
    async fn ordinary(&mut self) -> Result<()> {
        let count = self.together();
        let (most, submissions) = (in_flight(&self.device), if in_flight(&self.device) > 1 { BURST } else { 1 });
        let (mut flight, mut marks) = (VecDeque::new(), Vec::new());
        if submissions == 1 {
            marks.push(Instant::now());
        }
        for _ in 0..submissions {
            if flight.len() == most {
                self.wait(&mut flight, &mut marks).await?;
            }
            let (reading, launch) = self.session.run_timed(0, count as usize, &READ)?;
            flight.push_back(reading);
            if let Some(launch) = launch {
                self.launches.push((count, launch));
                let start = launch.begun.saturating_duration_since(self.begun).as_secs_f64();
                self.note("record", None, None, Interval { start, seconds: launch.record });
                self.note("submit", None, None, Interval { start: start + launch.record, seconds: launch.submit });
            }
        }
        while !flight.is_empty() {
            self.wait(&mut flight, &mut marks).await?;
        }
        let done = (marks.len() - 1) as u64 * count;
        let seconds = marks[marks.len() - 1].duration_since(marks[0]).as_secs_f64();
        self.counted += done;
        self.steps.push(seconds / done.max(1) as f64);
        Ok(())
    }

    async fn wait(&mut self, flight: &mut VecDeque<Reading>, marks: &mut Vec<Instant>) -> Result<()> {
        let start = self.begun.elapsed().as_secs_f64();
        if let Some(reading) = flight.pop_front() {
            reading.wait().await?;
        }
        self.note("wait", None, None, Interval::between(start, self.begun.elapsed().as_secs_f64()));
        marks.push(Instant::now());
        Ok(())
    }

    fn note(&mut self, name: &str, node: Option<usize>, step: Option<usize>, at: Interval) {
        self.spans.push(Span { name: name.to_owned(), node, step, at });
    }

    /// Keeps a step that was taken apart for the trace.
    fn see(&mut self, step: usize, timeline: &Timeline) {
        let origin = timeline.begun.saturating_duration_since(self.begun).as_secs_f64();
        let moved = |at: Interval| Interval { start: at.start + origin, ..at };
        for &(name, at) in &timeline.host {
            self.note(name, None, Some(step), moved(at));
        }
        for (node, dispatches) in timeline.nodes.iter().enumerate() {
            for timed in dispatches {
                if let Some(at) = timed.at {
                    self.note(&timed.entry, Some(node), Some(step), moved(at));
                }
            }
        }
    }

    /// Everything in figures.
    fn profile(mut self) -> Profile {
        let together = self.together();
        // The one from warming up.
        self.steps.remove(0);
        let (graph, rows) = (self.session.graph(0), self.session.plan(0));
        let graph_nodes = graph.nodes().iter().zip(rows).enumerate();
        let nodes = graph_nodes.map(|(position, (node, row))| {
            let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
            let (operator, direction) = split(node.op.name());
            let part = Divergence::direction(graph, position);
            // A step counts for a node only where all its dispatches were measured.
            let time = |timeline: &Timeline| timeline.nodes[position].iter().map(|timed| Some(timed.at?.seconds)).sum();
            let times: Vec<f64> = self.timelines.iter().filter_map(time).collect();
            NodeTime {
                node: row.node,
                operator,
                direction: if direction == "forward" { part } else { direction },
                part,
                variant: row.variant,
                cost: Cost {
                    dispatches: row.dispatches,
                    seconds: (!times.is_empty()).then(|| median(&times)),
                    flops: node.op.flops(&inputs, &outputs),
                    bytes: node.op.bytes(&inputs, &outputs),
                },
                quartiles: (!times.is_empty()).then(|| [quantile(&times, 0.25), quantile(&times, 0.75)]),
            }
        });
        let nodes = nodes.collect();
        let over = |of: fn(&Timeline) -> f64| median(&self.timelines.iter().map(of).collect::<Vec<_>>());
        let all = || self.timelines.iter().flat_map(|timeline| &timeline.nodes).flatten();
        let empty = over(|timeline| match timeline.clock {
            Clock::Timestamps { empty, .. } | Clock::WallClock { empty } => empty,
            Clock::Reference => 0.0,
        });
        let clock = match self.timelines[0].clock {
            Clock::Timestamps { period_ns, .. } => Clock::Timestamps { period_ns, empty },
            Clock::WallClock { .. } => Clock::WallClock { empty },
            Clock::Reference => Clock::Reference,
        };
        let a_step = |of: fn(&Launch) -> f64| {
            median(&self.launches.iter().map(|(steps, launch)| of(launch) / *steps as f64).collect::<Vec<_>>())
        };
        let host = self.launches.first().map(|(_, first)| HostCost {
            record: a_step(|launch| launch.record),
            submit: a_step(|launch| launch.submit),
            processor: first.processor.map(|_| a_step(|launch| launch.processor.unwrap_or(0.0))),
        });
        Profile {
            clock,
            nodes,
            measured: all().count(),
            discarded: all().filter(|timed| timed.at.is_none()).count(),
            step: median(&self.steps),
            step_quartiles: [quantile(&self.steps, 0.25), quantile(&self.steps, 0.75)],
            ordinary: self.counted,
            together,
            profiled: over(|timeline| timeline.wall),
            covered: over(|timeline| {
                let times = timeline.nodes.iter().flatten().filter_map(|timed| timed.at);
                times.map(|at| at.seconds).sum::<f64>() / timeline.wall
            }),
            host,
            spans: self.spans,
        }
    }
}
