//! Paths that the documents name exist.

use crate::sources::{Source, expect_none, files, root};

/// Folders whose paths are checked wherever a document or a shader's header names them.
const FOLDERS: [&str; 7] = ["src/", "shaders/", "tests/", "benches/", "scripts/", "docs/", ".github/"];

/// The paths in `text` that stand in backticks, in the target of a link, or alone between blanks.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "`()[]|,;:\"'".contains(c));
    let words = words.map(|word| word.trim_end_matches(['.', '*']));
    // A pattern names no file.
    words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['<', '*', '{', '…']))
}

fn documents() -> Vec<Source> {
    let names = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let top = names.into_iter().map(|name| Source {
        path: name.into(),
        text: std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}")),
    });
    top.chain(files("docs", "md")).collect()
}

#[test]
fn every_path_in_a_document_exists() {
    let mut found = Vec::new();
    for source in documents().into_iter().chain(files("shaders", "wgsl")) {
        // CONTRIBUTING adds an operator that does not exist, as an example.
        let wrong = paths(&source.text).filter(|path| !root().join(path).exists() && !path.contains("lerp"));
        found.extend(wrong.map(|path| format!("{} names {path}", source.path)));
    }
    expect_none("these paths do not exist:", &found);
}

#[test]
fn every_link_between_documents_has_a_target() {
    let mut found = Vec::new();
    for source in documents() {
        for link in source.text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !link.is_empty() && !link.contains("://") && !root().join(link).exists() {
                found.push(format!("{} links to {link}", source.path));
            }
        }
    }
    expect_none("links without a target:", &found);
}
