//! Mutants of every kind that are asked with every run of the tests, and what holds of all mutants without running them.

use std::collections::HashSet;

use crate::operators::{Mutant, mutants};
use crate::runner::{Fate, fate, text};
use crate::tokens::{Kind, Text};
use wgrad::gpu::compose::files;

/// File, function, what is done to it, and which of these mutants it is.
const DOZEN: [(&str, &str, &str, usize); 18] = [
    ("dropout.wgsl", "forward", "operator swapped", 0),
    ("reduce.wgsl", "sum_rows", "update swapped", 0),
    ("softmax.wgsl", "log_softmax_grad", "sign dropped", 0),
    ("batch.wgsl", "gather", "constant one more", 0),
    ("control.wgsl", "advance", "constant one more", 1),
    ("shared/norm_scale.wgsl", "norm_scale", "constant a hundredth more", 0),
    ("reduce.wgsl", "sum_rows", "guard never met", 0),
    ("linear.wgsl", "grad_input", "guard always met", 0),
    ("group_norm.wgsl", "grad", "statement dropped", 0),
    ("group_norm.wgsl", "grad", "output not written", 0),
    ("conv2d_tiled.wgsl", "gather_tile", "bound one less", 0),
    ("pool2d.wgsl", "max_forward", "arguments swapped", 4),
    ("pool2d.wgsl", "covering", "min and max swapped", 0),
    ("reduce.wgsl", "sum_rows", "bound dropped", 0),
    ("batch_norm2d.wgsl", "rstd_finish", "call dropped", 0),
    ("conv2d.wgsl", "convolve", "variable swapped", 7),
    ("shared/split_sum.wgsl", "", "constant far off", 3),
    ("softmax.wgsl", "", "constant far off", 5),
];

fn all() -> Vec<Mutant> {
    files().flat_map(|file| mutants(file, text(file))).collect()
}

#[test]
fn a_wrong_shader_of_every_kind_is_found() {
    if crate::adapter::adapter().is_none() {
        return;
    }
    let mut survivors = Vec::new();
    for (file, function, operator, number) in DOZEN {
        let of = |mutant: &Mutant| mutant.function == function && mutant.operator == operator;
        let mutant = mutants(file, text(file)).into_iter().filter(of).nth(number);
        let mutant = mutant.unwrap_or_else(|| panic!("{file} has no such mutant: {function}, {operator}, {number}"));
        let verdict = fate(&mutant);
        if verdict.fate != Fate::Killed {
            let lines = mutant.lines(text(file), &mutant.choices[verdict.choice]);
            survivors.push(format!("{file} {function}, {operator}: {:?} {} {lines:?}", verdict.fate, verdict.by));
        }
    }
    assert!(survivors.is_empty(), "verify does not find\n{}", survivors.join("\n"));
}

#[test]
fn every_operator_constant_guard_and_barrier_has_a_mutant() {
    let mut missing = Vec::new();
    for file in files() {
        let read = Text::new(text(file));
        let changed: HashSet<usize> = mutants(file, read.text).iter().flat_map(|mutant| mutant.at.clone()).collect();
        let bodies: Vec<_> = read.functions().into_iter().map(|function| function.body).collect();
        for (i, token) in read.tokens.iter().enumerate().filter(|(i, _)| bodies.iter().any(|body| body.contains(i))) {
            let word = read.word(i);
            let wanted = match token.kind {
                Kind::Integer | Kind::Float => true,
                Kind::Mark => !"(){}[],;:=.->".contains(word) || word == "-",
                Kind::Word => ["workgroupBarrier", "if", "while"].contains(&word),
                Kind::Template => false,
            };
            let place = if ["if", "while"].contains(&word) { read.tokens[i + 1].at.start } else { token.at.start };
            if wanted && !changed.contains(&place) {
                missing.push(format!("{file}: `{word}` at byte {}", token.at.start));
            }
        }
    }
    assert!(missing.is_empty(), "without a mutant:\n{}", missing.join("\n"));
}

#[test]
fn every_listed_equivalent_is_still_a_mutant() {
    let (mutants, mut stale) = (all(), Vec::new());
    for entry in crate::equivalent::list() {
        assert!(!entry.reason.trim().is_empty(), "{entry:?} has no reason");
        for lines in &entry.mutants {
            let meant = |mutant: &&Mutant| entry.file == "*" || mutant.file == entry.file;
            let is =
                |mutant: &Mutant| mutant.choices.iter().any(|choice| mutant.lines(text(mutant.file), choice) == *lines);
            if !mutants.iter().filter(meant).any(is) {
                stale.push(format!("{}: no mutant is {lines:?}", entry.file));
            }
        }
        for line in &entry.lines {
            let found = files().any(|file| text(file).lines().any(|known| known.trim().starts_with(line.as_str())));
            if !found {
                stale.push(format!("no line starts with {line:?}"));
            }
        }
    }
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}
