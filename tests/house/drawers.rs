//! An operator is one stem in five drawers: definition, shader, host, test, benchmark.

use crate::sources::{expect_none, files, root};

/// Files of `src/ops` that are no operators: the operator trait itself, the number type of the references, what fusion makes of
/// operators that have drawers of their own, and the random numbers, whose twin is `shaders/shared/random.wgsl` and whose test
/// is `tests/ops/random.rs`.
const NO_OPERATORS: [&str; 4] = ["mod", "real", "fused", "random"];

/// The stems of all operators.
fn operators() -> Vec<String> {
    let rooms = files("src/ops", "rs").into_iter().filter(|source| source.path.matches('/').count() == 2);
    let stems = rooms.map(|source| source.stem().to_owned());
    stems.filter(|stem| !NO_OPERATORS.contains(&stem.as_str())).collect()
}

#[test]
fn every_operator_has_a_shader_a_host_a_test_and_a_benchmark() {
    let benches = std::fs::read_to_string(root().join("benches/ops.rs")).unwrap_or_default();
    let mut missing = Vec::new();
    for stem in operators() {
        for drawer in [format!("shaders/{stem}.wgsl"), format!("src/kernels/{stem}.rs"), format!("tests/ops/{stem}.rs")]
        {
            if !root().join(&drawer).is_file() {
                missing.push(format!("operator {stem} has no {drawer}"));
            }
        }
        if !benches.contains(&format!("fn {stem}(")) {
            missing.push(format!("operator {stem} has no `fn {stem}` in benches/ops.rs"));
        }
    }
    expect_none("an operator is one stem in five drawers:", &missing);
}

#[test]
fn every_shader_and_host_file_belongs_to_an_operator() {
    let operators = operators();
    let mut strays = Vec::new();
    for source in files("shaders", "wgsl").into_iter().chain(files("src/kernels", "rs")) {
        let stem = source.stem().to_owned();
        let belongs = |operator: &String| stem == *operator || stem.starts_with(&format!("{operator}_"));
        let shared = source.path.starts_with("shaders/shared/")
            || ["src/kernels/mod.rs", "src/kernels/dispatch.rs"].contains(&source.path.as_str());
        if !shared && !operators.iter().any(belongs) {
            strays.push(format!("{} is named after no operator in src/ops", source.path));
        }
    }
    expect_none("an algorithm's file is named `<operator>` or `<operator>_<algorithm>`:", &strays);
}

#[test]
fn random_numbers_have_their_twin_and_their_test() {
    for file in ["shaders/shared/random.wgsl", "tests/ops/random.rs"] {
        assert!(root().join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn every_shader_says_what_it_computes_and_where_its_definition_and_host_are() {
    let mut found = Vec::new();
    for source in files("shaders", "wgsl") {
        let header: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//")).collect();
        if header.is_empty() {
            found.push(format!("{} does not open with a sentence", source.path));
        }
        if source.path.starts_with("shaders/shared/") {
            continue;
        }
        for role in ["Dispatch:", "Definition:", "Host:"] {
            if !header.iter().any(|line| line.contains(role)) {
                found.push(format!("{}: the header has no `{role}`", source.path));
            }
        }
    }
    expect_none("a shader opens with formula, dispatch contract and the paths of its other drawers:", &found);
}

/// The constants that a file declares with a plain number, by name.
fn numbers<'a>(text: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let declared =
        text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("const ")?.split_once(": "));
    declared.filter_map(move |(name, rest)| {
        let value = rest.strip_prefix(kind)?.strip_prefix(" = ")?.strip_suffix(';')?.trim_end_matches('u');
        value.chars().all(|c| c.is_ascii_digit()).then_some((name, value))
    })
}

#[test]
fn a_shader_and_its_host_say_the_same_numbers() {
    let (mut found, mut met) = (Vec::new(), 0);
    for source in files("shaders", "wgsl") {
        let host =
            std::fs::read_to_string(root().join(format!("src/kernels/{}.rs", source.stem()))).unwrap_or_default();
        for (name, value) in numbers(&source.text, "u32") {
            for (_, other) in numbers(&host, "usize").filter(|(other, _)| *other == name) {
                met += 1;
                if value != other {
                    found.push(format!("{}: {name} is {value}, and {other} in src/kernels", source.path));
                }
            }
        }
    }
    expect_none("tiles are said twice and must agree:", &found);
    assert!(met >= 5, "only {met} numbers were compared");
}
