//! Where the time of a training step goes: each dispatch measured by itself, held against steps as training runs them.
//!
//! Both kinds of steps alternate, so that what else the machine does meanwhile meets both. What the measured dispatches do not
//! explain of an ordinary step is the rest, which no other figure absorbs. It runs on a session of its own with made-up images
//! and a learning rate of zero: every step does the same work on the same weights, and nobody's state is touched.

mod measure;

pub use measure::profile;

use crate::session::{Clock, Interval};

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Steps that are taken apart.
    pub steps: usize,
    /// Whether to submit each dispatch alone even where the device has timestamps.
    pub wall_clock: bool,
}

/// Time and work of some dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// How many there are in a step.
    pub dispatches: usize,
    /// The median of their time in a step; `None` where no measurement could be believed.
    pub seconds: Option<f64>,
    /// Floating-point operations in that time.
    pub flops: u64,
    /// Bytes that must move in that time: every operand read, every result written, once.
    pub bytes: u64,
}

impl Cost {
    /// 10⁹ floating-point operations a second; `None` where there are none, or no time.
    pub fn gflops(&self) -> Option<f64> {
        self.rate(self.flops)
    }

    /// 10⁹ bytes a second.
    pub fn gigabytes(&self) -> Option<f64> {
        self.rate(self.bytes)
    }

    fn rate(&self, amount: u64) -> Option<f64> {
        self.seconds.filter(|&seconds| seconds > 0.0 && amount > 0).map(|seconds| amount as f64 / seconds / 1e9)
    }
}

/// A node of the step, with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeTime {
    /// Layer and direction.
    pub node: String,
    /// The operator without its direction: `conv2d`.
    pub operator: &'static str,
    /// `forward`, `grad`, `grad_input` or `grad_weight`; for operators that are of one direction only, the part of the step.
    pub direction: &'static str,
    /// The part of the step: `forward`, `backward` or `update`.
    pub part: &'static str,
    /// The variant that computes it.
    pub variant: &'static str,
    /// Its dispatches.
    pub cost: Cost,
    /// Lower and upper quartile of its time.
    pub quartiles: Option<[f64; 2]>,
}

/// The nodes of one operator and direction.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupTime {
    /// The operator without its direction.
    pub operator: &'static str,
    /// Its direction.
    pub direction: &'static str,
    /// The part of the step.
    pub part: &'static str,
    /// How many nodes.
    pub nodes: usize,
    /// All their dispatches.
    pub cost: Cost,
}

/// What a step as training runs it costs the thread that asks for it, in seconds a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostCost {
    /// Recording.
    pub record: f64,
    /// Submitting.
    pub submit: f64,
    /// Time that the thread spent on a processor for both; `None` where the system does not tell.
    pub processor: Option<f64>,
}

/// Something that happened while it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// `record`, `submit`, `wait`, or a dispatch's entry point.
    pub name: String,
    /// The position of the node, for a dispatch on the device; the host has none.
    pub node: Option<usize>,
    /// The step that was taken apart, from 1; `None` for ordinary steps.
    pub step: Option<usize>,
    /// When, after the measurement began.
    pub at: Interval,
}

/// Where the time of a training step goes.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What measured the dispatches.
    pub clock: Clock,
    /// Every node of the step, in order.
    pub nodes: Vec<NodeTime>,
    /// Measurements of dispatches.
    pub measured: usize,
    /// Those of them that could not be believed.
    pub discarded: usize,
    /// Seconds of a step as training runs it: one pass, several steps a submission.
    pub step: f64,
    /// Lower and upper quartile of that.
    pub step_quartiles: [f64; 2],
    /// How many such steps were measured.
    pub ordinary: u64,
    /// How many of them were one submission.
    pub together: u64,
    /// Seconds of a step that is taken apart, from the first recording to the last answer.
    pub profiled: f64,
    /// How much of that the measured dispatches cover.
    pub covered: f64,
    /// What an ordinary step costs the host; none where the host computes it.
    pub host: Option<HostCost>,
    /// Everything that was seen, for a trace.
    pub spans: Vec<Span>,
}

impl Profile {
    /// Seconds of all dispatches of a step: the sum of the nodes' medians.
    pub fn kernels(&self) -> f64 {
        self.nodes.iter().filter_map(|node| node.cost.seconds).sum()
    }

    /// What they do not explain of an ordinary step; negative where they took longer one by one.
    pub fn rest(&self) -> f64 {
        self.step - self.kernels()
    }

    /// A time's share of an ordinary step.
    pub fn share(&self, seconds: f64) -> f64 {
        seconds / self.step
    }

    /// All dispatches together.
    pub fn total(&self) -> Cost {
        summed(self.nodes.iter().map(|node| node.cost))
    }

    /// The nodes by operator and direction, the longest first.
    pub fn groups(&self) -> Vec<GroupTime> {
        let mut groups: Vec<GroupTime> = Vec::new();
        for &NodeTime { operator, direction, part, cost, .. } in &self.nodes {
            match groups.iter_mut().find(|group| (group.operator, group.direction) == (operator, direction)) {
                None => groups.push(GroupTime { operator, direction, part, nodes: 1, cost: summed([cost]) }),
                Some(group) => {
                    group.nodes += 1;
                    group.cost = summed([group.cost, cost]);
                }
            }
        }
        groups.sort_by(|a, b| b.cost.seconds.unwrap_or(0.0).total_cmp(&a.cost.seconds.unwrap_or(0.0)));
        groups
    }
}

/// Costs together; work whose time is not known counts for no rate.
fn summed(costs: impl IntoIterator<Item = Cost>) -> Cost {
    costs.into_iter().fold(Cost::default(), |sum, cost| {
        let dispatches = sum.dispatches + cost.dispatches;
        match cost.seconds {
            None => Cost { dispatches, ..sum },
            Some(seconds) => Cost {
                dispatches,
                seconds: Some(sum.seconds.unwrap_or(0.0) + seconds),
                flops: sum.flops + cost.flops,
                bytes: sum.bytes + cost.bytes,
            },
        }
    })
}

/// The value below which this part of the others lies; 0 of none.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = part * sorted.len().saturating_sub(1) as f64;
    let (low, high) = (sorted.get(at.floor() as usize), sorted.get(at.ceil() as usize));
    low.zip(high).map_or(0.0, |(low, high)| low + (high - low) * at.fract())
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}
