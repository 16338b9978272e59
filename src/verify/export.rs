//! The conformance suite: kernels with their operands and the float64 answers, as files that any WebGPU stack can run.
//!
//! A [`Recipe`] is a case in one variant with everything decided: programs, buffers, uniform bytes, workgroups, wanted
//! outputs. [`Suite`] writes recipes to a folder; `docs/conformance.md` describes the files. No device is needed: plans are
//! data.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::case::Case;
use super::compare::FLOAT32;
use crate::error::{Error, Result};
use crate::gpu::compose::compose;
use crate::gpu::reflect::{Entry, Kind, needs_subgroups, reflect};
use crate::gpu::{Caps, Module};
use crate::kernels::{self, Dispatch, Operand, Problem};
use crate::ops::Operator;
use crate::session::gpu::launch::{self, POISON};
use crate::tensor::{Elements, Spec, Tensor};

/// Kinds of devices, each with a name: which variants there are, and with which constants, follows from them.
pub const DEVICES: [(&str, Caps); 6] = [
    ("default limits", Caps::DEFAULT),
    ("large GPU", LARGE),
    ("CPU", CPU),
    ("CPU, subgroups of 4", Caps { subgroup: Some(4), ..SUBGROUPS }),
    ("CPU, subgroups of 8", Caps { subgroup: Some(8), ..SUBGROUPS }),
    ("CPU, subgroups of 16", Caps { subgroup: Some(16), ..SUBGROUPS }),
];

const CPU: Caps = Caps { cpu: true, max_workgroup_bytes: 32 << 10, max_invocations: 1024, ..Caps::DESKTOP };
const SUBGROUPS: Caps = Caps { subgroups: true, ..CPU };
// Their sizes may differ, as on some GPUs.
const LARGE: Caps = Caps {
    subgroups: true,
    max_binding_bytes: 2 << 30,
    max_workgroup_bytes: 48 << 10,
    max_invocations: 1024,
    ..Caps::DESKTOP
};

/// Cases of more operations than this are no part of a suite: they are for a device that has the sweep itself.
const MOST_OPERATIONS: u64 = 1_000_000;

/// Memory of a case.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// Its size, a multiple of four.
    pub bytes: u64,
    /// What it holds at the start; poison where there is nothing.
    pub data: Option<Vec<u8>>,
}

/// A storage buffer as an entry point sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Its `@binding`.
    pub number: u32,
    /// Which buffer of the case.
    pub buffer: usize,
    /// Byte offset.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Whether the shader only reads it.
    pub read_only: bool,
}

/// A texture as an entry point sees it: a copy of a buffer, made before the dispatch (see [`kernels::TEXTURE_WIDTH`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// Its `@binding`.
    pub number: u32,
    /// Which buffer of the case.
    pub buffer: usize,
    /// Texels that are copied.
    pub texels: usize,
    /// Rows of the texture, the first of which is zeros.
    pub rows: usize,
}

/// One dispatch, ready to be recorded.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub module: Module,
    /// Its entry point.
    pub entry: Entry,
    /// The `@binding` and the bytes of its uniform struct.
    pub uniform: Option<(u32, Vec<u8>)>,
    /// Its storage buffers.
    pub bindings: Vec<Bound>,
    /// Its textures.
    pub textures: Vec<Filled>,
    /// Workgroups.
    pub workgroups: [u32; 3],
    /// The most loop iterations that an invocation is declared to make.
    pub trips: usize,
}

/// A wanted output.
#[derive(Debug, Clone)]
pub struct Output {
    /// The buffer that holds it at the end, from its start.
    pub buffer: usize,
    /// The reference's answer.
    pub want: Tensor<f64>,
}

/// A case in one variant.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The case's name.
    pub name: String,
    /// The operator's name.
    pub operator: &'static str,
    /// The variant's name.
    pub variant: &'static str,
    /// Whether operands hold NaN or infinities.
    pub special: bool,
    /// Memory.
    pub buffers: Vec<Buffer>,
    /// What runs, in order.
    pub launches: Vec<Launch>,
    /// What must come out.
    pub outputs: Vec<Output>,
}

/// The case as each variant computes it that a device of these capabilities would be asked. Other seeds draw other operands.
pub fn recipes(case: &Case, caps: &Caps, seed: u32) -> Result<Vec<Recipe>> {
    let specs: Vec<Spec> = case.operands.iter().map(|operand| operand.spec.clone()).collect();
    let (outputs, caps) = (case.op.infer(&specs)?, case.caps(caps));
    let problem = Problem { inputs: &specs, outputs: &outputs, caps: &caps };
    let mut variants = kernels::variants(&case.op, &problem);
    variants.retain(|variant| case.asks(variant));
    if variants.is_empty() {
        return Ok(Vec::new());
    }
    let inputs = case.inputs(seed)?;
    let wanted = case.answer(&inputs)?;
    variants.into_iter().map(|variant| recipe(case, &problem, variant, &inputs, &wanted)).collect()
}

fn recipe(
    case: &Case,
    problem: &Problem,
    variant: &'static str,
    inputs: &[Tensor],
    wanted: &[Tensor<f64>],
) -> Result<Recipe> {
    let lowered = kernels::lower(&case.op, problem, variant)?;
    let filled = |tensor: &Tensor| {
        let data = launch::encode(tensor);
        Buffer { bytes: data.len() as u64, data: Some(data) }
    };
    let poisoned = |spec: &Spec| Buffer { bytes: launch::padded(spec), data: None };
    let mut buffers: Vec<Buffer> = inputs.iter().map(filled).collect();
    // What is updated in place shares its input's memory.
    let (mut places, in_place) = (Vec::new(), case.op.in_place());
    for (number, spec) in problem.outputs.iter().enumerate() {
        let shared = in_place.iter().find(|(output, _)| *output == number).map(|(_, input)| *input);
        places.push(shared.unwrap_or(buffers.len()));
        if shared.is_none() {
            buffers.push(poisoned(spec));
        }
    }
    let scratch = buffers.len();
    buffers.extend(lowered.workspaces.iter().map(poisoned));
    let place = |operand: Operand| match operand {
        Operand::Input(i) => (i, &problem.inputs[i]),
        Operand::Output(i) => (places[i], &problem.outputs[i]),
        Operand::Workspace(i) => (scratch + i, &lowered.workspaces[i]),
    };
    let launches = lowered.dispatches.iter().map(|dispatch| launch(dispatch, problem.caps, place));
    let launches = launches.collect::<Result<_>>()?;
    let outputs = places.iter().zip(wanted).map(|(&buffer, want)| Output { buffer, want: want.clone() }).collect();
    let (name, operator, special) = (case.name.clone(), case.op.name(), case.special);
    Ok(Recipe { name, operator, variant, special, buffers, launches, outputs })
}

fn launch<'a>(dispatch: &Dispatch, caps: &Caps, place: impl Fn(Operand) -> (usize, &'a Spec)) -> Result<Launch> {
    let entries = reflect(&compose(&dispatch.module)?)?;
    let entry = entries.into_iter().find(|entry| entry.name == dispatch.entry);
    let entry = entry.ok_or_else(|| Error::Invalid(format!("there is no entry point {}", dispatch.entry)))?;
    let (mut bindings, mut textures) = (Vec::new(), Vec::new());
    for (declared, given) in launch::operands(dispatch, &entry)? {
        let (number, (buffer, spec)) = (declared.number, place(given.operand));
        if given.texture {
            let (texels, rows) = kernels::texels(spec);
            textures.push(Filled { number, buffer, texels, rows });
        } else {
            let (offset, size) = launch::span(given, spec);
            let read_only = declared.kind == Kind::Storage { read_only: true };
            bindings.push(Bound { number, buffer, offset, size, read_only });
        }
    }
    Ok(Launch {
        module: dispatch.module.clone(),
        uniform: launch::uniform(dispatch, &entry)?,
        bindings,
        textures,
        workgroups: launch::workgroups(caps, dispatch, &entry),
        trips: dispatch.trips,
        entry,
    })
}

/// Whether a case is small enough for a suite.
pub fn is_small(case: &Case) -> bool {
    let specs: Vec<Spec> = case.operands.iter().map(|operand| operand.spec.clone()).collect();
    let cost = |outputs: Vec<Spec>| case.op.flops(&specs, &outputs).max(case.op.bytes(&specs, &outputs) / 4);
    case.op.infer(&specs).is_ok_and(|outputs| cost(outputs) <= MOST_OPERATIONS)
}

/// Writes the small ones of the cases that each kind of device is asked into `folder`, each recipe once although several kinds
/// share it. Answers how many programs and recipes there are.
pub fn write(folder: &Path, cases: impl Fn(&Caps) -> Result<Vec<Case>>, seed: u32) -> Result<(usize, usize)> {
    let (mut suite, mut seen) = (Suite::create(folder)?, HashSet::new());
    for (_, caps) in DEVICES {
        let mut cases = cases(&caps)?;
        cases.retain(is_small);
        // A few at a time: their answers are in float64.
        for some in cases.chunks(64) {
            let recipes: Vec<_> = some.par_iter().map(|case| recipes(case, &caps, seed)).collect::<Result<_>>()?;
            for recipe in recipes.into_iter().flatten() {
                let runs = recipe.launches.iter();
                let runs = runs.map(|launch| format!("{:?}{:?}{:?}", launch.module, launch.uniform, launch.workgroups));
                if seen.insert(format!("{} {} {}", recipe.operator, recipe.name, runs.collect::<String>())) {
                    suite.add(&recipe)?;
                }
            }
        }
    }
    suite.finish()
}

/// A folder of recipes in the making.
pub struct Suite {
    folder: std::path::PathBuf,
    data: BufWriter<File>,
    bytes: u64,
    programs: Vec<Value>,
    known: HashMap<Module, usize>,
    cases: Vec<Value>,
}

impl Suite {
    /// Begins a suite in `folder`, which is made where it does not exist.
    pub fn create(folder: &Path) -> Result<Self> {
        let told = |error: std::io::Error| Error::Invalid(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(told)?;
        let data = BufWriter::new(File::create(folder.join("data.bin")).map_err(told)?);
        let (folder, programs, cases) = (folder.to_owned(), Vec::new(), Vec::new());
        Ok(Self { folder, data, bytes: 0, programs, known: HashMap::new(), cases })
    }

    /// Writes a recipe.
    pub fn add(&mut self, case: &Recipe) -> Result<()> {
        let mut buffers = Vec::new();
        for buffer in &case.buffers {
            let data = buffer.data.as_deref().map(|data| self.append(data)).transpose()?;
            buffers.push(json!({ "bytes": buffer.bytes, "data": data }));
        }
        let mut dispatches = Vec::new();
        for launch in &case.launches {
            let bindings: Vec<Value> = launch.bindings.iter().map(bound).collect();
            let uniform = match &launch.uniform {
                None => Value::Null,
                Some((number, bytes)) => json!({ "binding": number, "words": words(bytes) }),
            };
            dispatches.push(json!({
                "program": self.program(&launch.module)?,
                "entry": launch.entry.name,
                "workgroups": launch.workgroups,
                "uniform": uniform,
                "bindings": bindings,
                "textures": launch.textures.iter().map(filled).collect::<Vec<_>>(),
                "needs": {
                    "storage_buffers": launch.bindings.len(),
                    "workgroup_bytes": launch.entry.workgroup_bytes,
                    "invocations": launch.entry.workgroup_size.iter().product::<u32>(),
                },
            }));
        }
        let mut outputs = Vec::new();
        for output in &case.outputs {
            let (dtype, bytes) = match &output.want.elements {
                Elements::Float(data) => ("f32", bytemuck::cast_slice(data).to_vec()),
                Elements::U32(data) => ("u32", bytemuck::cast_slice(data).to_vec()),
                Elements::U8(data) => ("u8", data.clone()),
            };
            let want = self.append(&bytes)?;
            outputs.push(json!({ "buffer": output.buffer, "type": dtype, "shape": output.want.shape, "want": want }));
        }
        self.cases.push(json!({
            "name": case.name,
            "operator": case.operator,
            "variant": case.variant,
            "special": case.special,
            "buffers": buffers,
            "dispatches": dispatches,
            "outputs": outputs,
        }));
        Ok(())
    }

    /// Writes `cases.json` and answers how many programs and cases there are.
    pub fn finish(mut self) -> Result<(usize, usize)> {
        let told = |error: std::io::Error| Error::Invalid(format!("{}: {error}", self.folder.display()));
        self.data.flush().map_err(told)?;
        let (programs, cases) = (self.programs.len(), self.cases.len());
        let suite = json!({
            "format": "wgrad conformance suite",
            "version": 1,
            "poison": POISON,
            "tolerance": { "relative_l2": FLOAT32.relative_l2, "of_largest": FLOAT32.max_error },
            "programs": self.programs,
            "cases": self.cases,
        });
        let text = serde_json::to_string(&suite).map_err(|error| Error::Invalid(error.to_string()))?;
        std::fs::write(self.folder.join("cases.json"), text).map_err(told)?;
        Ok((programs, cases))
    }

    /// The number of a program, which is written when it is new.
    fn program(&mut self, module: &Module) -> Result<usize> {
        if let Some(&known) = self.known.get(module) {
            return Ok(known);
        }
        let source = compose(module)?;
        let subgroups = needs_subgroups(&source)?;
        let constant = |name: &str| module.constants.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let size = constant("SUBGROUP").and_then(|value| value.trim_end_matches('u').parse::<u32>().ok());
        self.programs.push(json!({
            "file": module.file,
            "links": module.links,
            "constants": module.constants,
            "features": if subgroups { vec!["subgroups"] } else { vec![] },
            "language_features": if source.text.contains("@builtin(subgroup_id)") { vec!["subgroup_id"] } else { vec![] },
            "subgroup_size": size.filter(|_| subgroups),
            "wgsl": source.text,
        }));
        self.known.insert(module.clone(), self.programs.len() - 1);
        Ok(self.programs.len() - 1)
    }

    /// Appends bytes to the data, aligned to eight.
    fn append(&mut self, bytes: &[u8]) -> Result<Value> {
        let told = |error: std::io::Error| Error::Invalid(format!("{}: {error}", self.folder.display()));
        let padding = self.bytes.next_multiple_of(8) - self.bytes;
        self.data.write_all(&[0; 8][..padding as usize]).map_err(told)?;
        self.data.write_all(bytes).map_err(told)?;
        let offset = self.bytes + padding;
        self.bytes = offset + bytes.len() as u64;
        Ok(json!({ "offset": offset, "bytes": bytes.len() }))
    }
}

fn bound(bound: &Bound) -> Value {
    let Bound { number, buffer, offset, size, read_only } = *bound;
    json!({ "binding": number, "buffer": buffer, "offset": offset, "bytes": size, "read_only": read_only })
}

fn filled(texture: &Filled) -> Value {
    let Filled { number, buffer, texels, rows } = *texture;
    json!({ "binding": number, "buffer": buffer, "texels": texels, "rows": rows })
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}
