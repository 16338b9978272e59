//! From graphs to dispatches: lower every node, plan the memory, compile the pipelines, fill the uniforms, bind.

use std::collections::HashMap;
use std::sync::Arc;

use super::launch::{UNIFORM_ALIGNMENT, encode, mismatch, operands, padded, span, uniform, workgroups};
use super::textures::{Texture, Textures, textures};
use super::{Command, Copied, Dispatched, Frame, GpuSession, Options, PlanRow, Program, Slot, Trial, place, proof};
use crate::error::{Error, Result};
use crate::gpu::pipeline::{Checks, Kernel};
use crate::gpu::readback::Staging;
use crate::gpu::{Caps, Gpu};
use crate::graph::{Graph, Storage, Value, ValueId, lifetimes};
use crate::kernels::{self, Dispatch, Lowered, Operand, Problem};
use crate::ops::{Op, Operator};
use crate::session::memory::{MemoryPlan, Need, plan};
use crate::tensor::{DType, Elements, Spec, Tensor};

/// A graph with everything decided and nothing allocated.
struct Draft {
    graph: Graph,
    lowered: Vec<Lowered>,
    /// For each node, whether its kernels keep their run-time checks.
    checks: Vec<Checks>,
    memory: MemoryPlan,
    slot_of_value: HashMap<ValueId, usize>,
    /// For each node, the slots of its workspaces.
    slots_of_workspaces: Vec<Vec<usize>>,
    textures: Textures,
}

pub(super) fn session(gpu: &Gpu, graphs: Vec<Graph>, options: Options) -> Result<GpuSession> {
    let choose = |op: &Op, problem: &Problem| proof::choose(gpu, op, problem, options);
    let draft = |graph| draft(gpu.caps(), graph, options.reuse, choose, |lowered| proof::checks(gpu, lowered));
    let drafts = graphs.into_iter().map(draft).collect::<Result<_>>()?;
    realise(gpu, drafts, &Manner { reuse: options.reuse, frame: Frame::NONE, caps: gpu.caps() })
}

/// A session for one graph without reuse, every node in the same variant.
pub(super) fn single(gpu: &Gpu, graph: Graph, variant: &'static str, trial: &Trial) -> Result<GpuSession> {
    let caps = trial.caps.as_ref().unwrap_or(gpu.caps());
    let drafts = vec![draft(caps, graph, false, |_, _| Ok(variant), |_| trial.checks)?];
    let frame = if trial.canaries { Frame::CANARIES } else { Frame::NONE };
    realise(gpu, drafts, &Manner { reuse: false, frame, caps })
}

/// How drafts become a session.
struct Manner<'a> {
    reuse: bool,
    frame: Frame,
    caps: &'a Caps,
}

fn realise(gpu: &Gpu, drafts: Vec<Draft>, manner: &Manner) -> Result<GpuSession> {
    let mut wanted = Vec::new();
    for draft in &drafts {
        for (lowered, checks) in draft.lowered.iter().zip(&draft.checks) {
            let dispatches = lowered.dispatches.iter();
            wanted.extend(dispatches.map(|dispatch| (dispatch.module.clone(), dispatch.entry, *checks)));
        }
    }
    let mut kernels = gpu.kernels().get(gpu, &wanted)?.into_iter();
    let frame = manner.frame;
    let persistent = persistent(gpu, &drafts, frame)?;
    // Graphs of a session never run at the same time: they share their slots and textures.
    let sizes: Vec<u64> = largest(drafts.iter().map(|draft| draft.memory.slots.as_slice()));
    let rows: Vec<usize> = largest(drafts.iter().map(|draft| draft.textures.rows.as_slice()));
    let mut integers = vec![false; sizes.len()];
    for draft in &drafts {
        let values = draft.slot_of_value.iter().map(|(value, slot)| (*slot, draft.graph.spec(*value)));
        let workspaces = draft.lowered.iter().zip(&draft.slots_of_workspaces);
        let workspaces = workspaces.flat_map(|(lowered, slots)| slots.iter().copied().zip(&lowered.workspaces));
        values.chain(workspaces).for_each(|(slot, spec)| integers[slot] |= spec.dtype != DType::F32);
    }
    let slots: Vec<_> = sizes.iter().map(|&bytes| buffer(gpu, "slot", bytes, frame)).collect::<Result<_>>()?;
    let textures: Vec<_> = rows.iter().map(|&rows| Texture::new(gpu, rows)).collect::<Result<_>>()?;
    let memory = Memory { slots: &slots, textures: &textures, persistent: &persistent };
    let programs = drafts.into_iter().map(|draft| {
        let count = draft.lowered.iter().map(|lowered| lowered.dispatches.len()).sum();
        let kernels: Vec<_> = kernels.by_ref().take(count).collect();
        program(gpu, draft, &kernels, &memory, manner)
    });
    let programs = programs.collect::<Result<_>>()?;
    gpu.check()?;
    let slots = slots.into_iter().zip(sizes).zip(integers);
    let slots = slots.map(|((buffer, bytes), integers)| Slot { buffer, bytes, integers }).collect();
    let (gpu, staging) = (gpu.clone(), Staging::default());
    Ok(GpuSession { gpu, persistent, programs, staging, slots, textures, frame, soil: None })
}

/// What values lie in.
struct Memory<'a> {
    slots: &'a [wgpu::Buffer],
    textures: &'a [Texture],
    persistent: &'a HashMap<String, (wgpu::Buffer, Spec)>,
}

/// The largest size at each position of some lists.
fn largest<'a, T: Copy + Ord + 'a>(lists: impl Iterator<Item = &'a [T]>) -> Vec<T> {
    let mut sizes: Vec<T> = Vec::new();
    for list in lists {
        for (index, &size) in list.iter().enumerate() {
            match sizes.get_mut(index) {
                Some(known) => *known = size.max(*known),
                None => sizes.push(size),
            }
        }
    }
    sizes
}

fn draft(
    caps: &Caps,
    graph: Graph,
    reuse: bool,
    choose: impl Fn(&Op, &Problem) -> Result<&'static str>,
    checks: impl Fn(&Lowered) -> Checks,
) -> Result<Draft> {
    let mut lowered = Vec::with_capacity(graph.nodes().len());
    let mut kept = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps };
        let variant = choose(&node.op, &problem)?;
        let node = kernels::lower(&node.op, &problem, variant).map_err(|error| at_node(error, &node.name))?;
        kept.push(checks(&node));
        lowered.push(node);
    }
    let lives = lifetimes(&graph);
    let mut needs: Vec<Need> = Vec::new();
    for life in &lives {
        let watch = graph.nodes()[life.first].watch;
        needs.push(Need { bytes: padded(graph.spec(life.value)), first: life.first, last: life.last, watch });
    }
    for (position, lowered) in lowered.iter().enumerate() {
        needs.extend(lowered.workspaces.iter().map(|spec| Need {
            bytes: padded(spec),
            first: position,
            last: position,
            watch: graph.nodes()[position].watch,
        }));
    }
    let memory = plan(&needs, reuse);
    let slot_of_value = lives.iter().zip(&memory.slot_of).map(|(life, &slot)| (life.value, slot)).collect();
    let mut rest = memory.slot_of[lives.len()..].iter().copied();
    let slots_of_workspaces =
        lowered.iter().map(|lowered| rest.by_ref().take(lowered.workspaces.len()).collect()).collect();
    let textures = textures(&graph, &lowered, reuse);
    Ok(Draft { graph, lowered, checks: kept, memory, slot_of_value, slots_of_workspaces, textures })
}

fn at_node(error: Error, node: &str) -> Error {
    match error {
        Error::Shape { op, problem } => Error::shape(format!("{node} ({op})"), problem),
        other => other,
    }
}

fn buffer(gpu: &Gpu, label: &str, bytes: u64, frame: Frame) -> Result<wgpu::Buffer> {
    let bytes = frame.before + bytes.next_multiple_of(16).max(16) + frame.after;
    let most = gpu.device().limits().max_buffer_size;
    if bytes > most {
        return Err(Error::Device(format!(
            "{label} needs {bytes} bytes and this device's buffers hold {most}; use a smaller batch"
        )));
    }
    let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    match pollster::block_on(scope.pop()) {
        None => Ok(buffer),
        Some(_) => Err(Error::Memory(format!("the device has no {bytes} bytes left for {label}; use a smaller batch"))),
    }
}

fn persistent(gpu: &Gpu, drafts: &[Draft], frame: Frame) -> Result<HashMap<String, (wgpu::Buffer, Spec)>> {
    let mut all: HashMap<String, (wgpu::Buffer, Spec)> = HashMap::new();
    for value in drafts.iter().flat_map(|draft| draft.graph.values()) {
        if value.storage != Storage::Persistent {
            continue;
        }
        match all.get(&value.name) {
            Some((_, spec)) if *spec == value.spec => {}
            Some((_, spec)) => {
                let problem = format!("two graphs want {} as {spec:?} and as {:?}", value.name, value.spec);
                return Err(Error::Invalid(problem));
            }
            None => {
                let buffer = buffer(gpu, &value.name, value.spec.bytes() as u64, frame)?;
                all.insert(value.name.clone(), (buffer, value.spec.clone()));
            }
        }
    }
    Ok(all)
}

fn program(gpu: &Gpu, draft: Draft, kernels: &[Arc<Kernel>], memory: &Memory, manner: &Manner) -> Result<Program> {
    let mut places = Vec::with_capacity(draft.graph.values().len());
    for index in 0..draft.graph.values().len() {
        let (root, offset) = place(&draft.graph, ValueId(index));
        let value = draft.graph.value(root);
        let buffer = match &value.storage {
            Storage::Persistent => memory.persistent.get(&value.name).map(|(buffer, _)| buffer.clone()),
            Storage::Constant(data) => Some(constant(gpu, value, data)?),
            _ => draft.slot_of_value.get(&root).map(|&slot| memory.slots[slot].clone()),
        };
        let before = if matches!(value.storage, Storage::Constant(_)) { 0 } else { manner.frame.before };
        places.push(buffer.map(|buffer| (buffer, before + offset)));
    }
    let uniforms = uniforms(gpu, &draft, kernels)?;
    let (mut commands, mut watching) = (Vec::with_capacity(kernels.len()), Vec::with_capacity(kernels.len()));
    let mut index = 0;
    let mut rows = Vec::with_capacity(draft.graph.nodes().len());
    for (position, (node, lowered)) in draft.graph.nodes().iter().zip(&draft.lowered).enumerate() {
        let resolve = |operand: Operand| -> (Option<(wgpu::Buffer, u64)>, Spec) {
            match operand {
                Operand::Input(i) => (places[node.inputs[i].0].clone(), draft.graph.spec(node.inputs[i]).clone()),
                Operand::Output(i) => (places[node.outputs[i].0].clone(), draft.graph.spec(node.outputs[i]).clone()),
                Operand::Workspace(i) => {
                    let slot = draft.slots_of_workspaces[position][i];
                    (Some((memory.slots[slot].clone(), manner.frame.before)), lowered.workspaces[i].clone())
                }
            }
        };
        let mut copies = 0;
        for dispatch in &lowered.dispatches {
            for fill in &draft.textures.fills[index] {
                let place = resolve(fill.operand).0.ok_or_else(|| mismatch(dispatch, "nothing to copy".into()));
                let (buffer, offset) = place.map_err(|e| at_node(e, &node.name))?;
                let texture = memory.textures[fill.texture].clone();
                commands.push(Command::Copy(Copied { buffer, offset, texels: fill.texels, texture }));
                copies += 1;
            }
            let read = &draft.textures.read[index];
            let place =
                Place { uniforms: (&uniforms, index as u64), frame: manner.frame, read, textures: memory.textures };
            let bindings = bind(gpu, dispatch, &kernels[index], &place, resolve).map_err(|e| at_node(e, &node.name))?;
            let workgroups = workgroups(manner.caps, dispatch, &kernels[index].entry);
            let kernel = kernels[index].clone();
            commands.push(Command::Dispatch(Dispatched { kernel, bindings, workgroups }));
            index += 1;
        }
        let (operator, variant, dispatches) = (node.op.name(), lowered.variant, lowered.dispatches.len());
        watching.resize(commands.len(), node.watch);
        rows.push(PlanRow { node: node.name.clone(), operator, variant, dispatches, copies, watch: node.watch });
    }
    Ok(Program { graph: draft.graph, commands, watching, rows, places, reuse: manner.reuse })
}

fn constant(gpu: &Gpu, value: &Value, data: &Elements<f32>) -> Result<wgpu::Buffer> {
    let buffer = buffer(gpu, &value.name, value.spec.bytes() as u64, Frame::NONE)?;
    gpu.queue().write_buffer(&buffer, 0, &encode(&Tensor::new(value.spec.shape.clone(), data.clone())));
    Ok(buffer)
}

/// Bytes that a kernel's uniform struct takes in the buffer of all of them; at least one alignment, so that the n-th kernel's
/// struct starts at n alignments.
fn uniforms(gpu: &Gpu, draft: &Draft, kernels: &[Arc<Kernel>]) -> Result<wgpu::Buffer> {
    let mut bytes = vec![0u8; kernels.len().max(1) * UNIFORM_ALIGNMENT as usize];
    let dispatches = draft.lowered.iter().flat_map(|lowered| &lowered.dispatches);
    for (index, (dispatch, kernel)) in dispatches.zip(kernels).enumerate() {
        if let Some((_, members)) = uniform(dispatch, &kernel.entry)? {
            let at = index * UNIFORM_ALIGNMENT as usize;
            bytes[at..at + members.len()].copy_from_slice(&members);
        }
    }
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("uniforms"),
        size: bytes.len() as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&buffer, 0, &bytes);
    Ok(buffer)
}

/// Where a dispatch finds what is bound beside its buffers.
struct Place<'a> {
    /// The uniform structs of all dispatches, and the number of this one.
    uniforms: (&'a wgpu::Buffer, u64),
    frame: Frame,
    /// The textures that it reads, by the names of its variables.
    read: &'a HashMap<&'static str, usize>,
    textures: &'a [Texture],
}

fn bind(
    gpu: &Gpu,
    dispatch: &Dispatch,
    kernel: &Kernel,
    place: &Place,
    resolve: impl Fn(Operand) -> (Option<(wgpu::Buffer, u64)>, Spec),
) -> Result<wgpu::BindGroup> {
    let Place { uniforms: (uniforms, index), frame, read, textures } = *place;
    let most = gpu.caps().max_binding_bytes;
    let mut bound: Vec<(u32, wgpu::Buffer, u64, u64)> = Vec::new();
    if let Some((number, bytes)) = uniform(dispatch, &kernel.entry)? {
        bound.push((number, uniforms.clone(), index * UNIFORM_ALIGNMENT, bytes.len() as u64));
    }
    let mut views = Vec::new();
    for (declared, given) in operands(dispatch, &kernel.entry)? {
        if let Some(&texture) = read.get(given.name) {
            views.push((declared.number, &textures[texture].view));
            continue;
        }
        let (place, spec) = resolve(given.operand);
        let (buffer, start) =
            place.ok_or_else(|| mismatch(dispatch, format!("buffer {} has no memory", declared.name)))?;
        let (offset, size) = span(given, &spec);
        let offset = start + offset;
        if size > most {
            let problem =
                format!("{} has {size} bytes and this device binds {most} at most; use a smaller batch", declared.name);
            return Err(Error::shape(dispatch.entry, problem));
        }
        // What is written beyond the tensor lands in the margin, and is found there.
        let room = frame.after.min(most - size).min(buffer.size() - offset - size) / 4 * 4;
        bound.push((declared.number, buffer, offset, size + room));
    }
    let buffers = bound.iter().map(|(number, buffer, offset, size)| wgpu::BindGroupEntry {
        binding: *number,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset: *offset,
            size: std::num::NonZeroU64::new(*size),
        }),
    });
    let views = views
        .into_iter()
        .map(|(binding, view)| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::TextureView(view) });
    let entries: Vec<_> = buffers.chain(views).collect();
    let descriptor =
        wgpu::BindGroupDescriptor { label: Some(dispatch.entry), layout: &kernel.layout, entries: &entries };
    Ok(gpu.device().create_bind_group(&descriptor))
}
