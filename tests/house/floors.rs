//! The floors of the house: imports run downwards only.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Source, expect_none, files};

/// The floors from the ground up, each with its rooms. Rooms on one floor may share, but not in a circle.
const FLOORS: [&[&str]; 9] = [
    &["error", "tensor"],
    &["ops"],
    &["gpu"],
    &["graph"],
    &["kernels"],
    &["session"],
    &["nn", "data", "format"],
    &["train", "verify", "bench", "report"],
    &["cli", "main"],
];

/// Rooms that never see each other although one is above the other: the mathematics needs no GPU, and the machine knows no
/// mathematics. A graph is mathematics too.
const STRANGERS: [[&str; 2]; 3] = [["ops", "gpu"], ["gpu", "ops"], ["graph", "gpu"]];

/// The rooms that may name `wgpu`.
const KNOW_WGPU: [&str; 2] = ["gpu", "session"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The room in which a file of `src` lies: its first folder, or its own name.
fn room(source: &Source) -> &str {
    let inside = source.path.strip_prefix("src/").unwrap_or(&source.path);
    inside.split(['/', '.']).next().unwrap_or_default()
}

/// Rooms named by paths from the crate's root, in code: `crate::ops::Conv2d`, `crate::{graph, nn::Network}`. What the root
/// exports again (`crate::Result`) belongs to the ground floor.
fn seen(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let mut rooms = Vec::new();
    for start in ["crate::", "wgrad::"] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(list) => rooms.extend(heads(list)),
                None => rooms.push(word(rest)),
            }
        }
    }
    rooms.retain(|room| room.starts_with(|c: char| c.is_ascii_lowercase()));
    rooms
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The first words of the items of a list in braces: `graph, nn::{Layer, Network}}` has `graph` and `nn`.
fn heads(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.push(word(list[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}

/// Every import between two rooms: (importing file and line, its room, the room it names).
fn imports(sources: &[Source]) -> Vec<(String, &str, &str)> {
    let mut imports = Vec::new();
    for source in sources.iter().filter(|source| source.path != "src/lib.rs") {
        for (index, line) in source.text.lines().enumerate() {
            let rooms = seen(line).into_iter().filter(|seen| *seen != room(source));
            imports.extend(rooms.map(|seen| (format!("{}:{}", source.path, index + 1), room(source), seen)));
        }
    }
    imports
}

#[test]
fn every_room_has_a_floor() {
    let sources = files("src", "rs");
    let homeless = sources.iter().filter(|source| source.path != "src/lib.rs" && floor(room(source)).is_none());
    expect_none("these files are on no floor:", &homeless.map(|source| source.path.clone()).collect::<Vec<_>>());
}

#[test]
fn imports_run_downwards_only() {
    let sources = files("src", "rs");
    let mut found = Vec::new();
    for (place, from, to) in imports(&sources) {
        let Some(target) = floor(to) else {
            found.push(format!("{place}: `{to}` is on no floor"));
            continue;
        };
        if floor(from).is_some_and(|from| target > from) {
            found.push(format!("{place}: {from} imports {to}, which is above it"));
        }
        if STRANGERS.contains(&[from, to]) {
            found.push(format!("{place}: {from} must not know {to}"));
        }
    }
    expect_none("imports run downwards only:", &found);
}

#[test]
fn rooms_of_one_floor_do_not_import_each_other_in_a_circle() {
    let sources = files("src", "rs");
    let mut sideways: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, from, to) in imports(&sources).into_iter().filter(|(_, from, to)| floor(from) == floor(to)) {
        sideways.entry(from).or_default().insert(to);
    }
    let mut found = Vec::new();
    for &start in sideways.keys() {
        let (mut reached, mut edge) = (BTreeSet::new(), vec![start]);
        while let Some(room) = edge.pop() {
            edge.extend(sideways.get(room).into_iter().flatten().filter(|next| reached.insert(**next)));
        }
        if reached.contains(start) {
            found.push(format!("{start} imports itself through {reached:?}"));
        }
    }
    expect_none("a circle of imports:", &found);
}

#[test]
fn only_the_machine_and_the_session_name_wgpu() {
    let mut found = Vec::new();
    for source in files("src", "rs").iter().filter(|source| !KNOW_WGPU.contains(&room(source))) {
        for (number, line) in source.text.lines().enumerate() {
            if line.split("//").next().unwrap_or_default().contains("wgpu::") {
                found.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    expect_none("only gpu and session may name wgpu:", &found);
}

#[test]
fn imports_are_found_in_every_form() {
    assert_eq!(seen("use crate::ops::Conv2d;"), ["ops"]);
    assert_eq!(seen("use crate::{Error, graph, nn::{Layer, Network}, data::Split};"), ["graph", "nn", "data"]);
    assert_eq!(seen("let x = crate::train::run(wgrad::verify::oracle);"), ["train", "verify"]);
    assert_eq!(seen("/// See [`crate::train`]."), [""; 0]);
}
