//! How often a run is watched, and where a verdict begins.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a run is watched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The first step is watched and each `every`-th after it; 0 watches none.
    pub every: u64,
    /// Whether the last step of the run is watched too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// Where a verdict begins.
    pub thresholds: Thresholds,
}

impl Default for Watch {
    fn default() -> Self {
        Self { every: 50, last: false, thresholds: Thresholds::default() }
    }
}

impl Watch {
    /// Watches nothing.
    pub fn off() -> Self {
        Self { every: 0, ..Self::default() }
    }

    /// Whether the step after `done` steps of a run of `total` is watched.
    pub fn is_due(&self, done: u64, total: u64) -> bool {
        self.every > 0 && (done.is_multiple_of(self.every) || self.last && done + 1 == total)
    }

    /// How many steps of `most` may be submitted together after `done` steps: a step that is watched is the last of them.
    pub fn together(&self, done: u64, most: u64) -> u64 {
        match self.every {
            0 => most,
            every => most.min((every - done % every) % every + 1),
        }
    }
}

/// Where verdicts begin. Norms are those of the gradients of the weights of convolutions and linear layers, medians over the last
/// readings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Vanishing: the first layer's norm is below this part of the last layer's.
    pub vanishing: f64,
    /// Exploding: the first layer's norm is above so many times the last layer's; or the norm of the whole gradient is above so many
    /// times that of the first reading and the loss is not below the one there; or a gradient has NaN or infinities.
    pub exploding: f64,
    /// Dead: at least this share of a layer's units was zero for every image of the last watched steps ...
    pub dead: f64,
    /// ... which must have had so many images together.
    pub dead_images: u64,
    /// Saturated: at least this share of a layer's outputs.
    pub saturated: f64,
    /// Stuck: a step changes a layer's weights by less than this part of them, at the learning rate that was asked for.
    pub stuck: f64,
    /// Too hot: a step changes a layer's weights by more than this part of them.
    pub too_hot: f64,
    /// Converged: the loss is below this part of what guessing costs, both above the least that label smoothing leaves.
    pub converged: f64,
    /// How many of the last readings a verdict looks at.
    pub window: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            vanishing: 1e-3,
            exploding: 1e3,
            dead: 0.25,
            dead_images: 100,
            saturated: 0.5,
            stuck: 1e-6,
            too_hot: 1e-1,
            converged: 0.01,
            window: 5,
        }
    }
}

impl Thresholds {
    /// The names of all.
    pub const NAMES: [&str; 9] =
        ["vanishing", "exploding", "dead", "dead_images", "saturated", "stuck", "too_hot", "converged", "window"];

    /// Sets one as users write it: `vanishing=1e-4`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no such threshold, or the value is none that it can have.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let fail = |problem: String| Err(Error::Invalid(problem));
        let Some((name, value)) = assignment.split_once('=') else {
            return fail(format!("a threshold is set as NAME=VALUE, not `{assignment}`; an example is vanishing=1e-4"));
        };
        let (name, value) = (name.trim(), value.trim());
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        let Some(number) = number else {
            return fail(format!("threshold {name}={value}: the value must be a number above 0"));
        };
        let whole = || match number {
            number if number.fract() == 0.0 && number <= 1e9 => Ok(number as u64),
            _ => Err(Error::Invalid(format!("threshold {name}={value}: the value must be a whole number from 1"))),
        };
        let field = match name {
            "vanishing" => &mut self.vanishing,
            "exploding" => &mut self.exploding,
            "dead" => &mut self.dead,
            "saturated" => &mut self.saturated,
            "stuck" => &mut self.stuck,
            "too_hot" => &mut self.too_hot,
            "converged" => &mut self.converged,
            "dead_images" => {
                self.dead_images = whole()?;
                return Ok(());
            }
            "window" => {
                self.window = whole()? as usize;
                return Ok(());
            }
            _ => return fail(format!("there is no threshold `{name}`; there are: {}", Self::NAMES.join(", "))),
        };
        *field = number;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_set_by_its_name() {
        let mut thresholds = Thresholds::default();
        for name in Thresholds::NAMES {
            thresholds.set(&format!("{name} = 7")).unwrap();
        }
        let all = serde_json::to_value(thresholds).unwrap();
        assert!(all.as_object().unwrap().values().all(|value| value.as_f64() == Some(7.0)), "{all}");
        for (wrong, said) in [
            ("vanishing", "NAME=VALUE"),
            ("sleepy=1", "there is no threshold `sleepy`"),
            ("stuck=0", "above 0"),
            ("stuck=many", "above 0"),
            ("window=1.5", "whole number"),
        ] {
            let error = thresholds.set(wrong).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_watched_step_is_the_last_of_its_submission() {
        let watch = Watch { every: 5, ..Watch::default() };
        let (mut done, mut seen) = (0, Vec::new());
        while done < 23 {
            let count = watch.together(done, 3).min(23 - done);
            let watched: Vec<u64> = (done..done + count).filter(|&step| watch.is_due(step, 23)).collect();
            assert!(watched.iter().all(|&step| step == done + count - 1), "{done} and {count}: {watched:?}");
            seen.extend(watched);
            done += count;
        }
        assert_eq!(seen, [0, 5, 10, 15, 20]);
        let last = Watch { last: true, ..watch };
        assert!(last.is_due(22, 23) && !last.is_due(21, 23) && !watch.is_due(22, 23));
        assert!(!Watch::off().is_due(0, 23) && Watch::off().together(0, 64) == 64);
    }
}
