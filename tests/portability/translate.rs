//! Every kernel in every language that a backend speaks.
//!
//! Where the environment variable `WGRAD_TRANSLATIONS` names a folder, the translations are written there, for compilers that
//! live outside of this crate: `scripts/cross-check.sh` hands them to spirv-val, DXC and glslang.

use std::path::Path;

use naga::ShaderStage::Compute;
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use crate::programs::{Kernel, kernels};

/// A language that a backend compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// SPIR-V for Vulkan, with wgpu's run-time checks or without.
    Spirv { checked: bool },
    /// Metal's.
    Msl,
    /// DirectX 12's: shader model 6 for DXC, or 5.1 for FXC.
    Hlsl { dxc: bool },
    /// OpenGL's, embedded or desktop.
    Glsl { embedded: bool },
}

pub const LANGUAGES: [Language; 7] = [
    Language::Spirv { checked: true },
    Language::Spirv { checked: false },
    Language::Msl,
    Language::Hlsl { dxc: true },
    Language::Hlsl { dxc: false },
    Language::Glsl { embedded: true },
    Language::Glsl { embedded: false },
];

impl Language {
    /// The ending of its files.
    fn ending(self) -> &'static str {
        match self {
            Self::Spirv { checked: true } => "checked.spv",
            Self::Spirv { checked: false } => "spv",
            Self::Msl => "metal",
            Self::Hlsl { dxc: true } => "6_0.hlsl",
            Self::Hlsl { dxc: false } => "5_1.hlsl",
            Self::Glsl { embedded: true } => "es.comp",
            Self::Glsl { embedded: false } => "desktop.comp",
        }
    }
}

/// The kernel in this language, or why it cannot be said there.
pub fn translate(kernel: &Kernel, language: Language) -> Result<Vec<u8>, String> {
    let (module, info) = &*kernel.naga;
    let entry = kernel.entry.name.clone();
    match language {
        Language::Spirv { checked } => spirv(module, info, entry, checked),
        Language::Msl => {
            let options = msl::Options { lang_version: (2, 4), ..Default::default() };
            let one = msl::PipelineOptions { entry_point: Some((Compute, entry)), ..Default::default() };
            let (text, _) = msl::write_string(module, info, &options, &one).map_err(|e| e.to_string())?;
            Ok(text.into_bytes())
        }
        Language::Hlsl { dxc } => {
            let shader_model = if dxc { hlsl::ShaderModel::V6_0 } else { hlsl::ShaderModel::V5_1 };
            let options = hlsl::Options { shader_model, zero_initialize_workgroup_memory: false, ..Default::default() };
            let one = hlsl::PipelineOptions { entry_point: Some((Compute, entry)) };
            let mut text = String::new();
            let mut writer = hlsl::Writer::new(&mut text, &options, &one);
            let names = writer.write(module, info, None).map_err(|e| e.to_string())?.entry_point_names;
            let name = names.into_iter().flatten().next().ok_or("the entry point is missing")?;
            // Whoever compiles the file must know the name that naga gave the entry point.
            Ok(format!("// entry {name}\n{text}").into_bytes())
        }
        Language::Glsl { embedded } => {
            let version = if embedded { glsl::Version::new_gles(310) } else { glsl::Version::Desktop(430) };
            // OpenGL counts the bindings of each kind from 0, and wgpu numbers them anew.
            let mut options = glsl::Options { version, zero_initialize_workgroup_memory: false, ..Default::default() };
            for (slot, binding) in kernel.entry.bindings.iter().enumerate() {
                options.binding_map.insert(naga::ResourceBinding { group: 0, binding: binding.number }, slot as u8);
            }
            let one = glsl::PipelineOptions { shader_stage: Compute, entry_point: entry, multiview: None };
            let mut text = String::new();
            let policies = BoundsCheckPolicies::default();
            let writer = glsl::Writer::new(&mut text, module, info, &options, &one, policies);
            writer.and_then(|mut writer| writer.write()).map_err(|e| e.to_string())?;
            Ok(text.into_bytes())
        }
    }
}

fn spirv(
    module: &naga::Module,
    info: &naga::valid::ModuleInfo,
    entry_point: String,
    checked: bool,
) -> Result<Vec<u8>, String> {
    let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let options = spv::Options {
        lang_version: (1, 3),
        bounds_check_policies: BoundsCheckPolicies {
            index: policy,
            buffer: policy,
            image_load: policy,
            ..Default::default()
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: checked,
        emit_int_div_checks: checked,
        ..Default::default()
    };
    let one = spv::PipelineOptions { shader_stage: Compute, entry_point };
    let words = spv::write_vec(module, info, &options, Some(&one)).map_err(|e| e.to_string())?;
    Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
}

/// A file name that tells the kernels apart.
fn file_name(number: usize, kernel: &Kernel) -> String {
    format!("{number:03}-{}-{}", kernel.module.file.trim_end_matches(".wgsl"), kernel.entry.name)
}

#[test]
fn every_kernel_translates_into_every_language() {
    let folder = std::env::var_os("WGRAD_TRANSLATIONS");
    let mut found = Vec::new();
    for (number, kernel) in kernels().iter().enumerate() {
        // Not offered under DX12: naga 30 writes what a struct tells of subgroups without semantics.
        let spoken = |language: &Language| !(kernel.folds() && matches!(language, Language::Hlsl { .. }));
        for language in LANGUAGES.into_iter().filter(spoken) {
            match translate(kernel, language) {
                Ok(text) => {
                    if let Some(folder) = &folder {
                        let name = format!("{}.{}", file_name(number, kernel), language.ending());
                        std::fs::create_dir_all(folder).unwrap();
                        std::fs::write(Path::new(folder).join(name), text).unwrap();
                    }
                }
                // Subgroup operations are no part of these; whoever offers a kernel there needs another way.
                Err(_)
                    if kernel.subgroups
                        && matches!(language, Language::Hlsl { dxc: false } | Language::Glsl { .. }) => {}
                Err(problem) => found.push(format!("{} to {language:?}: {problem}", kernel.title())),
            }
        }
    }
    println!("{} kernels in {} languages", kernels().len(), LANGUAGES.len());
    assert!(found.is_empty(), "naga cannot translate\n  {}", found.join("\n  "));
}
