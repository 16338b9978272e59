//! What the machine itself can do: kernels outside of every plan, and plain copies, timed by the wall clock. Benchmarks
//! measure with them the roofs under which all kernels of a device stay.

use std::time::{Duration, Instant};

use super::Gpu;
use super::compose::Source;
use super::pipeline::Kernel;
use super::reflect::reflect;
use crate::error::{Error, Result};

/// Buffers of a device that belong to no plan.
pub struct Memory {
    gpu: Gpu,
    buffers: Vec<wgpu::Buffer>,
}

impl Memory {
    /// A buffer of zeros for each of these sizes in bytes.
    pub fn new(gpu: &Gpu, sizes: &[u64]) -> Result<Self> {
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = |&size: &u64| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("probe"),
                size,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let buffers: Vec<wgpu::Buffer> = sizes.iter().map(buffer).collect();
        for buffer in &buffers {
            zero(gpu, buffer);
        }
        match pollster::block_on(scope.pop()) {
            None => Ok(Self { gpu: gpu.clone(), buffers }),
            Some(_) => Err(Error::Device(format!("the device has no {} bytes left", sizes.iter().sum::<u64>()))),
        }
    }

    /// The time of so many copies of the first buffer into the second, in one submission.
    pub fn copy(&self, times: usize) -> Result<Duration> {
        let [from, to, ..] = self.buffers.as_slice() else {
            return Err(Error::Invalid("a copy needs two buffers".into()));
        };
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        for _ in 0..times {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, Some(from.size().min(to.size())));
        }
        submitted(&self.gpu, encoder)
    }
}

/// Writes zeros: memory that nobody wrote may not be there yet, or be one page for all of it.
fn zero(gpu: &Gpu, buffer: &wgpu::Buffer) {
    const PIECE: u64 = 16 << 20;
    for start in (0..buffer.size()).step_by(PIECE as usize) {
        let bytes = PIECE.min(buffer.size() - start);
        gpu.queue().write_buffer(buffer, start, &vec![0; bytes as usize]);
    }
}

/// A kernel outside of every plan.
pub struct Probe {
    gpu: Gpu,
    kernel: Kernel,
    bindings: wgpu::BindGroup,
}

impl Probe {
    /// The only entry point of a WGSL program, whose storage buffers are those of `memory`, by binding number.
    pub fn new(gpu: &Gpu, program: &str, memory: &Memory) -> Result<Self> {
        let source = Source::plain(program.to_owned());
        let entry = reflect(&source)?.into_iter().next();
        let entry = entry.ok_or_else(|| Error::Invalid("a probe needs an entry point".into()))?;
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let shader = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("probe"),
            source: wgpu::ShaderSource::Wgsl(source.text.into()),
        });
        let kernel = Kernel::new(gpu.device(), "probe", &shader, entry);
        let bound = memory.buffers.iter().zip(0..).take(kernel.entry.bindings.len());
        let entries: Vec<_> = bound
            .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let descriptor = wgpu::BindGroupDescriptor { label: Some("probe"), layout: &kernel.layout, entries: &entries };
        let bindings = gpu.device().create_bind_group(&descriptor);
        match pollster::block_on(scope.pop()) {
            None => Ok(Self { gpu: gpu.clone(), kernel, bindings }),
            Some(problem) => Err(Error::Gpu(format!("a probe was refused ({problem})"))),
        }
    }

    /// The time of so many dispatches of so many workgroups, in one submission.
    pub fn time(&self, workgroups: u32, times: usize) -> Result<Duration> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        for _ in 0..times {
            pass.dispatch_workgroups(workgroups, 1, 1);
        }
        drop(pass);
        submitted(&self.gpu, encoder)
    }
}

fn submitted(gpu: &Gpu, encoder: wgpu::CommandEncoder) -> Result<Duration> {
    gpu.check()?;
    let commands = encoder.finish();
    let started = Instant::now();
    gpu.queue().submit([commands]);
    gpu.wait()?;
    Ok(started.elapsed())
}
