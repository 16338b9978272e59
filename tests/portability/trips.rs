//! Declared loop iterations against counted ones: each program runs in a copy whose loops count, on the adapter at hand.
//!
//! Old software drivers end loops after 65,535 iterations without a word, so `kernels::lower` refuses more than 60,000 there,
//! by what dispatches declare. That is worth as much as the declarations are.

use std::collections::HashMap;

use wgrad::gpu::reflect::Kind;
use wgrad::gpu::{Gpu, Module, compose::compose};
use wgrad::kernels::TEXTURE_WIDTH;
use wgrad::verify::case::Depth;
use wgrad::verify::export::{Filled, Launch, Recipe, is_small, recipes};
use wgrad::verify::sweep::cases;

/// Where the counter is bound in the copies; far above what programs use.
const COUNTER: u32 = 900;

/// The program with loops that count: `counted` are the iterations of this invocation so far, and the largest count of all
/// invocations ends up in a buffer.
fn counting(text: &str) -> String {
    let mut out = format!(
        "@group(0) @binding({COUNTER}) var<storage, read_write> counter: atomic<u32>;\nvar<private> counted: u32;\n"
    );
    for line in text.lines() {
        let code = line.trim();
        let opens = ["for (", "while ", "loop {"].iter().any(|start| code.starts_with(start)) && code.ends_with('{');
        out.push_str(line);
        out.push_str(if opens { " counted += 1u; atomicMax(&counter, counted);\n" } else { "\n" });
    }
    out
}

/// Runs a case and answers, for each of its launches, the most iterations that an invocation made.
fn count(gpu: &Gpu, pipelines: &mut HashMap<(Module, String), wgpu::ComputePipeline>, case: &Recipe) -> Vec<u32> {
    let (device, queue) = (gpu.device(), gpu.queue());
    let usage = wgpu::BufferUsages::STORAGE
        | wgpu::BufferUsages::UNIFORM
        | wgpu::BufferUsages::COPY_DST
        | wgpu::BufferUsages::COPY_SRC;
    let buffer = |size: u64, data: &[u8]| {
        let (label, size) = (Some("trips"), size.next_multiple_of(16).max(16));
        let buffer = device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
        queue.write_buffer(&buffer, 0, data);
        buffer
    };
    let buffers: Vec<_> = case.buffers.iter().map(|b| buffer(b.bytes, b.data.as_deref().unwrap_or_default())).collect();
    let counters: Vec<_> = case.launches.iter().map(|_| buffer(16, &[0; 16])).collect();
    let mut encoder = device.create_command_encoder(&Default::default());
    for (launch, counter) in case.launches.iter().zip(&counters) {
        let pipeline = pipelines
            .entry((launch.module.clone(), launch.entry.name.clone()))
            .or_insert_with(|| pipeline(device, launch));
        let uniform = launch.uniform.as_ref().map(|(number, bytes)| (*number, buffer(bytes.len() as u64, bytes)));
        let mut entries: Vec<_> = launch
            .bindings
            .iter()
            .map(|bound| {
                let (buffer, size) = (&buffers[bound.buffer], std::num::NonZeroU64::new(bound.size));
                let binding = wgpu::BufferBinding { buffer, offset: bound.offset, size };
                wgpu::BindGroupEntry { binding: bound.number, resource: wgpu::BindingResource::Buffer(binding) }
            })
            .collect();
        let views: Vec<_> =
            launch.textures.iter().map(|t| (t.number, fill(device, &mut encoder, t, &buffers[t.buffer]))).collect();
        entries.extend(views.iter().map(|(binding, view)| wgpu::BindGroupEntry {
            binding: *binding,
            resource: wgpu::BindingResource::TextureView(view),
        }));
        let whole = uniform.iter().map(|(number, buffer)| (*number, buffer)).chain([(COUNTER, counter)]);
        entries.extend(
            whole.map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }),
        );
        let layout = &pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = launch.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
    let (size, usage) = (4 * counters.len() as u64, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let read = device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    for (index, counter) in counters.iter().enumerate() {
        encoder.copy_buffer_to_buffer(counter, 0, &read, 4 * index as u64, 4);
    }
    queue.submit([encoder.finish()]);
    read.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    gpu.check().unwrap_or_else(|e| panic!("{} / {}: {e}", case.operator, case.name));
    let bytes = read.slice(..).get_mapped_range().unwrap();
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// The copy of a buffer in a texture, as plans make it: a row of zeros, then whole rows and a rest.
fn fill(
    device: &wgpu::Device,
    encoder: &mut wgpu::CommandEncoder,
    filled: &Filled,
    buffer: &wgpu::Buffer,
) -> wgpu::TextureView {
    let extent = |width, height| wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    let width = TEXTURE_WIDTH as u32;
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: extent(width, filled.rows as u32),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let (whole, rest) = (filled.texels as u32 / width, filled.texels as u32 % width);
    for (row, size) in [(0, extent(width, whole)), (whole, extent(rest, 1))] {
        if size.width > 0 && size.height > 0 {
            let (offset, bytes_per_row) = (u64::from(row * width * 16), Some(width * 16));
            let layout = wgpu::TexelCopyBufferLayout { offset, bytes_per_row, rows_per_image: None };
            let mut to = texture.as_image_copy();
            to.origin.y = 1 + row;
            encoder.copy_buffer_to_texture(wgpu::TexelCopyBufferInfo { buffer, layout }, to, size);
        }
    }
    texture.create_view(&Default::default())
}

fn pipeline(device: &wgpu::Device, launch: &Launch) -> wgpu::ComputePipeline {
    // Loops that nobody counts would make this test worthless.
    let text = counting(&compose(&launch.module).unwrap().text);
    let source = wgpu::ShaderSource::Wgsl(text.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only });
    let declared = launch.entry.bindings.iter().map(|binding| match binding.kind {
        Kind::Uniform { .. } => (binding.number, buffer(wgpu::BufferBindingType::Uniform)),
        Kind::Storage { read_only } => (binding.number, storage(read_only)),
        Kind::Texture => {
            let (access, format) = (wgpu::StorageTextureAccess::ReadOnly, wgpu::TextureFormat::Rgba32Float);
            let view_dimension = wgpu::TextureViewDimension::D2;
            (binding.number, wgpu::BindingType::StorageTexture { access, format, view_dimension })
        }
    });
    let entries: Vec<_> = declared
        .chain([(COUNTER, storage(false))])
        .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        })
        .collect();
    let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&group)],
        immediate_size: 0,
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(&launch.entry.name),
        layout: Some(&layout),
        module: &module,
        entry_point: Some(&launch.entry.name),
        compilation_options: Default::default(),
        cache: None,
    })
}

#[test]
fn no_invocation_loops_more_often_than_its_dispatch_declares() {
    let Some(gpu) = crate::adapter::adapter() else { return };
    let (mut found, mut counted, mut pipelines) = (Vec::new(), 0, HashMap::new());
    for case in cases(Depth::Standard, gpu.caps()).iter().filter(|case| is_small(case)) {
        for case in recipes(case, gpu.caps(), 0).unwrap() {
            for (launch, most) in case.launches.iter().zip(count(&gpu, &mut pipelines, &case)) {
                counted += 1;
                // A dispatch without loops declares 1.
                if most as usize > launch.trips && !(most == 0 && launch.trips <= 1) {
                    let (entry, trips) = (&launch.entry.name, launch.trips);
                    let case = format!("{} / {} / {}", case.operator, case.name, case.variant);
                    found.push(format!("{case}, {entry}: {most} iterations, {trips} declared"));
                }
            }
        }
    }
    println!("{counted} dispatches counted");
    assert!(found.is_empty(), "{} of {counted} dispatches loop more often:\n  {}", found.len(), found.join("\n  "));
}

#[test]
fn every_loop_that_is_left_in_a_program_counts() {
    for kernel in crate::programs::kernels() {
        let (module, _) = &*kernel.naga;
        let mut loops = 0;
        let blocks = module.functions.iter().map(|(_, function)| &function.body);
        for block in blocks.chain(module.entry_points.iter().map(|entry| &entry.function.body)) {
            crate::lint::each_statement(block, &mut |statement| {
                loops += usize::from(matches!(statement, naga::Statement::Loop { .. }));
            });
        }
        let counting = counting(&compose(&kernel.module).unwrap().text).matches("counted += 1u;").count();
        assert_eq!(loops, counting, "{}: loops, loops that count", kernel.title());
    }
}
