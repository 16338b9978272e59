//! A plan with its memory on a device: it executes graphs, step after step.
//!
//! Two sessions stand behind one interface: [`gpu`] replays dispatches, [`cpu`] runs the reference operators in f32 on
//! all cores, for machines without any adapter. Persistent values are shared by name between the graphs of a session.

pub mod cpu;
pub mod gpu;
pub mod memory;
mod timeline;

pub use timeline::{Clock, Interval, Launch, Timed, Timeline};

use crate::error::{Error, Result};
use crate::gpu::{BackendChoice, Gpu};
use crate::graph::{Fusion, Graph, Pass};
use crate::tensor::Tensor;

/// What a plan runs on.
#[derive(Debug, Clone)]
pub enum Device {
    /// An adapter.
    Gpu(Gpu),
    /// The reference operators; holds the reason, to be shown to the user.
    Cpu(String),
}

impl Device {
    /// Opens `auto`, `cpu`, an adapter's index, or (part of) its name. Where there is no adapter at all, `auto` is the CPU.
    pub async fn open(name: &str, backend: BackendChoice) -> Result<Self> {
        if name == "cpu" {
            return Ok(Self::Cpu("asked for by --device cpu".into()));
        }
        match Gpu::open(name, backend).await {
            Ok(gpu) => Ok(Self::Gpu(gpu)),
            Err(Error::Device(problem)) if name == "auto" && backend == BackendChoice::Auto => Ok(Self::Cpu(problem)),
            Err(error) => Err(error),
        }
    }

    /// The device's name.
    pub fn name(&self) -> String {
        match self {
            Self::Gpu(gpu) => gpu.adapter().name.clone(),
            Self::Cpu(_) => "CPU reference".into(),
        }
    }

    /// The graphics API, or `cpu`.
    pub fn backend(&self) -> &str {
        match self {
            Self::Gpu(gpu) => &gpu.adapter().backend,
            Self::Cpu(_) => "cpu",
        }
    }

    /// Why this device was taken.
    pub fn why(&self) -> &str {
        match self {
            Self::Gpu(gpu) => gpu.why(),
            Self::Cpu(why) => why,
        }
    }

    /// Why the device cannot bind an operand of a graph, if there is such a one; see [`gpu::fits`].
    pub fn fits(&self, graph: &Graph) -> Result<()> {
        match self {
            Self::Gpu(gpu) => gpu::fits(gpu, graph),
            Self::Cpu(_) => Ok(()),
        }
    }

    /// Whether a processor computes: the reference's, or that of an adapter in software.
    pub fn is_processor(&self) -> bool {
        match self {
            Self::Gpu(gpu) => gpu.caps().cpu,
            Self::Cpu(_) => true,
        }
    }

    /// [`Graph::fuse`] with the passes that are for such a device.
    pub fn fuse(&self, graph: Graph, without: &[Pass]) -> Result<(Graph, Vec<Fusion>)> {
        let left_out = |pass: &Pass| without.contains(pass) || (self.is_processor() && !pass.serves_processors());
        graph.fuse(&Pass::ALL.into_iter().filter(left_out).collect::<Vec<_>>())
    }

    /// Bytes that one binding may span: larger data sets are cut into shards.
    pub fn max_binding_bytes(&self) -> u64 {
        match self {
            Self::Gpu(gpu) => gpu.caps().max_binding_bytes,
            Self::Cpu(_) => u64::MAX,
        }
    }
}

/// How a session is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether values share memory; without it every value can be read after a step.
    pub reuse: bool,
    /// Whether only baseline kernels are used.
    pub baseline: bool,
    /// Whether baseline kernels may run that are known to be wrong on this device: only where their results are compared.
    pub suspects: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { reuse: true, baseline: false, suspects: false }
    }
}

/// What was asked to be read after some steps.
pub enum Reading {
    /// On its way from the device.
    Gpu(gpu::Reading),
    /// Already here.
    Cpu(Vec<Tensor>),
}

impl Reading {
    /// The tensors, when the steps are done.
    pub async fn wait(self) -> Result<Vec<Tensor>> {
        match self {
            Self::Gpu(reading) => reading.wait().await,
            Self::Cpu(tensors) => Ok(tensors),
        }
    }
}

/// Executes graphs on a device.
pub enum Session {
    /// On an adapter.
    Gpu(Box<gpu::GpuSession>),
    /// Through the reference operators.
    Cpu(cpu::CpuSession<f32>),
}

impl Session {
    /// Plans and allocates everything that the graphs need; nothing is allocated later. On an adapter it uses the fast variants
    /// that are proven there ([`crate::verify::trust::session`] proves them first), and baseline kernels for the rest.
    pub fn new(device: &Device, graphs: Vec<Graph>, options: Options) -> Result<Self> {
        Ok(match device {
            Device::Gpu(gpu) => Self::Gpu(Box::new(gpu::GpuSession::new(gpu, graphs, options)?)),
            Device::Cpu(_) => Self::Cpu(cpu::CpuSession::new(graphs, options.reuse)),
        })
    }

    /// Overwrites a persistent value.
    pub fn write(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        match self {
            Self::Gpu(session) => session.write(name, tensor),
            Self::Cpu(session) => session.write(name, tensor),
        }
    }

    /// Runs graph number `graph` so many times, in one submission, and starts to read the named persistent values after it. Nodes
    /// that watch are left out.
    pub fn run(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<Reading> {
        match self {
            Self::Gpu(session) => Ok(Reading::Gpu(session.run(graph, steps, read)?)),
            Self::Cpu(session) => session.run(graph, steps, read).map(Reading::Cpu),
        }
    }

    /// [`Session::run`], the last step with the nodes that watch it ([`Graph::watch`]).
    pub fn run_watched(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<Reading> {
        match self {
            Self::Gpu(session) => Ok(Reading::Gpu(session.run_watched(graph, steps, read)?)),
            Self::Cpu(session) => session.run_watched(graph, steps, read).map(Reading::Cpu),
        }
    }

    /// Reads persistent values as they are after all steps so far.
    pub async fn read(&mut self, names: &[&str]) -> Result<Vec<Tensor>> {
        self.run(0, 0, names)?.wait().await
    }

    /// Every output of every node of graph `graph`, as its last step left them, in the order of the nodes. Needs a session
    /// without reuse.
    pub async fn values(&mut self, graph: usize) -> Result<Vec<(usize, Tensor)>> {
        match self {
            Self::Gpu(session) => session.values(graph).await,
            Self::Cpu(session) => session.values(graph),
        }
    }

    /// Runs graph `graph` once and answers the outputs of each node, in the order of the nodes, as that node left them: an
    /// update in place counts before the next one overwrites it. Slower than [`Session::run`], and the same dispatches.
    pub async fn trace(&mut self, graph: usize) -> Result<Vec<Vec<Tensor>>> {
        match self {
            Self::Gpu(session) => session.trace(graph).await,
            Self::Cpu(session) => Ok(session.trace(graph)),
        }
    }

    /// [`Session::run`], and what it cost the host; nothing beside the work itself on the CPU.
    pub fn run_timed(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<(Reading, Option<Launch>)> {
        match self {
            Self::Gpu(session) => {
                let (reading, launch) = session.run_timed(graph, steps, read)?;
                Ok((Reading::Gpu(reading), Some(launch)))
            }
            Self::Cpu(_) => Ok((self.run(graph, steps, read)?, None)),
        }
    }

    /// Runs graph `graph` once and measures each of its dispatches: the same ones that [`Session::run`] replays, with the device's
    /// timestamps, or, where it has none or with `wall_clock`, by submitting each alone and waiting for it.
    pub async fn profile(&mut self, graph: usize, wall_clock: bool) -> Result<Timeline> {
        match self {
            Self::Gpu(session) => session.profile(graph, wall_clock).await,
            Self::Cpu(session) => Ok(session.profile(graph)),
        }
    }

    /// Graph number `graph`, as it is run.
    pub fn graph(&self, graph: usize) -> &Graph {
        match self {
            Self::Gpu(session) => session.graph(graph),
            Self::Cpu(session) => session.graph(graph),
        }
    }

    /// Bytes that the plan of all graphs allocates, persistent values included.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Gpu(session) => session.bytes(),
            Self::Cpu(session) => session.bytes(),
        }
    }

    /// For each node of graph `graph`, its name, its operator's name and the variant that runs it.
    pub fn plan(&self, graph: usize) -> Vec<PlanRow> {
        match self {
            Self::Gpu(session) => session.plan(graph),
            Self::Cpu(session) => session.plan(graph),
        }
    }
}

/// One node of a plan, as listings and runs show it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PlanRow {
    /// Layer and direction.
    pub node: String,
    /// The operator.
    pub operator: &'static str,
    /// The variant that computes it.
    pub variant: &'static str,
    /// How many dispatches that takes.
    pub dispatches: usize,
    /// How many operands are copied into textures for them.
    pub copies: usize,
    /// Whether it only looks on and runs in watched steps alone.
    pub watch: bool,
}
