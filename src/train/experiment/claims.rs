//! What follows from the measurements, in words: which cure worked, by how much, and which did not help. Everything is computed
//! from the numbers of a sick version and of its cure, trained alike but for one thing.

use super::{Measurement, Record};
use crate::train::flow::{Kind, figure};

/// A cure worked that tells so large a share of the test images more right than its sick version: three times what the difference of
/// two accuracies deviates by chance with 2,000 images, at most √(½ / 2,000).
pub const CLEAR: f64 = 0.05;
/// Powers of ten by which the first layer's gradient must come closer to the last one's to count as evener.
pub const EVENER: f64 = 1.0;
/// Powers of ten between the two within which a gradient neither vanishes nor explodes.
pub const EVEN: f64 = 3.0;

/// What a cure was worth, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// The network tells clearly more images right.
    Worked,
    /// The gradient no longer vanishes or explodes, but the network tells no more right.
    FlowAlone,
    /// The version that it was to heal was not sick.
    NothingToHeal,
    /// Neither.
    NoHelp,
    /// The network tells clearly fewer images right.
    Harmed,
}

impl Worth {
    /// All, the best first.
    pub const ALL: [Self; 5] = [Self::Worked, Self::FlowAlone, Self::NothingToHeal, Self::NoHelp, Self::Harmed];

    /// A heading for the cures that were worth this.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Worked => "What worked",
            Self::FlowAlone => "What mended the gradient alone",
            Self::NothingToHeal => "What had nothing to heal",
            Self::NoHelp => "What did not help in this experiment",
            Self::Harmed => "What did harm",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Worked => "worked",
            Self::FlowAlone => "mended the gradient, but the network learnt no more",
            Self::NothingToHeal => "had nothing to heal",
            Self::NoHelp => "did not help",
            Self::Harmed => "did harm",
        }
    }
}

/// A cure beside the version that it was to heal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect<'a> {
    /// The cure, in a few words.
    pub by: &'a str,
    /// What the sick version showed.
    pub sick: &'a Measurement,
    /// What the version with the cure showed.
    pub cured: &'a Measurement,
    /// What it was worth.
    pub worth: Worth,
}

/// Powers of ten between the first layer's gradient and the last one's; infinite where one of them got none.
fn unevenness(ratio: Option<f64>) -> f64 {
    ratio.map_or(f64::INFINITY, |ratio| ratio.log10().abs())
}

fn is_well(measured: &Measurement) -> bool {
    matches!(measured.verdict, Kind::Healthy | Kind::Converged)
}

/// What a cure was worth.
pub fn worth(sick: &Measurement, cured: &Measurement) -> Worth {
    let gain = cured.accuracy.unwrap_or(0.0) - sick.accuracy.unwrap_or(0.0);
    if gain >= CLEAR {
        return Worth::Worked;
    }
    if gain <= -CLEAR {
        return Worth::Harmed;
    }
    if is_well(sick) {
        return Worth::NothingToHeal;
    }
    let [before, after] = [sick, cured].map(|measured| unevenness(measured.first_over_last_end));
    let evener = after < EVEN && before - after >= EVENER;
    if cured.error.is_none() && (evener || is_well(cured)) { Worth::FlowAlone } else { Worth::NoHelp }
}

/// All cures whose sick version is measured too, depth by depth, the best first.
pub fn effects(record: &Record) -> Vec<Effect<'_>> {
    let mut found = Vec::new();
    for &depth in &record.depths {
        for version in &record.versions {
            let Some(cured) = record.find(&version.name, depth) else { continue };
            for heals in &version.heals {
                let Some(sick) = record.find(&heals.version, depth) else { continue };
                found.push(Effect { by: &heals.by, sick, cured, worth: worth(sick, cured) });
            }
        }
    }
    let gain = |effect: &Effect| effect.cured.accuracy.unwrap_or(0.0) - effect.sick.accuracy.unwrap_or(0.0);
    found.sort_by(|a, b| a.worth.cmp(&b.worth).then(gain(b).total_cmp(&gain(a))));
    found
}

/// A number that may be missing.
pub fn written(number: Option<f64>) -> String {
    number.map_or("none".to_owned(), figure)
}

fn percent(share: Option<f64>) -> String {
    share.map_or("none".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

impl Effect<'_> {
    /// The effect in a sentence with its numbers; `with_depth` names the depth.
    pub fn sentence(&self, with_depth: bool) -> String {
        let Self { by, sick, cured, worth } = *self;
        let depth = if with_depth { format!(" at depth {}", cured.depth) } else { String::new() };
        let mut letters = by.chars();
        let by: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let mut sentence = format!(
            "{by} {}{depth}: {} tells {} of the test images right, {} {}; the loss is {} instead of {}, and the gradient of the first \
             layer over that of the last one {} instead of {} (in the first step {} instead of {})",
            worth.words(),
            cured.version,
            percent(cured.accuracy),
            sick.version,
            percent(sick.accuracy),
            written(cured.loss),
            written(sick.loss),
            written(cured.first_over_last_end),
            written(sick.first_over_last_end),
            written(cured.first_over_last_start),
            written(sick.first_over_last_start),
        );
        for measured in [sick, cured] {
            if measured.error.is_some() {
                sentence += &format!("; {} left the finite numbers after {} steps", measured.version, measured.steps);
            }
        }
        sentence + "."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(version: &str, accuracy: f64, ratio: Option<f64>, verdict: Kind) -> Measurement {
        Measurement {
            version: version.into(),
            depth: 20,
            first_over_last_start: ratio,
            first_over_last_start_float64: None,
            first_over_last_end: ratio,
            loss: Some(1.0),
            accuracy: Some(accuracy),
            verdict,
            words: String::new(),
            steps: 9,
            seconds: 1.0,
            error: None,
            run: version.into(),
        }
    }

    #[test]
    fn a_cure_is_judged_by_what_the_network_learnt_and_then_by_its_gradient() {
        let sick = measured("sick", 0.1, Some(1e-14), Kind::Vanishing);
        let of = |accuracy, ratio, verdict| worth(&sick, &measured("cure", accuracy, ratio, verdict));
        assert_eq!(of(0.16, Some(1e-14), Kind::Vanishing), Worth::Worked);
        assert_eq!(of(0.14, Some(2e-3), Kind::Dead), Worth::FlowAlone);
        // Closer, but still sick.
        assert_eq!(of(0.14, Some(1e-6), Kind::Vanishing), Worth::NoHelp);
        assert_eq!(of(0.14, Some(1e-14), Kind::Healthy), Worth::FlowAlone);
        assert_eq!(of(0.14, Some(5e-14), Kind::Vanishing), Worth::NoHelp);
        // No gradient at all is no evener one, and neither is one that has left the finite numbers.
        assert_eq!(of(0.1, Some(0.0), Kind::Dead), Worth::NoHelp);
        assert_eq!(of(0.1, None, Kind::Dead), Worth::NoHelp);
        let broken = Measurement { error: Some("…".into()), ..measured("cure", 0.1, Some(1.0), Kind::Exploding) };
        assert_eq!(worth(&sick, &broken), Worth::NoHelp);
        assert_eq!(of(0.04, Some(1.0), Kind::Healthy), Worth::Harmed);
        let dead = measured("sick", 0.1, Some(0.0), Kind::Dead);
        assert_eq!(worth(&dead, &measured("cure", 0.1, Some(0.5), Kind::Stuck)), Worth::FlowAlone);
        let well = measured("well", 0.97, Some(0.5), Kind::Healthy);
        assert_eq!(worth(&well, &measured("cure", 0.98, Some(0.5), Kind::Converged)), Worth::NothingToHeal);
        assert_eq!(worth(&well, &measured("cure", 0.5, Some(0.5), Kind::Healthy)), Worth::Harmed);
    }

    #[test]
    fn a_sentence_says_what_was_measured() {
        let (sick, cured) = (
            measured("relu_hot", 0.1, Some(1e-14), Kind::Vanishing),
            Measurement { loss: Some(0.0625), ..measured("relu_hot_lr_decay", 0.985, Some(0.5), Kind::Healthy) },
        );
        let effect = Effect { by: "a falling learning rate", sick: &sick, cured: &cured, worth: worth(&sick, &cured) };
        let said = effect.sentence(true);
        assert!(
            said.starts_with("A falling learning rate worked at depth 20: relu_hot_lr_decay tells 98.5 % of"),
            "{said}"
        );
        assert!(said.contains("loss is 0.062 instead of 1") && said.contains("0.5 instead of 1.0e-14 (in"), "{said}");
        assert!(!effect.sentence(false).contains("depth"));
    }
}
