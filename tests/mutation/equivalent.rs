//! The committed list of mutants that are no mistakes: what they compute is as right as the shader, or cannot be told from it
//! at the tolerance that float32 has.

use serde::Deserialize;

use crate::operators::Mutant;
use crate::runner::text;

/// Where the list is.
pub const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mutation/equivalent.toml");

/// Mutants with one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The shader, or `*` for all.
    pub file: String,
    /// Why none of them is a mistake.
    pub reason: String,
    /// Lines as they are and as they become.
    #[serde(default)]
    pub mutants: Vec<[String; 2]>,
    /// Or a whole class: every mutant by one of these operators (or all, where none is given) …
    #[serde(default)]
    pub operators: Vec<String>,
    /// … of lines that start so.
    #[serde(default)]
    pub lines: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct List {
    equivalent: Vec<Entry>,
}

/// The list.
pub fn list() -> Vec<Entry> {
    let list: List = toml::from_str(&std::fs::read_to_string(LIST).unwrap()).unwrap_or_else(|e| panic!("{LIST}: {e}"));
    list.equivalent
}

impl Entry {
    /// Whether a mutant with this replacement is meant.
    pub fn covers(&self, mutant: &Mutant, choice: &str) -> bool {
        if self.file != "*" && self.file != mutant.file {
            return false;
        }
        let [was, becomes] = mutant.lines(text(mutant.file), choice);
        let listed = self.mutants.iter().any(|[old, new]| *old == was && *new == becomes);
        let by = self.operators.is_empty() || self.operators.iter().any(|operator| operator == mutant.operator);
        listed || (by && self.lines.iter().any(|start| was.starts_with(start.as_str())))
    }
}
