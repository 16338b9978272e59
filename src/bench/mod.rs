//! How fast is a device? Operators one by one and whole networks, held against what the device can do at best.
//!
//! [`catalogue`] and [`network`] say what is timed, [`roof`] measures the device's own copy bandwidth and rate of
//! multiply-adds, [`operator`] proves a kernel on the very shape before it is timed, [`sample`] takes the time, and a [`Row`]
//! holds the result. [`tune`] times the kernels that a training step may choose from, before it begins. Nothing is left out in silence: what is not run, or is wrong, has a row that says why.

pub mod catalogue;
pub mod compare;
pub mod network;
pub mod operator;
pub mod regret;
pub mod roof;
mod row;
pub mod sample;
pub mod tune;
pub mod workload;

use std::collections::HashMap;

pub use row::{Outcome, Row};

use crate::error::Result;
use crate::gpu::BackendChoice;
use crate::kernels::BASELINE;
use crate::ops::Operator;
use crate::session::Device;
use network::Whole;
use roof::Roofs;
use workload::Workload;

/// Something that can be asked for by its name.
#[derive(Debug, Clone)]
pub enum Item {
    /// A network.
    Network(Whole),
    /// An operator.
    Operator(Box<Workload>),
}

/// Everything there is, networks first.
pub fn items() -> Vec<Item> {
    let networks = network::all().into_iter().map(Item::Network);
    networks.chain(catalogue::operators().into_iter().map(|workload| Item::Operator(Box::new(workload)))).collect()
}

impl Item {
    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Network(whole) => whole.name(),
            Self::Operator(workload) => workload.name.clone(),
        }
    }

    /// What it is, in a line.
    pub fn description(&self) -> String {
        match self {
            Self::Network(whole) => whole.description(),
            Self::Operator(workload) => {
                let shape = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
                let operands = workload.operands.iter().map(|operand| shape(&operand.spec.shape));
                format!("{}, {}", workload.op.name(), operands.collect::<Vec<_>>().join(" · "))
            }
        }
    }
}

/// How much is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Seconds for each operator's row; a network gets [`NETWORK_SECONDS`] times as many.
    pub seconds: f64,
    /// The variant that is timed alone.
    pub variant: Option<String>,
    /// Images of a network's batch, instead of the usual number.
    pub batch: Option<usize>,
}

impl Settings {
    /// Seconds that one run of an operator may take: longer work is not timed.
    pub fn longest(&self) -> f64 {
        self.seconds.max(0.1)
    }
}

/// How much longer a network is timed than an operator.
pub const NETWORK_SECONDS: f64 = 4.0;
/// How much longer one step of a network may take than one run of an operator.
pub const NETWORK_STEP: f64 = 10.0;

/// Measurements on one device.
pub struct Bench {
    device: Device,
    backend: BackendChoice,
    settings: Settings,
    roofs: Option<Roofs>,
    /// What each kind of work reached of the roof, so that long work is known before it is begun.
    shares: HashMap<String, f64>,
}

/// The rate that is assumed of the CPU reference, whose roofs are not measured, in operations and in bytes a second.
const ASSUMED: Roofs = Roofs { flops: 1e10, bytes: 1e10 };
/// The share of the roof that a baseline kernel is assumed to reach before one like it was timed, another variant, and a
/// network, most of whose nodes run fast variants.
const FIRST_SHARES: [f64; 3] = [0.05, 0.1, 0.15];

impl Bench {
    /// Measures the roofs of a device. The backend is the one under which the device was looked for.
    pub fn new(device: Device, backend: BackendChoice, settings: Settings) -> Result<Self> {
        let roofs = match &device {
            Device::Gpu(gpu) => Some(Roofs::measure(gpu)?),
            Device::Cpu(_) => None,
        };
        Ok(Self { device, backend, settings, roofs, shares: HashMap::new() })
    }

    /// The device's roofs; none for the CPU reference.
    pub fn roofs(&self) -> Option<&Roofs> {
        self.roofs.as_ref()
    }

    /// How many rows an item gives, about.
    pub fn count(&self, item: &Item) -> usize {
        match item {
            Item::Network(_) => 1,
            Item::Operator(workload) => operator::count(self, workload),
        }
    }

    /// Measures an item. An error means that the device failed: nothing more can be asked of it.
    pub fn measure(&mut self, item: &Item, told: &mut dyn FnMut(Row)) -> Result<()> {
        match item {
            Item::Network(whole) => network::measure(self, whole, told),
            Item::Operator(workload) => operator::measure(self, workload, told),
        }
    }

    fn wants(&self, variant: &str) -> bool {
        self.settings.variant.as_ref().is_none_or(|wanted| wanted == variant)
    }

    fn row(&self, workload: &str, direction: &str, variant: &str) -> Row {
        Row::new(workload, direction, variant, &self.device, self.roofs.as_ref())
    }

    /// The device once more, as somebody opens it who has just begun.
    fn reopen(&self) -> Result<Device> {
        let Device::Gpu(gpu) = &self.device else { return Ok(self.device.clone()) };
        let again = pollster::block_on(Device::open(&gpu.adapter().index.to_string(), self.backend))?;
        if let Device::Gpu(new) = &again {
            new.set_trust(gpu.trust());
        }
        Ok(again)
    }

    /// Seconds that one run will take, from what this kind of work reached so far.
    fn predict(&self, kind: &str, flops: u64, bytes: u64) -> f64 {
        let first = match kind {
            _ if kind.starts_with("network") => FIRST_SHARES[2],
            _ if kind.ends_with(BASELINE) => FIRST_SHARES[0],
            _ => FIRST_SHARES[1],
        };
        let share = self.shares.get(kind).copied().unwrap_or(first);
        self.roofs.unwrap_or(ASSUMED).least(flops, bytes).0 / share
    }

    /// Remembers the best share of the roof: small shapes say little about large ones.
    fn learn(&mut self, kind: &str, seconds: f64, flops: u64, bytes: u64) {
        let share = (self.roofs.unwrap_or(ASSUMED).least(flops, bytes).0 / seconds.max(1e-9)).max(1e-6);
        let known = self.shares.entry(kind.to_owned()).or_insert(share);
        *known = known.max(share);
    }

    /// Why work of so many seconds a run is not timed where so many are allowed.
    fn too_long(&self, how: &str, seconds: f64, allowed: f64) -> String {
        let more = self.settings.longest() * seconds / allowed;
        format!("one run {how} {seconds:.1} s; `--seconds {:.1}` times it", more * 1.05 + 0.05)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_names_are_unique_and_everything_is_described() {
        let mut names = BTreeSet::new();
        for item in items() {
            assert!(names.insert(item.name()), "{} twice", item.name());
            assert!(!item.description().is_empty());
        }
        assert!(names.contains("reference") && names.contains("reference/conv2"));
    }

    #[test]
    fn work_that_would_take_too_long_is_known_beforehand() {
        let settings = Settings { seconds: 0.5, variant: None, batch: None };
        let mut bench = Bench::new(Device::Cpu(String::new()), BackendChoice::Auto, settings).unwrap();
        assert_eq!(bench.predict("a baseline", 500_000_000, 0), 1.0);
        bench.learn("a baseline", 1.0, 10_000_000_000, 0);
        assert_eq!(bench.predict("a baseline", 500_000_000, 0), 0.05);
        assert!(bench.too_long("took", 1.0, 0.5).contains("took 1.0 s; `--seconds 1.1`"));
    }
}
