//! What it costs that a kernel is guessed before anything is measured: the guess beside the fastest of all that were timed.

use super::Row;

/// What the guesses of some results come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Regret {
    /// Problems of which the guess and at least one other variant were timed.
    pub problems: usize,
    /// Those of which another variant was timed and the guess was not: it was wrong, did not run or would have taken too long.
    pub untimed: Vec<String>,
    /// The time of all guesses together over that of the fastest variants.
    pub ratio: f64,
    /// Where the guess took more than [`MARGIN`] longer than the fastest: the problem, the guess, the fastest, and how many times
    /// as long the guess took.
    pub worse: Vec<Worse>,
}

/// A guess that was not the fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Worse {
    /// Workload and direction.
    pub problem: String,
    /// The variant that is guessed.
    pub guess: String,
    /// The fastest one.
    pub fastest: String,
    /// The guess's time over the fastest one's.
    pub ratio: f64,
}

/// What is not more than noise.
pub const MARGIN: f64 = 0.05;

/// Compares guesses with what was measured; nothing where nothing can be compared.
pub fn regret(rows: &[Row]) -> Option<Regret> {
    let mut found = Regret::default();
    let (mut guessed, mut best) = (0.0, 0.0);
    for rows in rows.chunk_by(|a, b| (&a.workload, &a.direction, a.batch) == (&b.workload, &b.direction, b.batch)) {
        let timed = || rows.iter().filter_map(|row| Some((row, row.ms?)));
        let Some((fastest, least)) = timed().min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        let Some(guess) = rows.iter().find(|row| row.guess) else { continue };
        let problem = format!("{} {}", guess.workload, guess.direction);
        let Some(time) = guess.ms else {
            found.untimed.push(problem);
            continue;
        };
        if timed().count() == 1 {
            continue;
        }
        found.problems += 1;
        (guessed, best) = (guessed + time, best + least);
        if time > (1.0 + MARGIN) * least {
            found.worse.push(Worse {
                problem,
                guess: guess.variant.clone(),
                fastest: fastest.variant.clone(),
                ratio: time / least,
            });
        }
    }
    found.worse.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    found.ratio = if found.problems > 0 { guessed / best } else { 1.0 };
    (found.problems + found.untimed.len() > 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, variant: &str, ms: Option<f64>, guess: bool) -> Row {
        Row {
            workload: workload.into(),
            direction: "forward".into(),
            variant: variant.into(),
            ms,
            guess,
            ..Row::default()
        }
    }

    #[test]
    fn a_guess_is_held_against_the_fastest_of_its_own_problem() {
        let rows = [
            row("a", "baseline", Some(9.0), false),
            row("a", "tiled", Some(2.0), true),
            row("b", "baseline", Some(1.0), false),
            row("b", "tiled", Some(2.0), true),
            // Within noise.
            row("c", "baseline", Some(1.0), true),
            row("c", "tiled", Some(0.99), false),
            row("e", "baseline", Some(5.0), false),
            row("e", "tiled", None, true),
            // Nothing to compare with.
            row("d", "tiled", Some(5.0), true),
            row("f", "baseline", None, false),
            row("f", "tiled", Some(5.0), true),
        ];
        let found = regret(&rows).unwrap();
        assert_eq!(found.problems, 3);
        assert!((found.ratio - 5.0 / 3.99).abs() < 1e-12, "{found:?}");
        let worse =
            Worse { problem: "b forward".into(), guess: "tiled".into(), fastest: "baseline".into(), ratio: 2.0 };
        assert_eq!(found.worse, [worse]);
        assert_eq!(found.untimed, ["e forward"]);
        assert_eq!(regret(&rows[8..]), None);
    }
}
