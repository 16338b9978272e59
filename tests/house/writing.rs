//! What must not be written, and how long a file may be.

use crate::sources::{Source, expect_none, files, rust};

const MOST_LINES: [(&str, usize); 2] = [("rs", 400), ("wgsl", 350)];

/// Marks of unfinished work, and of facts said twice with nothing that holds them together.
const FORBIDDEN: [&str; 9] = [
    "TODO",
    "FIXME",
    "XXX",
    "todo!(",
    "unimplemented!(",
    "dbg!(",
    "keep in sync",
    "keep this in sync",
    "keep these in sync",
];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 4] = ["utils", "util", "helpers", "misc"];

fn everything() -> Vec<Source> {
    let others = |source: &Source| !source.path.starts_with("tests/house/");
    rust().into_iter().chain(files("shaders", "wgsl")).filter(others).collect()
}

#[test]
fn no_file_has_outgrown_its_room() {
    let mut found = Vec::new();
    for (ending, most) in MOST_LINES {
        let sources = if ending == "rs" { rust() } else { files("shaders", ending) };
        for source in sources {
            let lines = source.text.lines().count();
            if lines > most {
                found.push(format!("{} has {lines} lines: is it one room or two?", source.path));
            }
        }
    }
    expect_none(&format!("no file is longer than {MOST_LINES:?} lines:"), &found);
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let mut found = Vec::new();
    for source in files("src", "rs") {
        let lines = source.product().filter(|(_, line)| line.contains(".unwrap()"));
        found.extend(lines.map(|(number, _)| format!("{}:{number}", source.path)));
    }
    expect_none("`.unwrap()` is for tests alone:", &found);
}

#[test]
fn no_work_is_left_lying_about() {
    let mut found = Vec::new();
    for source in everything() {
        for (index, line) in source.text.lines().enumerate() {
            let words = FORBIDDEN.iter().filter(|word| line.to_lowercase().contains(&word.to_lowercase()));
            found.extend(words.map(|word| format!("{}:{}: `{word}`", source.path, index + 1)));
        }
    }
    expect_none("finish it, or say in a sentence what is not handled:", &found);
}

#[test]
fn every_file_is_named_after_what_is_in_it() {
    let empty = everything().into_iter().filter(|source| EMPTY_NAMES.contains(&source.stem()));
    expect_none("names that say nothing:", &empty.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn every_lint_exception_has_a_reason() {
    let mut found = Vec::new();
    for source in rust() {
        for (index, line) in source.text.lines().enumerate() {
            let code = line.trim_start();
            let attribute = code.starts_with("#[") || code.starts_with("#![");
            let excepts = ["allow(", "expect("].iter().any(|word| code.contains(word));
            // A long attribute goes on in the lines below.
            let whole: String = source.text.lines().skip(index).take(5).collect::<Vec<_>>().join(" ");
            let whole = whole.split(")]").next().unwrap_or_default();
            if attribute && excepts && !whole.contains("reason =") {
                found.push(format!("{}:{}", source.path, index + 1));
            }
        }
    }
    expect_none("lint exceptions without a reason:", &found);
}
