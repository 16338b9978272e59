//! Outcomes in rows: one for each operator, direction and variant.

use std::collections::BTreeMap;

use wgrad::verify::trial::{Outcome, Verdict};

use super::Counts;
use crate::cli::text::{self, Table};

/// All cases of an operator's direction in one variant.
pub struct Row {
    pub operator: String,
    pub direction: String,
    pub variant: String,
    pub counts: Counts,
    /// Largest relative L2 error, and largest error as a share of the largest element.
    pub worst: [f64; 2],
    /// The case with the largest relative L2 error, and its largest absolute error.
    pub case: String,
    pub absolute: f64,
    pub allowed: [f64; 2],
    /// Whether any case was answered at all.
    pub answered: bool,
}

impl Row {
    /// The rows, in the order in which their first cases come.
    pub fn all(outcomes: &[Outcome]) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        let mut places = BTreeMap::new();
        for outcome in outcomes {
            let Outcome { operator, direction, variant, tolerance, .. } = outcome;
            let key = (operator.clone(), direction.clone(), variant.clone());
            let place = *places.entry(key).or_insert(rows.len());
            if place == rows.len() {
                rows.push(Self {
                    operator: operator.clone(),
                    direction: direction.clone(),
                    variant: variant.clone(),
                    counts: Counts::default(),
                    worst: [0.0; 2],
                    case: String::new(),
                    absolute: 0.0,
                    allowed: [tolerance.relative_l2, tolerance.max_error],
                    answered: false,
                });
            }
            rows[place].add(outcome);
        }
        rows
    }

    fn add(&mut self, outcome: &Outcome) {
        let more = Counts::of([outcome]);
        self.counts.passed += more.passed;
        self.counts.failed += more.failed;
        self.counts.not_run += more.not_run;
        let Some(worst) = &outcome.worst else { return };
        self.answered = true;
        if worst.relative_l2 > self.worst[0] || self.case.is_empty() {
            self.case.clone_from(&outcome.case);
            self.absolute = worst.max_absolute;
        }
        for (known, new) in self.worst.iter_mut().zip([worst.relative_l2, worst.max_error]) {
            *known = known.max(new);
        }
    }

    /// `passed`, `FAILED`, or `not run`.
    pub fn verdict(&self) -> &'static str {
        match self.counts {
            Counts { failed: 1.., .. } => "FAILED",
            Counts { passed: 0, .. } => "not run",
            _ => "passed",
        }
    }

    /// Its cells, as texts.
    pub fn cells(&self) -> [String; 12] {
        let error = |value: f64| if self.answered { format!("{value:.1e}") } else { "–".into() };
        let Counts { passed, failed, not_run } = self.counts;
        let skipped = if not_run > 0 { text::count(not_run as u64) } else { String::new() };
        [
            self.operator.clone(),
            self.direction.clone(),
            self.variant.clone(),
            text::count((passed + failed) as u64),
            skipped,
            error(self.worst[0]),
            format!("{:.0e}", self.allowed[0]),
            error(self.worst[1]),
            format!("{:.0e}", self.allowed[1]),
            self.case.clone(),
            error(self.absolute),
            self.verdict().into(),
        ]
    }
}

/// The headings of [`Row::cells`].
pub const HEADINGS: [&str; 12] = [
    "operator",
    "direction",
    "variant",
    ">cases",
    ">not run",
    ">relative L2",
    ">allowed",
    ">of largest",
    ">allowed",
    "worst case",
    ">absolute",
    "verdict",
];

/// The rows, aligned.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new(HEADINGS);
    for row in rows {
        table.row(row.cells());
    }
    table.lines()
}

/// The reasons for which cases were not run, with how many.
pub fn not_run(outcomes: &[Outcome]) -> Vec<(String, usize)> {
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.verdict == Verdict::NotRun) {
        let reason = format!("{}: {}", outcome.variant, outcome.story.as_deref().unwrap_or("no reason is known"));
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    reasons
}
