//! Overwriting workgroup memory before a kernel is tried. It is not cleared between dispatches (that costs time, and has lost
//! devices), so a kernel that reads what it did not write finds whatever the last one left there: mostly zeros, which look right.

use std::sync::OnceLock;

use super::Gpu;

/// Every invocation fills its share; what is filled is read at a place that no compiler knows, so that none leaves it out.
const SHADER: &str = "
@group(0) @binding(0) var<storage, read_write> words: array<u32, 2>; // what is written, where it is read

var<workgroup> memory: array<u32, WORDS>;

@compute @workgroup_size(64)
fn fill(@builtin(local_invocation_index) lane: u32) {
    let word = words[0];
    for (var i = lane; i < WORDS; i += 64u) {
        memory[i] = word;
    }
    workgroupBarrier();
    if memory[(words[1] + lane) % WORDS] != word {
        words[1] = 0u;
    }
}
";

/// Enough workgroups to meet every multiprocessor of a GPU, and every thread of a driver on a CPU.
const WORKGROUPS: [u32; 2] = [1024, 64];

/// The pipeline that overwrites workgroup memory, with the buffer that it is given; made once for a device.
#[derive(Debug)]
struct Filler {
    pipeline: wgpu::ComputePipeline,
    words: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

/// Room for a device's [`Filler`].
#[derive(Debug, Default)]
pub(super) struct Slot(OnceLock<Filler>);

impl Slot {
    fn get(&self, gpu: &Gpu) -> &Filler {
        self.0.get_or_init(|| {
            let device = gpu.device();
            let source = format!("const WORDS: u32 = {}u;{SHADER}", gpu.caps().max_workgroup_bytes / 4);
            let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some("workgroup memory"),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("workgroup memory"),
                layout: None,
                module: &shader,
                entry_point: Some("fill"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            });
            let words = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("workgroup memory"),
                size: 8,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("workgroup memory"),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[wgpu::BindGroupEntry { binding: 0, resource: words.as_entire_binding() }],
            });
            Filler { pipeline, words, bindings }
        })
    }
}

impl Gpu {
    /// Records a dispatch that leaves `word` in the workgroup memory of the whole device. Sessions that do so at the same time
    /// may leave each other's word.
    pub fn overwrite_workgroup_memory(&self, encoder: &mut wgpu::CommandEncoder, word: u32) {
        let filler = self.workgroup_memory().get(self);
        self.queue().write_buffer(&filler.words, 0, bytemuck::cast_slice(&[word, 0]));
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&filler.pipeline);
        pass.set_bind_group(0, &filler.bindings, &[]);
        let [gpu, cpu] = WORKGROUPS;
        pass.dispatch_workgroups(if self.caps().cpu { cpu } else { gpu }, 1, 1);
    }
}
