//! The GPU session: each graph becomes a list of dispatches with their pipelines and bind groups, built once; a step
//! replays the list, and several steps go into one submission.

mod build;
mod fit;
pub mod launch;
mod profile;
mod proof;
mod single;
mod textures;

use std::collections::HashMap;
use std::sync::Arc;

pub use fit::fits;
pub use proof::{agrees, checks, kernel_name, operands, question, unproven};
pub use single::{Trial, node_session, run_node, run_node_with, trial_session};

use launch::{POISON, encode, padded};
use textures::Texture;

use super::{Options, PlanRow};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::gpu::pipeline::Kernel;
use crate::gpu::readback::{Pending, Staging};
use crate::graph::{Graph, Storage, ValueId};
use crate::tensor::{DType, Elements, Spec, Tensor};

/// Executes graphs on an adapter.
pub struct GpuSession {
    gpu: Gpu,
    persistent: HashMap<String, (wgpu::Buffer, Spec)>,
    programs: Vec<Program>,
    staging: Staging,
    /// Buffers that values share.
    slots: Vec<Slot>,
    /// Textures that copies of operands share.
    textures: Vec<Texture>,
    frame: Frame,
    /// What the next submission leaves in workgroup memory before its kernels run.
    soil: Option<Poison>,
}

/// A buffer that values share.
struct Slot {
    buffer: wgpu::Buffer,
    /// How much of it they need.
    bytes: u64,
    /// Whether one of them holds integers.
    integers: bool,
}

/// Bytes round each value's memory that no kernel may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    before: u64,
    after: u64,
}

impl Frame {
    /// None: how plans run.
    const NONE: Self = Self { before: 0, after: 0 };
    /// Before: the largest alignment that a device asks of an offset. After: more than a workgroup can overshoot.
    const CANARIES: Self = Self { before: 256, after: 4096 };
}

/// A graph, ready to run.
struct Program {
    graph: Graph,
    commands: Vec<Command>,
    /// For each command, whether a step that is not watched leaves it out.
    watching: Vec<bool>,
    rows: Vec<PlanRow>,
    /// Where each value of the graph lives: buffer, byte offset.
    places: Vec<Option<(wgpu::Buffer, u64)>>,
    reuse: bool,
}

/// An item of a plan.
enum Command {
    Dispatch(Dispatched),
    Copy(Copied),
}

/// One dispatch.
struct Dispatched {
    kernel: Arc<Kernel>,
    bindings: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// One operand copied into a texture.
struct Copied {
    buffer: wgpu::Buffer,
    offset: u64,
    texels: usize,
    texture: Texture,
}

/// What memory is filled with before a kernel is tried. It differs from buffer to buffer: a kernel that reads beyond one and
/// writes what it makes of it beyond another would hide behind a NaN that arithmetic carries along unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// NaN that no kernel computes: who reads it without having written it is found out.
    Nan,
    /// Large floats and small integers: who changes a margin in place, leaves out a NaN that should be written, or takes what
    /// lies in a margin for an index, is found out.
    Number,
}

impl Poison {
    fn word(self, number: usize, integers: bool) -> u32 {
        match self {
            Self::Number if integers => number as u32,
            Self::Nan => POISON + ((number as u32 % 62) << 16),
            Self::Number => 0x4b5e_ed00 + number as u32,
        }
    }
}

/// Recorded, and not yet submitted.
struct Finished {
    commands: wgpu::CommandBuffer,
    /// Where what is to be read is copied to.
    staged: Option<wgpu::Buffer>,
}

/// Persistent values on their way from the device.
pub struct Reading {
    pending: Option<Pending>,
    specs: Vec<Spec>,
}

impl Reading {
    /// The tensors, when the steps are done.
    pub async fn wait(self) -> Result<Vec<Tensor>> {
        let Some(pending) = self.pending else { return Ok(Vec::new()) };
        let bytes = pending.bytes().await?;
        let mut at = 0;
        let tensors = self.specs.iter().map(|spec| {
            let tensor = decode(spec, &bytes[at..]);
            at += padded(spec) as usize;
            tensor
        });
        Ok(tensors.collect())
    }
}

fn decode(spec: &Spec, bytes: &[u8]) -> Tensor {
    let bytes = &bytes[..spec.bytes()];
    let elements = match spec.dtype {
        DType::F32 => Elements::Float(bytemuck::pod_collect_to_vec(bytes)),
        DType::U32 => Elements::U32(bytemuck::pod_collect_to_vec(bytes)),
        DType::U8 => Elements::U8(bytes.to_vec()),
    };
    Tensor::new(spec.shape.clone(), elements)
}

impl GpuSession {
    /// Plans, compiles and allocates.
    pub fn new(gpu: &Gpu, graphs: Vec<Graph>, options: Options) -> Result<Self> {
        build::session(gpu, graphs, options)
    }

    /// Overwrites a persistent value before the next submission.
    pub fn write(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let (buffer, spec) = self.lookup(name)?;
        if *spec != tensor.spec() {
            return Err(Error::Invalid(format!("{name} is {spec:?}, not {:?}", tensor.spec())));
        }
        self.gpu.queue().write_buffer(buffer, self.frame.before, &encode(tensor));
        self.gpu.check()
    }

    fn lookup(&self, name: &str) -> Result<&(wgpu::Buffer, Spec)> {
        let found = self.persistent.get(name);
        found.ok_or_else(|| Error::Invalid(format!("the session has no persistent value named {name}")))
    }

    /// Runs a graph `steps` times in one submission and starts to read persistent values after it.
    pub fn run(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<Reading> {
        let recorded = self.recorded(graph, [steps, 0], read)?;
        self.sent(recorded)
    }

    /// [`GpuSession::run`], the last step with the nodes that watch it.
    pub fn run_watched(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<Reading> {
        let recorded = self.recorded(graph, [steps.saturating_sub(1), steps.min(1)], read)?;
        self.sent(recorded)
    }

    /// Plain steps and watched ones, with the copies of what is read after them, and what that is.
    fn recorded(&mut self, graph: usize, [plain, watched]: [usize; 2], read: &[&str]) -> Result<(Finished, Vec<Spec>)> {
        self.gpu.check()?;
        let label = wgpu::CommandEncoderDescriptor { label: Some("steps") };
        let mut encoder = self.gpu.device().create_command_encoder(&label);
        if let Some(poison) = self.soil.take() {
            self.gpu.overwrite_workgroup_memory(&mut encoder, poison.word(0, false));
        }
        if plain + watched > 0 {
            let Program { commands, watching, .. } = &self.programs[graph];
            let step = |watched: bool| {
                let all = commands.iter().zip(watching);
                all.filter(move |(_, watches)| watched || !**watches).map(|(command, _)| command)
            };
            let steps = std::iter::repeat_n(false, plain).chain(std::iter::repeat_n(true, watched));
            record(&mut encoder, steps.flat_map(step));
        }
        let values: Vec<_> = read.iter().map(|name| self.lookup(name)).collect::<Result<_>>()?;
        let sources: Vec<_> = values.iter().map(|(buffer, spec)| (buffer, self.frame.before, padded(spec))).collect();
        let specs = values.iter().map(|(_, spec)| spec.clone()).collect();
        Ok((self.finished(encoder, &sources), specs))
    }

    fn sent(&self, (finished, specs): (Finished, Vec<Spec>)) -> Result<Reading> {
        Ok(Reading { pending: self.send(finished)?, specs })
    }

    fn submit(&self, encoder: wgpu::CommandEncoder, sources: &[(&wgpu::Buffer, u64, u64)]) -> Result<Option<Pending>> {
        self.send(self.finished(encoder, sources))
    }

    fn finished(&self, mut encoder: wgpu::CommandEncoder, sources: &[(&wgpu::Buffer, u64, u64)]) -> Finished {
        let staged = (!sources.is_empty()).then(|| self.staging.copy(&self.gpu, &mut encoder, sources));
        Finished { commands: encoder.finish(), staged }
    }

    fn send(&self, Finished { commands, staged }: Finished) -> Result<Option<Pending>> {
        self.gpu.queue().submit([commands]);
        self.gpu.check()?;
        Ok(staged.map(|buffer| self.staging.read(&self.gpu, buffer)))
    }

    /// See [`super::Session::values`].
    pub async fn values(&mut self, graph: usize) -> Result<Vec<(usize, Tensor)>> {
        let program = &self.programs[graph];
        if program.reuse {
            return Err(Error::Invalid("values share memory: the session was built with reuse".into()));
        }
        let outputs = program.graph.nodes().iter().enumerate();
        let outputs = outputs.flat_map(|(position, node)| node.outputs.iter().map(move |&id| (position, id)));
        let mut wanted: Vec<(usize, ValueId)> = Vec::new();
        let mut sources = Vec::new();
        for (position, id) in outputs {
            if let Some((buffer, offset)) = &program.places[id.0] {
                wanted.push((position, id));
                sources.push((buffer, *offset, padded(program.graph.spec(id))));
            }
        }
        let encoder = self.gpu.device().create_command_encoder(&Default::default());
        let pending = self.submit(encoder, &sources)?;
        let specs = wanted.iter().map(|(_, id)| program.graph.spec(*id).clone()).collect();
        let tensors = Reading { pending, specs }.wait().await?;
        Ok(wanted.into_iter().map(|(position, _)| position).zip(tensors).collect())
    }

    /// See [`super::Session::trace`].
    pub async fn trace(&mut self, graph: usize) -> Result<Vec<Vec<Tensor>>> {
        self.gpu.check()?;
        let Program { graph, commands, rows, places, .. } = &self.programs[graph];
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let (mut commands, mut copied) = (commands.as_slice(), Vec::new());
        for (node, row) in graph.nodes().iter().zip(rows) {
            let (own, rest) = commands.split_at(row.dispatches + row.copies);
            commands = rest;
            record(&mut encoder, own);
            let mut sources = Vec::new();
            for &id in &node.outputs {
                let problem = || Error::Invalid(format!("{} has no memory to be read from", graph.value(id).name));
                let (buffer, offset) = places[id.0].as_ref().ok_or_else(problem)?;
                sources.push((buffer, *offset, padded(graph.spec(id))));
            }
            copied.push((self.staging.copy(&self.gpu, &mut encoder, &sources), graph.specs(&node.outputs)));
        }
        self.gpu.queue().submit([encoder.finish()]);
        self.gpu.check()?;
        let read = |(buffer, specs)| Reading { pending: Some(self.staging.read(&self.gpu, buffer)), specs };
        let readings: Vec<_> = copied.into_iter().map(read).collect();
        let mut traced = Vec::with_capacity(readings.len());
        for reading in readings {
            traced.push(reading.wait().await?);
        }
        Ok(traced)
    }

    /// Fills everything but constants, workgroup memory included where a kernel uses it, so that a kernel which does not write
    /// what it should is found out.
    pub fn poison(&mut self, poison: Poison) {
        let mut commands = self.programs.iter().flat_map(|program| &program.commands);
        let uses = |command: &Command| matches!(command, Command::Dispatch(d) if d.kernel.entry.workgroup_bytes > 0);
        self.soil = commands.any(uses).then_some(poison);
        for (number, texture) in self.textures.iter().enumerate() {
            texture.poison(&self.gpu, poison.word(number, false));
        }
        for (number, (buffer, _, integers)) in self.memory().enumerate() {
            let words = vec![poison.word(number, integers); buffer.size() as usize / 4];
            self.gpu.queue().write_buffer(buffer, 0, bytemuck::cast_slice(&words));
        }
    }

    /// Every buffer that holds values which nodes compute or are given, how many bytes of it they take, and whether they are
    /// integers.
    fn memory(&self) -> impl Iterator<Item = (&wgpu::Buffer, u64, bool)> {
        let slots = self.slots.iter().map(|slot| (&slot.buffer, slot.bytes, slot.integers));
        slots.chain(self.persistent.values().map(|(buffer, spec)| (buffer, padded(spec), spec.dtype != DType::F32)))
    }

    /// How many words outside of the values were written since [`GpuSession::poison`]; only a session that has margins round
    /// its values can tell.
    pub async fn trespasses(&self, poison: Poison) -> Result<usize> {
        let (mut margins, mut expected) = (Vec::new(), Vec::new());
        for (number, (buffer, bytes, integers)) in self.memory().enumerate() {
            let end = self.frame.before + bytes;
            for (start, bytes) in [(0, self.frame.before), (end, buffer.size() - end)] {
                if bytes > 0 {
                    margins.push((buffer, start, bytes));
                    expected.extend(std::iter::repeat_n(poison.word(number, integers), bytes as usize / 4));
                }
            }
        }
        let encoder = self.gpu.device().create_command_encoder(&Default::default());
        let Some(pending) = self.submit(encoder, &margins)? else { return Ok(0) };
        let found = pending.bytes().await?;
        Ok(found.chunks_exact(4).zip(expected).filter(|(word, expected)| *word != expected.to_le_bytes()).count())
    }

    /// Bytes of all buffers and textures that hold values.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().map(|slot| slot.bytes).sum::<u64>()
            + self.persistent.values().map(|(buffer, _)| buffer.size()).sum::<u64>()
            + self.textures.iter().map(Texture::bytes).sum::<u64>()
    }

    /// See [`super::Session::graph`].
    pub fn graph(&self, graph: usize) -> &Graph {
        &self.programs[graph].graph
    }

    /// See [`super::Session::plan`].
    pub fn plan(&self, graph: usize) -> Vec<PlanRow> {
        self.programs[graph].rows.clone()
    }
}

/// Records a plan's items: all dispatches between two copies in one pass.
fn record<'a>(encoder: &mut wgpu::CommandEncoder, commands: impl IntoIterator<Item = &'a Command>) {
    let mut open: Option<wgpu::ComputePass<'static>> = None;
    for command in commands {
        match command {
            Command::Dispatch(dispatched) => {
                let begin = || encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime();
                dispatch(open.get_or_insert_with(begin), dispatched);
            }
            Command::Copy(copied) => {
                // A pass ends when it is dropped, and the encoder records nothing beside it before.
                open = None;
                copy(encoder, copied);
            }
        }
    }
}

/// Records one dispatch.
fn dispatch(pass: &mut wgpu::ComputePass<'_>, dispatched: &Dispatched) {
    pass.set_pipeline(&dispatched.kernel.pipeline);
    pass.set_bind_group(0, &dispatched.bindings, &[]);
    let [x, y, z] = dispatched.workgroups;
    pass.dispatch_workgroups(x, y, z);
}

/// Records one copy.
fn copy(encoder: &mut wgpu::CommandEncoder, Copied { buffer, offset, texels, texture }: &Copied) {
    texture.fill(encoder, buffer, *offset, *texels);
}

/// The value in whose memory `id` lies, and the byte offset there.
fn place(graph: &Graph, id: ValueId) -> (ValueId, u64) {
    match graph.value(id).storage {
        Storage::Updated(of) => place(graph, of),
        Storage::Within { parent, offset } => (parent, offset as u64 * 4),
        _ => (id, 0),
    }
}
