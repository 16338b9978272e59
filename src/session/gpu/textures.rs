//! Operands in textures: which values a plan copies there, before which dispatch, and which of them share a texture.
//!
//! A dispatch says which of its operands it reads from a texture ([`kernels::Binding::texture`]). The first one that does so
//! after the value was written has it copied; later ones read the same copy, as long as nothing writes the value. Every step
//! copies anew. Copies whose uses do not overlap share a texture.

use std::collections::HashMap;

use super::place;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::graph::{Graph, ValueId};
use crate::kernels::{self, Lowered, Operand, TEXTURE_WIDTH};
use crate::session::memory::{Need, plan};

/// Bytes of a texel: four floats.
const TEXEL: u64 = 16;
/// Bytes of a row.
const ROW: u64 = TEXEL * TEXTURE_WIDTH as u64;

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    /// The memory of a value, some bytes into it.
    Value(ValueId, u64),
    /// A workspace of a node.
    Workspace(usize, usize),
}

/// A copy of an operand of a node into a texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    /// The operand.
    pub operand: Operand,
    /// Its texels.
    pub texels: usize,
    /// The texture.
    pub texture: usize,
}

/// The textures of a program.
#[derive(Debug, Default)]
pub(super) struct Textures {
    /// For each dispatch, what is copied before it.
    pub fills: Vec<Vec<Fill>>,
    /// For each dispatch, the textures that it reads, by the names of its variables.
    pub read: Vec<HashMap<&'static str, usize>>,
    /// Rows of each texture.
    pub rows: Vec<usize>,
}

/// Plans the textures of a graph whose nodes were lowered to this.
pub(super) fn textures(graph: &Graph, lowered: &[Lowered], reuse: bool) -> Textures {
    let (mut needs, mut current) = (Vec::<Need>::new(), HashMap::<Origin, usize>::new());
    let mut textures = Textures::default();
    for (position, (node, lowered)) in graph.nodes().iter().zip(lowered).enumerate() {
        let origin = |operand: Operand| match operand {
            Operand::Input(i) => value(graph, node.inputs[i]),
            Operand::Output(i) => value(graph, node.outputs[i]),
            Operand::Workspace(i) => Origin::Workspace(position, i),
        };
        let spec = |operand: Operand| match operand {
            Operand::Input(i) => graph.spec(node.inputs[i]),
            Operand::Output(i) => graph.spec(node.outputs[i]),
            Operand::Workspace(i) => &lowered.workspaces[i],
        };
        let before = node.watch.then(|| current.clone());
        for dispatch in &lowered.dispatches {
            let now = textures.fills.len();
            let (mut fills, mut read) = (Vec::new(), HashMap::new());
            for binding in dispatch.bindings.iter().filter(|binding| binding.texture) {
                let copy = *current.entry(origin(binding.operand)).or_insert_with(|| {
                    let (texels, rows) = kernels::texels(spec(binding.operand));
                    needs.push(Need { bytes: rows as u64, first: now, last: now, watch: node.watch });
                    let copy = needs.len() - 1;
                    fills.push(Fill { operand: binding.operand, texels, texture: copy });
                    copy
                });
                needs[copy].last = now;
                read.insert(binding.name, copy);
            }
            // What may be written is no longer what was copied, whichever part of its memory that is.
            for binding in dispatch.bindings.iter().filter(|binding| !binding.texture) {
                match (binding.operand, origin(binding.operand)) {
                    (Operand::Input(_), _) => {}
                    (_, Origin::Value(root, _)) => {
                        current.retain(|key, _| !matches!(key, Origin::Value(of, _) if *of == root))
                    }
                    (_, workspace) => _ = current.remove(&workspace),
                }
            }
            textures.fills.push(fills);
            textures.read.push(read);
        }
        // A step that nobody watches copies nothing for those who watch.
        current = before.unwrap_or(current);
    }
    let memory = plan(&needs, reuse);
    for fill in textures.fills.iter_mut().flatten() {
        fill.texture = memory.slot_of[fill.texture];
    }
    for texture in textures.read.iter_mut().flat_map(HashMap::values_mut) {
        *texture = memory.slot_of[*texture];
    }
    textures.rows = memory.slots.iter().map(|&rows| rows as usize).collect();
    textures
}

fn value(graph: &Graph, id: ValueId) -> Origin {
    let (root, offset) = place(graph, id);
    Origin::Value(root, offset)
}

/// A texture of the device. Its first row is zeros, as WebGPU makes it, and nothing is ever copied there.
#[derive(Debug, Clone)]
pub(super) struct Texture {
    texture: wgpu::Texture,
    pub view: wgpu::TextureView,
}

impl Texture {
    pub fn new(gpu: &Gpu, rows: usize) -> Result<Self> {
        let most = gpu.device().limits().max_texture_dimension_2d as usize;
        if rows > most {
            return Err(Error::Device(format!("a texture needs {rows} rows and this device's have {most}")));
        }
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
            label: Some("operand"),
            size: extent(TEXTURE_WIDTH, rows),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Float,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        if pollster::block_on(scope.pop()).is_some() {
            let bytes = rows as u64 * ROW;
            return Err(Error::Device(format!(
                "the device has no {bytes} bytes left for a texture; use a smaller batch"
            )));
        }
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        Ok(Self { texture, view })
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.texture.height()) * ROW
    }

    /// Fills everything but the row of zeros.
    pub fn poison(&self, gpu: &Gpu, word: u32) {
        let rows = self.texture.height() as usize - 1;
        let words = vec![word; rows * TEXTURE_WIDTH * 4];
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(ROW as u32), rows_per_image: None };
        gpu.queue().write_texture(self.at(0), bytemuck::cast_slice(&words), layout, extent(TEXTURE_WIDTH, rows));
    }

    /// Copies a value that lies in a buffer: whole rows, then the rest.
    pub fn fill(&self, encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer, offset: u64, texels: usize) {
        let (rows, rest) = (texels / TEXTURE_WIDTH, texels % TEXTURE_WIDTH);
        for (row, size) in [(0, extent(TEXTURE_WIDTH, rows)), (rows, extent(rest, 1))] {
            if size.width > 0 && size.height > 0 {
                let offset = offset + row as u64 * ROW;
                let layout =
                    wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(ROW as u32), rows_per_image: None };
                encoder.copy_buffer_to_texture(wgpu::TexelCopyBufferInfo { buffer, layout }, self.at(row), size);
            }
        }
    }

    /// Where row number `row` of a value begins.
    fn at(&self, row: usize) -> wgpu::TexelCopyTextureInfo<'_> {
        let origin = wgpu::Origin3d { x: 0, y: 1 + row as u32, z: 0 };
        wgpu::TexelCopyTextureInfo { texture: &self.texture, mip_level: 0, origin, aspect: wgpu::TextureAspect::All }
    }
}

fn extent(width: usize, height: usize) -> wgpu::Extent3d {
    wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Dispatch;
    use crate::ops::{Add, ClipGradNorm, Op};
    use crate::tensor::Spec;

    /// A graph of sums, each node lowered to one dispatch that reads its first input from a texture.
    fn planned(sums: &[[usize; 2]], reuse: bool) -> Textures {
        let mut graph = Graph::new();
        let mut values = vec![graph.persistent("a", Spec::f32([1030]))];
        for (number, inputs) in sums.iter().enumerate() {
            let operands = inputs.map(|i| values[i]);
            values.extend(graph.apply(&format!("sum{number}"), Op::from(Add), &operands).unwrap());
        }
        let dispatch = |_| {
            let reads = Dispatch::new("elementwise.wgsl", "add").bind_texture("a", Operand::Input(0));
            Lowered::baseline(vec![reads.bind("y", Operand::Output(0))])
        };
        textures(&graph, &sums.iter().map(dispatch).collect::<Vec<_>>(), reuse)
    }

    fn copies(textures: &Textures) -> Vec<usize> {
        textures.fills.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_value_is_copied_once_for_all_that_read_it() {
        let textures = planned(&[[0, 0], [1, 0], [0, 1], [1, 1]], true);
        assert_eq!(copies(&textures), [1, 1, 0, 0]);
        assert_eq!(textures.rows, [3, 3]);
        assert_eq!(textures.fills[0][0].texels, 258);
        assert_eq!(textures.read[0], textures.read[2]);
    }

    #[test]
    fn a_value_that_changed_is_copied_again() {
        let mut graph = Graph::new();
        let a = graph.persistent("a", Spec::f32([8]));
        let norm = graph.persistent("norm", Spec::f32([2]));
        for step in ["first", "second"] {
            graph.apply(step, Op::from(ClipGradNorm { max_norm: 1.0 }), &[a, norm]).unwrap();
        }
        let reads = Dispatch::new("optimizer.wgsl", "clip").bind_texture("a", Operand::Input(0));
        let lowered = Lowered::baseline(vec![reads.clone(), reads.bind("g", Operand::Output(0))]);
        assert_eq!(copies(&textures(&graph, &[lowered.clone(), lowered], true)), [1, 0, 1, 0]);
    }

    #[test]
    fn copies_that_are_not_wanted_at_the_same_time_share_a_texture() {
        assert_eq!(planned(&[[0, 0], [1, 0], [2, 0]], true).rows, [3]);
        assert_eq!(planned(&[[0, 0], [1, 0], [2, 0]], false).rows, [3, 3, 3]);
    }
}
