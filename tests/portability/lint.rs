//! Rejects what is known to break somewhere, by naga's representation of every program.

use std::collections::HashSet;

use naga::{AtomicFunction, Expression, Statement, TypeInner};
use wgrad::gpu::Module;
use wgrad::gpu::compose::{Source, compose, files};
use wgsl_parse::syntax::TranslationUnit;

use crate::programs::{DEVICES, Kernel, kernels};

/// WebGPU's default limits, which every device keeps.
const STORAGE_TEXTURES: usize = 4;
const WORKGROUP_BYTES: u32 = 16 << 10;
const INVOCATIONS: u32 = 256;
/// Smaller workgroups than this are a single subgroup on some GPU; one vendor's driver miscompiles those of 32.
const FEWEST_INVOCATIONS: u32 = 64;
/// Subgroup sizes of devices that compute on a CPU.
const CPU_SUBGROUPS: [u32; 3] = [4, 8, 16];

/// Every function of a program: name, function, its expressions' types.
fn functions<'a>(
    module: &'a naga::Module,
    info: &'a naga::valid::ModuleInfo,
) -> impl Iterator<Item = (String, &'a naga::Function, &'a naga::valid::FunctionInfo)> {
    let named = module
        .functions
        .iter()
        .map(|(handle, function)| (function.name.clone().unwrap_or_default(), function, &info[handle]));
    let entries = module.entry_points.iter().enumerate();
    named.chain(entries.map(|(index, entry)| (entry.name.clone(), &entry.function, info.get_entry_point(index))))
}

/// Every statement of a block, nested ones too.
pub fn each_statement<'a>(block: &'a naga::Block, visit: &mut impl FnMut(&'a Statement)) {
    for statement in block.iter() {
        visit(statement);
        match statement {
            Statement::Block(block) => each_statement(block, visit),
            Statement::If { accept, reject, .. } => {
                each_statement(accept, visit);
                each_statement(reject, visit);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| each_statement(&case.body, visit)),
            Statement::Loop { body, continuing, .. } => {
                each_statement(body, visit);
                each_statement(continuing, visit);
            }
            _ => {}
        }
    }
}

/// What in a program some compiler is known to refuse or to get wrong.
pub fn problems_of(module: &naga::Module, info: &naga::valid::ModuleInfo) -> Vec<String> {
    let mut found = Vec::new();
    for (name, function, types) in functions(module, info) {
        let result = function.result.as_ref().map(|result| &module.types[result.ty].inner);
        if matches!(result, Some(TypeInner::Array { .. })) {
            found.push(format!("{name} returns an array, which FXC cannot compile"));
        }
        for (_, expression) in function.expressions.iter() {
            let Expression::Access { base, .. } = expression else { continue };
            let vector = match types[*base].ty.inner_with(&module.types) {
                TypeInner::Vector { .. } | TypeInner::ValuePointer { size: Some(_), .. } => true,
                TypeInner::Pointer { base, .. } => matches!(module.types[*base].inner, TypeInner::Vector { .. }),
                _ => false,
            };
            if vector {
                found.push(format!(
                    "{name} takes a component of a vector by an index that is no constant, which FXC breaks"
                ));
            }
        }
        each_statement(&function.body, &mut |statement| {
            if let Statement::Atomic { fun, result, .. } = statement {
                // Only what is counted, when all have counted, is the same in every order.
                let counts = matches!(fun, AtomicFunction::Add);
                if !counts || result.is_some_and(|result| types[result].ref_count > 0) {
                    found.push(format!("{name} uses what an atomic was: that may depend on the order"));
                }
            }
        });
    }
    found.extend(zeros_of_one_type_under_two_names(module));
    found
}

/// `f32()` beside `Term()`, where `alias Term = f32`: naga's HLSL defines the function that makes the zero once for each name,
/// both called `ZeroValuefloat`.
fn zeros_of_one_type_under_two_names(module: &naga::Module) -> Vec<String> {
    let bodies = module.functions.iter().map(|(_, function)| function);
    let bodies = bodies.chain(module.entry_points.iter().map(|entry| &entry.function));
    let arenas = bodies.map(|function| &function.expressions).chain([&module.global_expressions]);
    let mut zeroed = Vec::new();
    for (_, expression) in arenas.flat_map(|arena| arena.iter()) {
        if let Expression::ZeroValue(ty) = expression
            && !zeroed.contains(ty)
        {
            zeroed.push(*ty);
        }
    }
    let twice = |index: usize| {
        let inner = &module.types[zeroed[index]].inner;
        zeroed[..index].iter().any(|other| module.types[*other].inner == *inner)
    };
    let found = (0..zeroed.len()).filter(|&index| twice(index));
    found.map(|index| format!("zeroes {:?} under two names, which HLSL cannot", module.types[zeroed[index]])).collect()
}

/// Whether an entry point, or a function that it calls, has a loop that was not unrolled with a bound that is no constant.
fn has_open_loop(module: &naga::Module, function: &naga::Function) -> bool {
    let mut open = false;
    each_statement(&function.body, &mut |statement| match statement {
        Statement::Loop { body, .. } => open |= !bounded_by_constant(function, body),
        Statement::Call { function: callee, .. } => open |= has_open_loop(module, &module.functions[*callee]),
        _ => {}
    });
    open
}

/// Whether a loop's first exit compares with a constant: `for (var i = 0u; i < 6u; i++)`.
fn bounded_by_constant(function: &naga::Function, body: &naga::Block) -> bool {
    let exit = body.iter().find_map(|statement| match statement {
        Statement::If { condition, reject, .. } if matches!(reject.last(), Some(Statement::Break)) => Some(*condition),
        _ => None,
    });
    let Some(condition) = exit else { return false };
    let constant = |handle| matches!(function.expressions[handle], Expression::Literal(_) | Expression::Constant(_));
    match function.expressions[condition] {
        Expression::Binary { left, right, .. } => constant(left) || constant(right),
        _ => false,
    }
}

fn expect_none(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}

fn each(mut look: impl FnMut(&Kernel) -> Vec<String>) -> Vec<String> {
    let told = |kernel: &'static Kernel, problem: String| format!("{}: {problem}", kernel.title());
    kernels().iter().flat_map(|kernel| look(kernel).into_iter().map(|p| told(kernel, p)).collect::<Vec<_>>()).collect()
}

/// What keeps a program from being WGSL by its grammar: naga gives operators precedences that WGSL leaves open, `a >> 1u & 2u`.
fn breach_of_grammar(program: &Source) -> Option<String> {
    // Names of built-in values that are newer than the parser are no matter of grammar.
    let known = |text: &str, name: &str| text.replace(&format!("@builtin({name})"), "@builtin(subgroup_size)");
    let text = ["subgroup_id", "num_subgroups"].iter().fold(program.text.clone(), |text, name| known(&text, name));
    let breach = text.parse::<TranslationUnit>().err()?;
    let line = text[..breach.span.range().start].matches('\n').count() + 1;
    Some(program.error_at(line, breach.error.to_string()).to_string())
}

#[test]
fn every_program_keeps_to_the_grammar_of_wgsl() {
    let plain = files().filter(|file| !file.starts_with("shared/")).map(Module::new);
    let modules: HashSet<Module> = plain.chain(kernels().iter().map(|kernel| kernel.module.clone())).collect();
    let found = modules.iter().filter_map(|module| breach_of_grammar(&compose(module).unwrap())).collect();
    expect_none("not WGSL, though naga reads it:", found);
    for wrong in ["a >> 1u & 2u", "a + 1u << 2u", "a & 1u | 2u", "a << 1u << 2u"] {
        let text = format!("fn f(a: u32) -> u32 {{ return {wrong}; }}");
        assert!(breach_of_grammar(&Source::plain(text)).is_some(), "{wrong}");
    }
}

#[test]
fn no_program_holds_what_a_compiler_breaks() {
    let found = each(|kernel| {
        let (module, info) = &*kernel.naga;
        problems_of(module, info)
    });
    expect_none("known to break:", found);
}

#[test]
fn no_kernel_binds_more_storage_buffers_than_a_device_has_that_is_offered_it() {
    let found = each(|kernel| {
        let has = kernel.devices.iter().map(|&device| DEVICES[device].1.max_storage_buffers as usize).min();
        match (kernel.storage_buffers(), has.unwrap_or(0)) {
            (binds, has) if binds > has => {
                vec![format!("binds {binds} storage buffers, and is offered where there are {has}")]
            }
            _ => vec![],
        }
    });
    expect_none("too many storage buffers:", found);
}

#[test]
fn no_kernel_binds_more_storage_textures_than_every_device_has() {
    let found = each(|kernel| match kernel.storage_textures() {
        0..=STORAGE_TEXTURES => vec![],
        more => vec![format!("binds {more} storage textures, WebGPU promises {STORAGE_TEXTURES}")],
    });
    expect_none("too many storage textures:", found);
}

#[test]
fn what_the_default_limits_are_offered_stays_inside_them() {
    let found = each(|kernel| {
        let mut found = Vec::new();
        if kernel.devices.contains(&0) {
            if kernel.entry.workgroup_bytes > WORKGROUP_BYTES {
                found.push(format!("takes {} bytes of workgroup memory", kernel.entry.workgroup_bytes));
            }
            if kernel.invocations() > INVOCATIONS {
                found.push(format!("has {} invocations", kernel.invocations()));
            }
            if kernel.subgroups {
                found.push("uses subgroups, which not every device has".to_owned());
            }
        }
        found
    });
    expect_none("beyond WebGPU's default limits, yet offered there:", found);
}

#[test]
fn workgroups_of_a_single_subgroup_are_for_cpu_adapters_alone() {
    let found = each(|kernel| {
        if kernel.invocations() >= FEWEST_INVOCATIONS {
            return vec![];
        }
        let size = kernel.invocations();
        let fixed =
            kernel.module.constants.iter().any(|(name, value)| *name == "SUBGROUP" && *value == format!("{size}u"));
        match kernel.cpu_only() && fixed && CPU_SUBGROUPS.contains(&size) {
            true => vec![],
            false => vec![format!("has workgroups of {size}, and is not specialised to a CPU adapter's subgroup size")],
        }
    });
    expect_none("workgroups as small as a subgroup:", found);
}

#[test]
fn every_kernel_with_an_open_loop_declares_its_trips() {
    let found = each(|kernel| {
        let (module, _) = &*kernel.naga;
        let entry = module.entry_points.iter().find(|entry| entry.name == kernel.entry.name).unwrap();
        match has_open_loop(module, &entry.function) && kernel.trips[0] <= 1 {
            true => vec!["has a loop whose bound is no constant, and its dispatch declares no trips".to_owned()],
            false => vec![],
        }
    });
    expect_none("old software drivers end loops silently, so each dispatch says how many iterations there are:", found);
}

#[test]
fn the_lint_finds_what_it_looks_for() {
    let found = |text: &str| {
        let module = naga::front::wgsl::parse_str(text).unwrap();
        let (flags, all) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
        problems_of(&module, &naga::valid::Validator::new(flags, all).validate(&module).unwrap())
    };
    let main = "@group(0) @binding(0) var<storage, read_write> x: array<f32>; @compute @workgroup_size(64) fn main() ";
    for (body, wanted) in [
        ("{ var v = vec4<f32>(x[0]); x[1] = v[u32(x[2])]; }", "no constant"),
        ("{ let v = vec4<f32>(x[0]); x[1] = v[u32(x[2])]; }", "no constant"),
        ("{ var v: array<vec4<f32>, 2>; v[u32(x[3])][u32(x[2])] = 1.0; x[1] = v[0][0]; }", "no constant"),
        ("{ x[0] = f()[1]; } fn f() -> array<f32, 2> { return array<f32, 2>(1.0, 2.0); }", "returns an array"),
        ("{ x[0] = f32(atomicAdd(&a, 1u)); } @group(0) @binding(1) var<storage, read_write> a: atomic<u32>;", "atomic"),
        ("{ var a = f32(); var b = T(); x[0] = a + b; } alias T = f32;", "two names"),
    ] {
        let found = found(&format!("{main}{body}"));
        assert!(found.len() == 1 && found[0].contains(wanted), "{body}: {found:?}");
    }
    for body in [
        "{ var v = vec4<f32>(x[0]); var a: array<f32, 4>; a[u32(x[2])] = v[3]; x[0] = a[1]; }",
        "{ atomicAdd(&a, 1u); workgroupBarrier(); x[0] = f32(atomicLoad(&a)); } var<workgroup> a: atomic<u32>;",
    ] {
        assert!(found(&format!("{main}{body}")).is_empty(), "{body}");
    }
}
