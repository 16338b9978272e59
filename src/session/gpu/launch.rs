//! What a dispatch becomes on any WebGPU stack, wgpu or another: the bytes of its uniform struct, the buffer behind each
//! binding, the number of workgroups. Names are joined here: one that only the host or only the shader knows is an error.

use crate::error::{Error, Result};
use crate::gpu::Caps;
use crate::gpu::reflect::{self, Entry, Kind, Member, ScalarType};
use crate::kernels::{Binding, Dispatch, Extent, Scalar};
use crate::tensor::{Elements, Spec, Tensor};

/// Bytes to which uniform structs are aligned in their buffer, the most that any device asks for; no struct is larger.
pub const UNIFORM_ALIGNMENT: u64 = 256;

/// A NaN that no kernel computes: what memory holds before a trial.
pub const POISON: u32 = 0x7fc0_dead;

/// An error about what host and shader say of a dispatch.
pub(super) fn mismatch(dispatch: &Dispatch, problem: String) -> Error {
    Error::Shader { file: dispatch.module.file.to_owned(), line: 0, problem: format!("{}: {problem}", dispatch.entry) }
}

/// The uniform struct of an entry point: its `@binding` and its bytes, every member where the shader declares it. `None` where
/// the entry point has none.
pub fn uniform(dispatch: &Dispatch, entry: &Entry) -> Result<Option<(u32, Vec<u8>)>> {
    let declared = entry.bindings.iter().find_map(|binding| match &binding.kind {
        Kind::Uniform { members, size } => Some((binding.number, members, *size)),
        Kind::Storage { .. } | Kind::Texture => None,
    });
    let Some((number, members, size)) = declared else { return Ok(None) };
    if u64::from(size) > UNIFORM_ALIGNMENT {
        return Err(mismatch(dispatch, format!("its uniform struct has {size} bytes, more than {UNIFORM_ALIGNMENT}")));
    }
    let mut bytes = vec![0; size.next_multiple_of(16) as usize];
    for Member { name, scalar, offset } in members {
        let mut given = dispatch.uniforms.iter().filter(|(given, _)| given == name).map(|(_, value)| *value);
        let word = match (scalar, given.next()) {
            (ScalarType::U32, Some(Scalar::U32(value))) => value.to_le_bytes(),
            (ScalarType::I32, Some(Scalar::I32(value))) => value.to_le_bytes(),
            (ScalarType::F32, Some(Scalar::F32(value))) => value.to_le_bytes(),
            (_, None) => return Err(mismatch(dispatch, format!("uniform {name} is not set"))),
            (declared, given) => {
                return Err(mismatch(dispatch, format!("uniform {name} is {declared:?} but {given:?} was given")));
            }
        };
        if given.next().is_some() {
            return Err(mismatch(dispatch, format!("uniform {name} is set twice")));
        }
        bytes[*offset as usize..*offset as usize + 4].copy_from_slice(&word);
    }
    match dispatch.uniforms.iter().find(|(name, _)| !members.iter().any(|member| member.name == *name)) {
        None => Ok(Some((number, bytes))),
        Some((name, _)) => Err(mismatch(dispatch, format!("the shader declares no uniform {name}"))),
    }
}

/// The storage buffers and textures of an entry point as the shader declares them, each with what the host binds.
pub fn operands<'a>(dispatch: &'a Dispatch, entry: &'a Entry) -> Result<Vec<(&'a reflect::Binding, &'a Binding)>> {
    let declared = entry.bindings.iter().filter(|binding| !matches!(binding.kind, Kind::Uniform { .. }));
    let pairs = declared.map(|declared| {
        let (name, texture) = (&declared.name, declared.kind == Kind::Texture);
        let given = dispatch.bindings.iter().find(|given| given.name == name);
        let given = given.ok_or_else(|| mismatch(dispatch, format!("operand {name} is not bound")))?;
        match given.texture == texture {
            true => Ok((declared, given)),
            false if texture => Err(mismatch(dispatch, format!("{name} is a texture, and a buffer is bound"))),
            false => Err(mismatch(dispatch, format!("{name} is a buffer, and a texture is bound"))),
        }
    });
    let pairs: Vec<_> = pairs.collect::<Result<_>>()?;
    match dispatch.bindings.iter().find(|given| !pairs.iter().any(|(declared, _)| declared.name == given.name)) {
        None => Ok(pairs),
        Some(extra) => Err(mismatch(dispatch, format!("the entry point uses no operand {}", extra.name))),
    }
}

/// Bytes of a value's memory: a multiple of four, as copies want it.
pub fn padded(spec: &Spec) -> u64 {
    (spec.bytes() as u64).next_multiple_of(4).max(4)
}

/// A value's bytes in its buffer.
pub fn encode(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = match &tensor.elements {
        Elements::Float(data) => bytemuck::cast_slice(data).to_vec(),
        Elements::U32(data) => bytemuck::cast_slice(data).to_vec(),
        Elements::U8(data) => data.clone(),
    };
    bytes.resize(padded(&tensor.spec()) as usize, 0);
    bytes
}

/// The part of a value that a binding sees: byte offset and size.
pub fn span(given: &Binding, spec: &Spec) -> (u64, u64) {
    match &given.range {
        None => (0, padded(spec)),
        Some(range) => {
            let bytes = (range.len() * spec.dtype.size()) as u64;
            ((range.start * spec.dtype.size()) as u64, bytes.next_multiple_of(4))
        }
    }
}

/// Workgroups in two dimensions, since one takes 65,535 at most.
pub fn workgroups(caps: &Caps, dispatch: &Dispatch, entry: &Entry) -> [u32; 3] {
    let size: u32 = entry.workgroup_size.iter().product();
    let total = match dispatch.extent {
        Extent::Invocations(count) => count.div_ceil(size as usize),
        Extent::Workgroups(count) => count,
    };
    let rows = total.div_ceil(caps.max_workgroups as usize).max(1);
    [total.div_ceil(rows) as u32, rows as u32, 1]
}
