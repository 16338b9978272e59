//! `docs/portability.md`: what each backend can run, derived from the programs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use crate::programs::{DEVICES, Kernel, kernels};
use crate::translate::{LANGUAGES, Language, translate};

/// A backend with the language that its driver compiles, and what it promises beyond WebGPU's default limits or below them.
struct Backend {
    name: &'static str,
    language: Option<Language>,
    /// Storage buffers that every device of it has in a compute shader.
    storage_buffers: usize,
}

const BACKENDS: [Backend; 7] = [
    Backend { name: "Vulkan", language: Some(Language::Spirv { checked: true }), storage_buffers: 8 },
    Backend { name: "Metal", language: Some(Language::Msl), storage_buffers: 8 },
    Backend { name: "DX12, DXC", language: Some(Language::Hlsl { dxc: true }), storage_buffers: 8 },
    Backend { name: "DX12, FXC", language: Some(Language::Hlsl { dxc: false }), storage_buffers: 8 },
    Backend { name: "WebGPU (browser)", language: None, storage_buffers: 8 },
    Backend { name: "GL ES 3.1", language: Some(Language::Glsl { embedded: true }), storage_buffers: 4 },
    Backend { name: "GL 4.3", language: Some(Language::Glsl { embedded: false }), storage_buffers: 8 },
];

const INTRODUCTION: &str = "\
# What each backend can run

This page is generated from the programs themselves: `WGRAD_UPDATE_DOCS=1 cargo test --test portability`. The same test fails
where the page no longer says what the programs are.

Every operator has a baseline variant inside WebGPU's default limits (8 storage buffers, 16 KiB of workgroup memory, 256
invocations a workgroup), which runs on every backend. A variant that is offered only to devices that compute on a CPU
(lavapipe, SwiftShader, WARP) may have workgroups of a single subgroup; its subgroup size is a constant of the program.

- **runs**: on every device of that backend that keeps WebGPU's default limits.
- **needs ...**: on devices of that backend that have it; plans look for it and take another variant otherwise.
- **cannot**: the backend's language has no such thing.

Compilers and drivers that have compiled and run all of this without the hardware: see `scripts/cross-check.sh`.
FXC is the compiler that DX12 falls back to where DXC is missing. OpenGL is not tried unless it is asked for.
";

/// What an operator's variant asks for, all of its kernels together.
struct Row {
    kernels: Vec<&'static Kernel>,
}

impl Row {
    fn most(&self, of: impl Fn(&Kernel) -> usize) -> usize {
        self.kernels.iter().map(|kernel| of(kernel)).max().unwrap_or(0)
    }

    /// Whether there is no way without subgroups.
    fn needs_subgroups(&self) -> bool {
        self.kernels.iter().any(|kernel| kernel.subgroups && !kernel.folds())
    }

    /// What this backend makes of it.
    fn verdict(&self, backend: &Backend) -> String {
        let needs_subgroups = self.needs_subgroups();
        let asked = self.kernels.iter().filter(|kernel| needs_subgroups || !kernel.subgroups);
        let translates = |language| asked.clone().all(|kernel| is_expressible(kernel, language));
        if needs_subgroups && backend.language == Some(Language::Hlsl { dxc: false }) {
            return "cannot: no subgroups".to_owned();
        }
        if backend.language.is_some_and(|language| !translates(language)) {
            return "cannot: not in its language".to_owned();
        }
        let mut needs = Vec::new();
        let [buffers, bytes, invocations] = self.limits();
        if buffers > backend.storage_buffers {
            needs.push(format!("{buffers} storage buffers"));
        }
        if bytes > 16 << 10 {
            needs.push(format!("{bytes} bytes of workgroup memory"));
        }
        if invocations > 256 {
            needs.push(format!("{invocations} invocations"));
        }
        if needs_subgroups {
            needs.push("a CPU device with subgroups of one size".to_owned());
        } else if self.kernels.iter().all(|kernel| kernel.cpu_only()) {
            needs.push("a CPU device".to_owned());
        }
        // A feature of the language there, and part of every native API.
        if self.most(Kernel::storage_textures) > 0 && backend.language.is_none() {
            needs.push("read-only storage textures".to_owned());
        }
        if needs.is_empty() { "runs".to_owned() } else { format!("needs {}", needs.join(", ")) }
    }

    fn limits(&self) -> [usize; 3] {
        [
            self.most(Kernel::storage_buffers),
            self.most(|kernel| kernel.entry.workgroup_bytes as usize),
            self.most(|kernel| kernel.invocations() as usize),
        ]
    }
}

/// Whether naga can write the kernel in this language; found out once.
fn is_expressible(kernel: &'static Kernel, language: Language) -> bool {
    static KNOWN: OnceLock<HashSet<(String, Language)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let all = kernels().iter().flat_map(|kernel| LANGUAGES.map(|language| (kernel, language)));
        let can = all.filter(|(kernel, language)| translate(kernel, *language).is_ok());
        can.map(|(kernel, language)| (kernel.title(), language)).collect()
    });
    known.contains(&(kernel.title(), language))
}

fn rows() -> BTreeMap<(&'static str, &'static str), Row> {
    let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    for kernel in kernels() {
        for &key in &kernel.operators {
            rows.entry(key).or_insert_with(|| Row { kernels: Vec::new() }).kernels.push(kernel);
        }
    }
    rows
}

fn line(out: &mut String, cells: impl IntoIterator<Item = String>) {
    let _ = writeln!(out, "| {} |", cells.into_iter().collect::<Vec<_>>().join(" | "));
}

fn heading(out: &mut String, cells: &[&str]) {
    line(out, cells.iter().map(|cell| (*cell).to_owned()));
    line(out, cells.iter().map(|_| "---".to_owned()));
}

fn document() -> String {
    let mut out = INTRODUCTION.to_owned();
    let rows = rows();
    // Variants whose kernels are all alike to a backend are told together.
    let mut verdicts: BTreeMap<Vec<String>, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for ((operator, variant), row) in &rows {
        let told = BACKENDS.iter().map(|backend| row.verdict(backend)).collect();
        verdicts.entry(told).or_default().entry(variant).or_default().push(operator);
    }
    out += "\n## Backends\n\n";
    let names: Vec<&str> = ["variant", "operators"].into_iter().chain(BACKENDS.map(|backend| backend.name)).collect();
    heading(&mut out, &names);
    for (told, variants) in &verdicts {
        for (variant, operators) in variants {
            line(&mut out, [(*variant).to_owned(), operators.join(", ")].into_iter().chain(told.iter().cloned()));
        }
    }
    out += "\n## Kernels\n\nThe most that any entry point of an operator's variant takes, over all its specialisations; `programs` counts those.\n\n";
    heading(
        &mut out,
        &[
            "operator",
            "variant",
            "shaders and entry points",
            "programs",
            "storage buffers",
            "workgroup memory (bytes)",
            "invocations",
            "features",
        ],
    );
    for ((operator, variant), row) in &rows {
        let mut files: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for kernel in &row.kernels {
            files.entry(kernel.module.file).or_default().insert(&kernel.entry.name);
        }
        let files = files
            .into_iter()
            .map(|(file, entries)| format!("{file}: {}", entries.into_iter().collect::<Vec<_>>().join(", ")));
        let [buffers, bytes, invocations] = row.limits().map(|limit| limit.to_string());
        let mut features = Vec::new();
        match row.most(Kernel::storage_textures) {
            0 => {}
            textures => features.push(format!("{textures} read-only storage textures")),
        }
        if !row.needs_subgroups() && row.kernels.iter().any(|kernel| kernel.folds()) {
            features.push("subgroups where there are any".to_owned());
        } else if row.needs_subgroups() {
            let sizes: BTreeSet<String> = row
                .kernels
                .iter()
                .flat_map(|kernel| kernel.devices.iter().filter_map(|&device| DEVICES[device].1.subgroup))
                .map(|size| format!("{size:02}"))
                .collect();
            let sizes: Vec<&str> = sizes.iter().map(|size| size.trim_start_matches('0')).collect();
            features.push(format!("subgroups of {}", sizes.join(", ")));
        }
        let cells = [(*operator).to_owned(), (*variant).to_owned(), files.collect::<Vec<_>>().join("; ")];
        let numbers = [row.kernels.len().to_string(), buffers, bytes, invocations, features.join(", ")];
        line(&mut out, cells.into_iter().chain(numbers));
    }
    out
}

#[test]
fn the_table_of_what_each_backend_can_run_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/portability.md");
    let wanted = document();
    if std::env::var("WGRAD_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let stale = "docs/portability.md is stale; write it anew with `WGRAD_UPDATE_DOCS=1 cargo test --test portability`";
    assert!(found == wanted, "{stale}");
}

#[test]
fn every_baseline_variant_runs_wherever_the_default_limits_are_kept() {
    for ((operator, variant), row) in rows() {
        for backend in BACKENDS.iter().filter(|backend| backend.storage_buffers >= 8) {
            let verdict = row.verdict(backend);
            assert!(variant != "baseline" || verdict == "runs", "{operator} on {}: {verdict}", backend.name);
        }
    }
}
