//! Uniform structs and buffer bindings match between Rust and WGSL: names, types, places, none missing, none left over.

use std::collections::HashMap;

use wgrad::gpu::reflect::{Entry, Kind, ScalarType};
use wgrad::kernels::{Dispatch, Operand, Scalar};
use wgrad::session::gpu::launch;

use crate::programs::{kernels, lower_all, title};

#[test]
fn every_uniform_arrives_at_its_place_with_its_type() {
    let (mut checked, mut found) = (0, Vec::new());
    let entries: HashMap<String, &Entry> = kernels().iter().map(|kernel| (kernel.title(), &kernel.entry)).collect();
    lower_all(|_, _, lowered| {
        for dispatch in &lowered.dispatches {
            checked += 1;
            let title = format!("{}, {}", title(&dispatch.module), dispatch.entry);
            found.extend(problem_of(dispatch, entries[&title]).map(|problem| format!("{title}: {problem}")));
        }
    });
    found.sort();
    found.dedup();
    assert!(
        found.is_empty(),
        "{} of {checked} dispatches disagree with their shaders:\n  {}",
        found.len(),
        found.join("\n  ")
    );
}

fn problem_of(dispatch: &Dispatch, entry: &Entry) -> Option<String> {
    let uniform = match launch::uniform(dispatch, entry) {
        Ok(uniform) => uniform,
        Err(error) => return Some(error.to_string()),
    };
    let declared = entry.bindings.iter().find_map(|binding| match &binding.kind {
        Kind::Uniform { members, .. } => Some(members),
        Kind::Storage { .. } | Kind::Texture => None,
    });
    if let (Some((_, bytes)), Some(members)) = (uniform, declared) {
        if members.len() != dispatch.uniforms.len() {
            return Some(format!("{} members, {} values", members.len(), dispatch.uniforms.len()));
        }
        for (index, member) in members.iter().enumerate() {
            // Scalars lie one after the other, in WGSL as in every language that a backend writes.
            let word: [u8; 4] = bytes[4 * index..4 * index + 4].try_into().unwrap();
            let read = match member.scalar {
                ScalarType::U32 => Scalar::U32(u32::from_le_bytes(word)),
                ScalarType::I32 => Scalar::I32(i32::from_le_bytes(word)),
                ScalarType::F32 => Scalar::F32(f32::from_le_bytes(word)),
            };
            let (_, given) = dispatch.uniforms.iter().find(|(name, _)| *name == member.name)?;
            if member.offset as usize != 4 * index || read != *given {
                return Some(format!(
                    "{} is {given:?}, the shader reads {read:?} at byte {}",
                    member.name, member.offset
                ));
            }
        }
    }
    let buffers = match launch::operands(dispatch, entry) {
        Ok(buffers) => buffers,
        Err(error) => return Some(error.to_string()),
    };
    let writes_input = buffers.iter().find(|(declared, given)| {
        declared.kind == Kind::Storage { read_only: false } && matches!(given.operand, Operand::Input(_))
    });
    writes_input.map(|(declared, _)| format!("{} is an input, and the shader may write to it", declared.name))
}

#[test]
fn uniform_structs_fit_their_place() {
    for kernel in kernels() {
        for binding in &kernel.entry.bindings {
            if let Kind::Uniform { size, .. } = binding.kind {
                assert!(u64::from(size) <= launch::UNIFORM_ALIGNMENT, "{}: {size} bytes", kernel.title());
            }
        }
    }
}
