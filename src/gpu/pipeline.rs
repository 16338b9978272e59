//! Compiled kernels: each composed shader becomes a module once, each entry point a pipeline once, all in parallel.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::compose::{Module, compose};
use super::reflect::{Entry, Kind, reflect};
use super::{Gpu, trusted};
use crate::error::{Error, Result};

/// A compiled entry point with what it declares.
#[derive(Debug)]
pub struct Kernel {
    /// What the shader declares.
    pub entry: Entry,
    /// The pipeline.
    pub pipeline: wgpu::ComputePipeline,
    /// The layout of its only bind group.
    pub layout: wgpu::BindGroupLayout,
}

/// Whether a kernel keeps the run-time checks that wgpu adds: bounds of buffers, ends of loops, divisors that are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checks {
    /// All of them.
    #[default]
    Kept,
    /// None: for kernels that were proven on this adapter.
    Dropped,
}

type Compiled = (wgpu::ShaderModule, Vec<Entry>);
type Key = (Module, &'static str, Checks);
type Modules = HashMap<(Module, Checks), Arc<Compiled>>;

/// The kernels of one device. Cheap to clone.
#[derive(Clone, Default)]
pub struct Kernels {
    modules: Arc<Mutex<Modules>>,
    kernels: Arc<Mutex<HashMap<Key, Arc<Kernel>>>>,
}

impl Kernels {
    /// The kernels for these modules and entry points, compiled where they were not yet.
    pub fn get(&self, gpu: &Gpu, wanted: &[Key]) -> Result<Vec<Arc<Kernel>>> {
        let mut missing: Vec<_> = {
            let known = lock(&self.kernels);
            wanted.iter().filter(|key| !known.contains_key(*key)).cloned().collect()
        };
        // Once each, wherever they stand.
        let mut met = HashSet::new();
        missing.retain(|key| met.insert(key.clone()));
        let compiled: Vec<_> = missing
            .into_par_iter()
            .map(|key| Ok((key.clone(), Arc::new(self.compile(gpu, &key)?))))
            .collect::<Result<_>>()?;
        let mut known = lock(&self.kernels);
        known.extend(compiled);
        Ok(wanted.iter().filter_map(|key| known.get(key).cloned()).collect())
    }

    /// How many pipelines were compiled so far.
    pub fn count(&self) -> usize {
        lock(&self.kernels).len()
    }

    fn module(&self, gpu: &Gpu, module: &Module, checks: Checks) -> Result<Arc<Compiled>> {
        let key = (module.clone(), checks);
        if let Some(known) = lock(&self.modules).get(&key) {
            return Ok(known.clone());
        }
        let source = compose(module)?;
        let entries = reflect(&source)?;
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(module.file),
            source: wgpu::ShaderSource::Wgsl(source.text.into()),
        };
        let shader = match checks {
            Checks::Kept => gpu.device().create_shader_module(descriptor),
            Checks::Dropped => trusted::module(gpu.device(), descriptor),
        };
        let compiled = Arc::new((shader, entries));
        lock(&self.modules).insert(key, compiled.clone());
        Ok(compiled)
    }

    fn compile(&self, gpu: &Gpu, key: &Key) -> Result<Kernel> {
        // A kernel that this driver refuses is an error of its own, not a failure of the device: another variant may do.
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = gpu.device().push_error_scope(wgpu::ErrorFilter::Internal);
        let kernel = self.compile_unscoped(gpu, key);
        let problems = [pollster::block_on(internal.pop()), pollster::block_on(scope.pop())];
        match problems.into_iter().flatten().next() {
            None => kernel,
            Some(problem) => Err(Error::Shader {
                file: key.0.file.to_owned(),
                line: 0,
                problem: format!("{} was refused by the driver: {problem}", key.1),
            }),
        }
    }

    fn compile_unscoped(&self, gpu: &Gpu, (module, name, checks): &Key) -> Result<Kernel> {
        let name = *name;
        let compiled = self.module(gpu, module, *checks)?;
        let (shader, entries) = &*compiled;
        let entry = entries.iter().find(|entry| entry.name == name).cloned().ok_or_else(|| Error::Shader {
            file: module.file.to_owned(),
            line: 0,
            problem: format!("there is no entry point {name}"),
        })?;
        Ok(Kernel::new(gpu.device(), module.file, shader, entry))
    }
}

impl Kernel {
    /// The pipeline of an entry point, with a layout that binds exactly what it declares.
    pub(super) fn new(device: &wgpu::Device, label: &str, shader: &wgpu::ShaderModule, entry: Entry) -> Self {
        let entries: Vec<_> =
            entry.bindings.iter().map(|binding| layout_entry(binding.number, &binding.kind)).collect();
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&entry.name),
            layout: Some(&pipeline_layout),
            module: shader,
            entry_point: Some(&entry.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Kernels write what they read: clearing costs time and has lost devices (wgpu #4591).
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Self { entry, pipeline, layout }
    }
}

fn layout_entry(number: u32, kind: &Kind) -> wgpu::BindGroupLayoutEntry {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let ty = match kind {
        Kind::Uniform { .. } => buffer(wgpu::BufferBindingType::Uniform),
        Kind::Storage { read_only } => buffer(wgpu::BufferBindingType::Storage { read_only: *read_only }),
        Kind::Texture => wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::ReadOnly,
            format: wgpu::TextureFormat::Rgba32Float,
            view_dimension: wgpu::TextureViewDimension::D2,
        },
    };
    wgpu::BindGroupLayoutEntry { binding: number, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
