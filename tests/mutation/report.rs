//! What is said of a run: a table by shader, and every survivor with its diff.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::equivalent::Entry;
use crate::operators::Mutant;
use crate::runner::{Fate, Verdict, text};

/// The counts of one shader.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Found by `verify`.
    pub killed: usize,
    /// Not found, and not listed.
    pub survived: usize,
    /// Not found, and listed with a reason.
    pub equivalent: usize,
    /// No shaders.
    pub not_compiling: usize,
    /// Not known yet.
    pub unasked: usize,
}

/// The report of a run.
#[derive(Default)]
pub struct Report {
    rows: BTreeMap<&'static str, Counts>,
    /// Survivors with their diffs.
    pub survivors: Vec<String>,
    /// Listed mutants that are killed after all.
    pub stale: Vec<String>,
}

fn story(mutant: &Mutant, choice: &str) -> String {
    let right = text(mutant.file);
    let [was, becomes] = mutant.lines(right, choice);
    let line = right[..mutant.at.start].matches('\n').count() + 1;
    format!("{}:{line} {}: {}\n  - {was}\n  + {becomes}", mutant.file, mutant.function, mutant.operator)
}

impl Report {
    /// Adds a verdict.
    pub fn add(&mut self, mutant: &Mutant, verdict: Option<&Verdict>, list: &[Entry]) {
        let counts = self.rows.entry(mutant.file).or_default();
        let Some(verdict) = verdict else {
            counts.unasked += 1;
            return;
        };
        let choice = &mutant.choices[verdict.choice];
        let listed = list.iter().any(|entry| entry.covers(mutant, choice));
        let listed_alone = list.iter().any(|entry| entry.lines.is_empty() && entry.covers(mutant, choice));
        match verdict.fate {
            Fate::Killed => {
                counts.killed += 1;
                if listed_alone {
                    self.stale.push(format!("{}\n  killed by {}", story(mutant, choice), verdict.by));
                }
            }
            Fate::NotCompiling => counts.not_compiling += 1,
            Fate::Survived if listed => counts.equivalent += 1,
            Fate::Survived => {
                counts.survived += 1;
                self.survivors.push(story(mutant, choice));
            }
        }
    }

    /// The sum over all shaders.
    pub fn total(&self) -> Counts {
        self.rows.values().fold(Counts::default(), |sum, row| Counts {
            killed: sum.killed + row.killed,
            survived: sum.survived + row.survived,
            equivalent: sum.equivalent + row.equivalent,
            not_compiling: sum.not_compiling + row.not_compiling,
            unasked: sum.unasked + row.unasked,
        })
    }

    /// The table, in Markdown.
    pub fn table(&self) -> String {
        let mut out = String::from(
            "| shader | killed | survived | equivalent | not compiling | unasked | score |\n|---|--:|--:|--:|--:|--:|--:|\n",
        );
        let total = self.total();
        for (file, counts) in self.rows.iter().chain([(&"all", &total)]) {
            let Counts { killed, survived, equivalent, not_compiling, unasked } = counts;
            // Rounded down: 100 % is said of a clean sheet alone, and nothing of one that is not full.
            let score = (1000.0 * *killed as f64 / (killed + survived).max(1) as f64).floor() / 10.0;
            let score = if *unasked > 0 { "-".into() } else { format!("{score} %") };
            writeln!(out, "| {file} | {killed} | {survived} | {equivalent} | {not_compiling} | {unasked} | {score} |")
                .unwrap();
        }
        out
    }

    /// Table, survivors and what is listed in vain.
    pub fn page(&self) -> String {
        let mut out = format!("# Mutants\n\n{}", self.table());
        for (title, stories) in [("Survivors", &self.survivors), ("Listed as equivalent, but killed", &self.stale)] {
            write!(out, "\n## {title}: {}\n\n```diff\n{}\n```\n", stories.len(), stories.join("\n")).unwrap();
        }
        out
    }
}
