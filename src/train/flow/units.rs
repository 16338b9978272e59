//! Which units of a layer were alive: not zero for at least one image of a step.

use std::collections::VecDeque;

use super::watcher::Record;
use crate::ops::Real;
use crate::ops::statistics::{LANES, unit_seen};
use crate::tensor::Tensor;

/// The units of a watched activation.
#[derive(Debug, Clone)]
pub(super) struct WatchedUnits {
    pub(super) count: usize,
    pub(super) told: Told,
}

/// What tells whether a unit was alive.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// The lanes of the activation's record.
    ByLanes(Record),
    /// Nodes of their own, one for each micro-batch: where the first unit lies in what they leave.
    ByNodes(Vec<usize>),
}

impl WatchedUnits {
    /// Whether each of them was alive, from the lanes of all records and from what the nodes left.
    pub(super) fn alive<T: Real>(&self, lanes: &Tensor<T>, nodes: &Tensor<T>) -> impl Iterator<Item = bool> {
        (0..self.count).map(|unit| match &self.told {
            Told::ByLanes(record) => unit_seen(&lanes.u32s()[record * LANES..][..LANES], self.count, unit),
            Told::ByNodes(first) => first.iter().any(|first| nodes.floats()[first + unit] != T::zero()),
        })
    }
}

/// Which units were alive in the last readings, and for how many images.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// How many images a unit must be zero for before it counts as dead.
    pub(super) images: u64,
    readings: VecDeque<(u64, Vec<bool>)>,
}

impl Seen {
    pub(super) fn new(images: u64) -> Self {
        Self { images, readings: VecDeque::new() }
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.readings.clear();
    }

    /// Remembers which units were alive for so many images; answers how many images the readings cover that are needed.
    pub(super) fn remember(&mut self, images: u64, alive: Vec<bool>) -> u64 {
        self.readings.push_back((images, alive));
        while self.readings.front().is_some_and(|(oldest, _)| self.covered() - oldest >= self.images) {
            self.readings.pop_front();
        }
        self.covered()
    }

    fn covered(&self) -> u64 {
        self.readings.iter().map(|(images, _)| images).sum()
    }

    /// How many of the units `first .. first + count` were alive in no reading.
    pub(super) fn dead(&self, first: usize, count: usize) -> u64 {
        (first..first + count).filter(|&unit| self.readings.iter().all(|(_, alive)| !alive[unit])).count() as u64
    }
}
