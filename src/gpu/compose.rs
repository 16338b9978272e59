//! The shader composer. Shaders are plain WGSL files; the composer has exactly three powers over them:
//!
//! * `#import name` pastes `shaders/shared/name.wgsl` once; a [`Module`] may link the name to another file, which is
//!   how a variant takes its operands from somewhere else.
//! * Specialise: the right-hand side of a top-level `const` or `alias` that the file declares is replaced.
//! * Unroll: a `for` over constants that stands under a `//#unroll` line is written out, the loop variable as a
//!   literal, so that register tiles get constant indices on drivers that do not unroll by themselves.
//!
//! Unexpanded, a file is the same program. Errors name the file and line of the source.

use std::collections::{HashMap, HashSet};

use super::expression::evaluate;
pub use super::sources::files;
use super::sources::source;
use crate::error::{Error, Result};

/// A shader file with what the host decides about it. Two equal modules compile to the same code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Module {
    /// Path below `shaders/`.
    pub file: &'static str,
    /// Imports that mean another file than their name says: (import, file below `shaders/`).
    pub links: Vec<(&'static str, &'static str)>,
    /// Top-level constants and aliases to replace: (name, right-hand side).
    pub constants: Vec<(&'static str, String)>,
}

impl Module {
    /// The file as it stands.
    pub fn new(file: &'static str) -> Self {
        Self { file, links: Vec::new(), constants: Vec::new() }
    }
}

/// One line of composed source and where it came from.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    file: &'static str,
    number: usize,
}

/// Composed WGSL.
#[derive(Debug, Clone)]
pub struct Source {
    /// The program.
    pub text: String,
    origins: Vec<(&'static str, usize)>,
}

impl Source {
    /// A program that is no file: errors name none.
    pub fn plain(text: String) -> Self {
        Self { text, origins: Vec::new() }
    }

    /// An error about the composed line `line` (from 1), told at its place in the file it came from.
    pub fn error_at(&self, line: usize, problem: impl Into<String>) -> Error {
        let (file, number) = self.origins.get(line.saturating_sub(1)).copied().unwrap_or(("?", 0));
        Error::Shader { file: file.to_owned(), line: number, problem: problem.into() }
    }
}

/// Expands a module into one WGSL program.
pub fn compose(module: &Module) -> Result<Source> {
    compose_with(module, &HashMap::new())
}

/// The same with other texts for some files, by their paths below `shaders/`.
pub fn compose_with(module: &Module, texts: &HashMap<&str, &str>) -> Result<Source> {
    let mut lines = Vec::new();
    import(module, module.file, texts, &mut HashSet::new(), &mut lines)?;
    let constants = specialise(module, &mut lines)?;
    let lines = unroll(lines, &constants)?;
    let mut text = String::new();
    for line in &lines {
        text.push_str(&line.text);
        text.push('\n');
    }
    Ok(Source { text, origins: lines.iter().map(|line| (line.file, line.number)).collect() })
}

fn shader_error(file: &str, line: usize, problem: impl Into<String>) -> Error {
    Error::Shader { file: file.to_owned(), line, problem: problem.into() }
}

fn import(
    module: &Module,
    file: &str,
    texts: &HashMap<&str, &str>,
    seen: &mut HashSet<&'static str>,
    out: &mut Vec<Line>,
) -> Result<()> {
    let Some((file, text)) = source(file)? else {
        return Err(shader_error(file, 0, "there is no such shader file"));
    };
    let text = texts.get(file).copied().unwrap_or(text);
    if !seen.insert(file) {
        return Ok(());
    }
    for (index, text) in text.lines().enumerate() {
        let number = index + 1;
        let Some(name) = text.trim().strip_prefix("#import ") else {
            out.push(Line { text: text.to_owned(), file, number });
            continue;
        };
        let name = name.trim();
        let linked = module.links.iter().find(|(import, _)| *import == name).map(|(_, file)| (*file).to_owned());
        let target = linked.unwrap_or_else(|| format!("shared/{name}.wgsl"));
        if !files().any(|known| known == target) {
            return Err(shader_error(file, number, format!("#import {name}: there is no file {target}")));
        }
        import(module, &target, texts, seen, out)?;
    }
    Ok(())
}

/// Replaces constants and answers every integer constant of the program by name.
fn specialise(module: &Module, lines: &mut [Line]) -> Result<HashMap<String, i64>> {
    let mut missing: HashSet<&str> = module.constants.iter().map(|(name, _)| *name).collect();
    let mut known = HashMap::new();
    for line in lines.iter_mut() {
        let Some((head, name, value)) = declaration(&line.text) else { continue };
        let replaced = module.constants.iter().find(|(wanted, _)| *wanted == name).map(|(_, value)| value.clone());
        missing.remove(name);
        let value = replaced.clone().unwrap_or_else(|| value.to_owned());
        if let Some(number) = evaluate(&value, &known) {
            known.insert(name.to_owned(), number);
        }
        if replaced.is_some() {
            line.text = format!("{head}= {value};");
        }
    }
    match missing.into_iter().next() {
        None => Ok(known),
        Some(name) => Err(shader_error(module.file, 0, format!("no top-level const or alias is named {name}"))),
    }
}

/// Splits a top-level `const NAME… = value;` or `alias NAME = value;` into what stands before `=`, the name, and the value.
fn declaration(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix("const ").or_else(|| line.strip_prefix("alias "))?;
    let (head, value) = line.split_once('=')?;
    let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    Some((head, name, value.split_once(';')?.0.trim()))
}

fn unroll(lines: Vec<Line>, constants: &HashMap<String, i64>) -> Result<Vec<Line>> {
    let mut out = Vec::with_capacity(lines.len());
    let mut rest = lines.as_slice();
    while let Some((line, after)) = rest.split_first() {
        rest = after;
        if line.text.trim() != "//#unroll" {
            out.push(line.clone());
            continue;
        }
        let Some((header, _)) = after.split_first() else {
            return Err(shader_error(line.file, line.number, "nothing follows //#unroll"));
        };
        let lasting = header_of_loop(&header.text, constants).ok_or_else(|| {
            let form = "//#unroll wants `for (var i = A; i < B; i++) {` with constant A and B, alone on its line";
            shader_error(header.file, header.number, form)
        })?;
        let end = end_of_block(after)
            .ok_or_else(|| shader_error(header.file, header.number, "the block of this loop does not end"))?;
        for value in lasting.values() {
            out.push(Line { text: "{".into(), ..header.clone() });
            let body = after[1..end].iter().map(|line| Line {
                text: replace_word(&line.text, lasting.variable, &format!("{value}u")),
                ..line.clone()
            });
            out.extend(unroll(body.collect(), constants)?);
            out.push(Line { text: "}".into(), ..after[end].clone() });
        }
        rest = &after[end + 1..];
    }
    Ok(out)
}

struct Loop<'a> {
    variable: &'a str,
    from: i64,
    to: i64,
    step: i64,
}

impl Loop<'_> {
    fn values(&self) -> impl Iterator<Item = i64> + use<> {
        (self.from..self.to).step_by(self.step as usize)
    }
}

/// Reads `for (var i = A; i < B; i++) {` or `… i += S) {`.
fn header_of_loop<'a>(text: &'a str, constants: &HashMap<String, i64>) -> Option<Loop<'a>> {
    let inner = text.trim().strip_prefix("for (var ")?.strip_suffix(") {")?;
    let mut parts = inner.split(';');
    let (variable, from) = parts.next()?.split_once('=')?;
    let variable = variable.split(':').next()?.trim();
    let to = parts.next()?.trim().strip_prefix(variable)?.trim().strip_prefix('<')?;
    let step = parts.next()?.trim().strip_prefix(variable)?.trim();
    let step = if step == "++" { 1 } else { evaluate(step.strip_prefix("+=")?, constants)? };
    let (from, to) = (evaluate(from, constants)?, evaluate(to, constants)?);
    (step > 0).then_some(Loop { variable, from, to, step })
}

/// The index of the line that closes the block opened in the first line.
fn end_of_block(lines: &[Line]) -> Option<usize> {
    let mut depth = 0i32;
    for (index, line) in lines.iter().enumerate() {
        let code = line.text.split("//").next().unwrap_or_default();
        depth += code.matches('{').count() as i32 - code.matches('}').count() as i32;
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

fn replace_word(text: &str, word: &str, with: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        out.push_str(before);
        // What stands before it may be a part of the word that was looked at last.
        let whole = !out.ends_with(|c: char| is_word(c) || c == '.') && !after.starts_with(is_word);
        out.push_str(if whole { with } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let line = |(index, text): (usize, &str)| Line { text: text.to_owned(), file: "test.wgsl", number: index + 1 };
        text.lines().enumerate().map(line).collect()
    }

    fn unrolled(text: &str) -> String {
        let constants = HashMap::from([("N".to_owned(), 2)]);
        unroll(lines(text), &constants).unwrap().iter().map(|line| line.text.trim()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn nested_loops_are_written_out_with_literals() {
        let text = "//#unroll\nfor (var i = 0u; i < N; i++) {\n//#unroll\nfor (var j = 0u; j < 4u; j += 2u) {\nacc[i * 4u + j] = p.i;\n}\n}";
        assert_eq!(
            unrolled(text),
            "{ { acc[0u * 4u + 0u] = p.i; } { acc[0u * 4u + 2u] = p.i; } } { { acc[1u * 4u + 0u] = p.i; } { acc[1u * 4u + 2u] = p.i; } }"
        );
        let text = "//#unroll\nfor (var c = 0u; c < 1u; c++) {\nacc[c] = cc + c;\n}";
        assert_eq!(unrolled(text), "{ acc[0u] = cc + 0u; }");
    }

    #[test]
    fn a_loop_that_cannot_be_unrolled_is_an_error_at_its_line() {
        let text = "fn f() {\n//#unroll\nfor (var i = 0u; i < params.n; i++) {\n}\n}";
        let error = unroll(lines(text), &HashMap::new()).unwrap_err().to_string();
        assert!(error.starts_with("test.wgsl:3:"), "{error}");
    }

    #[test]
    fn constants_are_replaced_and_unknown_ones_refused() {
        let module = Module { file: "x.wgsl", links: vec![], constants: vec![("TILE", "4u".into())] };
        let mut source = lines("const TILE: u32 = 8u; // a tile\nconst AREA = TILE * TILE;");
        let known = specialise(&module, &mut source).unwrap();
        assert_eq!(source[0].text, "const TILE: u32 = 4u;");
        assert_eq!(known["AREA"], 16);
        assert!(specialise(&module, &mut lines("const OTHER = 1u;")).is_err());
    }

    #[test]
    fn every_shipped_shader_composes_unspecialised() {
        for file in files().filter(|file| !file.starts_with("shared/")) {
            compose(&Module::new(file)).unwrap();
        }
    }
}
