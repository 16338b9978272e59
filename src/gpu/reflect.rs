//! What a composed shader declares: entry points, workgroup sizes, bindings and uniform members. These facts live in
//! WGSL alone and are read back here, so that the host binds by name and cannot disagree with the shader.

use naga::front::wgsl;
use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};

use super::compose::Source;
use crate::error::{Error, Result};

/// How a shader uses one of its bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A uniform struct of scalars.
    Uniform {
        /// Its members in order.
        members: Vec<Member>,
        /// Its size in bytes.
        size: u32,
    },
    /// `var<storage, read>` (`true`) or `var<storage, read_write>` (`false`).
    Storage {
        /// Whether the shader only reads it.
        read_only: bool,
    },
    /// `var name: texture_storage_2d<rgba32float, read>`: four floats a texel.
    Texture,
}

/// A scalar of a uniform struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its type.
    pub scalar: ScalarType,
    /// Its byte offset.
    pub offset: u32,
}

/// Types that a uniform member may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarType {
    /// `u32`
    U32,
    /// `i32`
    I32,
    /// `f32`
    F32,
}

/// A binding that an entry point uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name.
    pub name: String,
    /// Its `@binding`.
    pub number: u32,
    /// Its type and access.
    pub kind: Kind,
}

/// One compute entry point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The function's name.
    pub name: String,
    /// Its `@workgroup_size`.
    pub workgroup_size: [u32; 3],
    /// What it uses, by binding number.
    pub bindings: Vec<Binding>,
    /// Bytes of workgroup memory that it uses.
    pub workgroup_bytes: u32,
}

/// The shader in naga's representation, validated, with what the validation found out.
pub fn parse(source: &Source) -> Result<(naga::Module, naga::valid::ModuleInfo)> {
    let module = wgsl::parse_str(&source.text).map_err(|error| {
        let line = error.location(&source.text).map_or(0, |at| at.line_number as usize);
        let labels: Vec<_> = error.labels().map(|(_, label)| label).collect();
        source.error_at(line, format!("{} ({})", error.message(), labels.join("; ")))
    })?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).map_err(|error| {
        let line = error.spans().next().map_or(0, |(span, _)| span.location(&source.text).line_number as usize);
        let mut causes = vec![error.to_string()];
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        source.error_at(line, causes.join(": "))
    })?;
    Ok((module, info))
}

/// Whether a composed shader uses subgroup operations.
pub fn needs_subgroups(source: &Source) -> Result<bool> {
    let (module, _) = parse(source)?;
    let without = Capabilities::all() - Capabilities::SUBGROUP;
    Ok(Validator::new(ValidationFlags::all(), without).validate(&module).is_err())
}

/// The entry points of a composed shader.
pub fn reflect(source: &Source) -> Result<Vec<Entry>> {
    let (module, info) = parse(source)?;
    let layouter = layouter(&module)?;
    let entries = module.entry_points.iter().enumerate().map(|(index, entry)| {
        let uses = info.get_entry_point(index);
        let mut bindings = Vec::new();
        let mut workgroup_bytes = 0;
        for (handle, variable) in module.global_variables.iter() {
            if uses[handle] == GlobalUse::empty() {
                continue;
            }
            if variable.space == naga::AddressSpace::WorkGroup {
                workgroup_bytes += layouter[variable.ty].size;
            }
            if let Some(at) = &variable.binding {
                let name = variable.name.clone().unwrap_or_default();
                let kind = kind(&module, variable).map_err(|problem| Error::Shader {
                    file: entry.name.clone(),
                    line: 0,
                    problem: format!("binding {name}: {problem}"),
                })?;
                bindings.push(Binding { name, number: at.binding, kind });
            }
        }
        bindings.sort_by_key(|binding| binding.number);
        Ok(Entry { name: entry.name.clone(), workgroup_size: entry.workgroup_size, bindings, workgroup_bytes })
    });
    entries.collect()
}

fn layouter(module: &naga::Module) -> Result<naga::proc::Layouter> {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|error| Error::Shader {
        file: "?".into(),
        line: 0,
        problem: error.to_string(),
    })?;
    Ok(layouter)
}

fn kind(module: &naga::Module, variable: &naga::GlobalVariable) -> Result<Kind, &'static str> {
    match (variable.space, &module.types[variable.ty].inner) {
        (naga::AddressSpace::Storage { access }, _) => {
            Ok(Kind::Storage { read_only: !access.contains(naga::StorageAccess::STORE) })
        }
        (naga::AddressSpace::Uniform, naga::TypeInner::Struct { members, span }) => {
            let members = members.iter().map(|member| {
                let naga::TypeInner::Scalar(scalar) = module.types[member.ty].inner else {
                    return Err("uniform structs hold scalars only");
                };
                let scalar = match scalar.kind {
                    naga::ScalarKind::Uint => ScalarType::U32,
                    naga::ScalarKind::Sint => ScalarType::I32,
                    naga::ScalarKind::Float => ScalarType::F32,
                    _ => return Err("uniform members are u32, i32 or f32"),
                };
                Ok(Member { name: member.name.clone().unwrap_or_default(), scalar, offset: member.offset })
            });
            Ok(Kind::Uniform { members: members.collect::<Result<_, _>>()?, size: *span })
        }
        (naga::AddressSpace::Handle, naga::TypeInner::Image { dim, arrayed, class }) => {
            let (format, access) = (naga::StorageFormat::Rgba32Float, naga::StorageAccess::LOAD);
            let flat = *dim == naga::ImageDimension::D2 && !arrayed;
            match flat && *class == (naga::ImageClass::Storage { format, access }) {
                true => Ok(Kind::Texture),
                false => Err("the only textures are texture_storage_2d<rgba32float, read>"),
            }
        }
        _ => Err("only uniform structs, storage buffers and storage textures are bound"),
    }
}
