//! Learning-rate schedules: the rate in force at each tick (a step, or an epoch), in float64.
//!
//! The formulas are PyTorch's `lr_scheduler` ones, of the name in brackets.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Schedule {
    /// base
    #[default]
    Constant,
    /// base · gamma^⌊t / step_size⌋ (`StepLR`)
    Step {
        /// Ticks between two drops.
        step_size: u64,
        /// Factor of a drop.
        gamma: f64,
    },
    /// base · gamma^t (`ExponentialLR`)
    Exponential {
        /// Factor a tick.
        gamma: f64,
    },
    /// min + (base − min)·(1 + cos(π·t / t_max)) / 2 (`CosineAnnealingLR`), which rises again after t_max
    Cosine {
        /// Ticks from base to min; 0 until [`Schedule::over`] makes it all of the run.
        t_max: u64,
        /// The last rate.
        min_lr: f64,
    },
    /// base · (start + (1 − start)·min(t, warmup) / warmup) (`LinearLR`)
    LinearWarmup {
        /// First factor.
        start_factor: f64,
        /// Ticks until base.
        warmup_steps: u64,
    },
    /// Cosine from max/div_factor up to max over the first pct_start of the ticks, then down to
    /// max/(div_factor·final_div_factor) (`OneCycleLR`, two phases); base is max.
    OneCycle {
        /// Ticks in all; 0 until [`Schedule::over`] makes it all of the run.
        total_steps: u64,
        /// Share of the rise.
        pct_start: f64,
        /// max / first rate.
        div_factor: f64,
        /// First rate / last rate.
        final_div_factor: f64,
    },
    /// The rate falls by `factor` when the validation loss has not fallen by more than `threshold` (relative) for more than
    /// `patience` epochs (`ReduceLROnPlateau`); see [`Plateau`].
    ReduceOnPlateau {
        /// Factor of a drop.
        factor: f64,
        /// Epochs without progress that are borne.
        patience: u64,
        /// Relative progress that counts.
        threshold: f64,
        /// The lowest rate.
        min_lr: f64,
    },
}

impl Schedule {
    /// The rate at tick `t`, counted from 0. A plateau's rate does not follow from the tick: this answers `base` for it.
    pub fn rate(&self, base: f64, t: u64) -> f64 {
        let at = t as f64;
        match *self {
            Self::Constant | Self::ReduceOnPlateau { .. } => base,
            Self::Step { step_size, gamma } => base * gamma.powf((t / step_size.max(1)) as f64),
            Self::Exponential { gamma } => base * gamma.powf(at),
            Self::Cosine { t_max, min_lr } => {
                let share = t as f64 / t_max.max(1) as f64;
                min_lr + (base - min_lr) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0
            }
            Self::LinearWarmup { start_factor, warmup_steps } => {
                let share = t.min(warmup_steps) as f64 / warmup_steps.max(1) as f64;
                base * (start_factor + (1.0 - start_factor) * share)
            }
            Self::OneCycle { total_steps, pct_start, div_factor, final_div_factor } => {
                let first = base / div_factor;
                let top = pct_start * total_steps as f64 - 1.0;
                let end = total_steps as f64 - 1.0;
                if at <= top {
                    anneal(first, base, at / top)
                } else {
                    anneal(base, first / final_div_factor, ((at - top) / (end - top)).min(1.0))
                }
            }
        }
    }

    /// The same for a run of so many steps, where it was left open how long it takes.
    pub fn over(mut self, steps: u64) -> Self {
        if let Self::Cosine { t_max: open @ 0, .. } | Self::OneCycle { total_steps: open @ 0, .. } = &mut self {
            *open = steps;
        }
        self
    }

    /// Whether a tick is an epoch rather than a step.
    pub fn by_epoch(&self) -> bool {
        matches!(self, Self::Step { .. } | Self::Exponential { .. } | Self::ReduceOnPlateau { .. })
    }

    /// Reads `constant`, `step:EPOCHS:GAMMA`, `exponential:GAMMA`, `cosine[:MIN]`, `warmup:STEPS[:START]`, `one_cycle[:PCT]` or
    /// `plateau[:FACTOR:PATIENCE]`; [`Schedule::over`] says for how many steps.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let numbers: Vec<f64> = parts
            .map(|part| part.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0))
            .collect::<Option<_>>()
            .ok_or_else(|| wrong(text))?;
        let get = |index: usize, default: f64| numbers.get(index).copied().unwrap_or(default);
        let most = match kind {
            "constant" => 0,
            "exponential" | "cosine" | "one_cycle" => 1,
            _ => 2,
        };
        if numbers.len() > most {
            return Err(wrong(text));
        }
        Ok(match kind {
            "constant" => Self::Constant,
            "step" if numbers.len() == 2 && numbers[0] >= 1.0 => {
                Self::Step { step_size: numbers[0] as u64, gamma: numbers[1] }
            }
            "exponential" if numbers.len() == 1 => Self::Exponential { gamma: numbers[0] },
            "cosine" => Self::Cosine { t_max: 0, min_lr: get(0, 0.0) },
            "warmup" if !numbers.is_empty() => {
                Self::LinearWarmup { warmup_steps: numbers[0] as u64, start_factor: get(1, 0.1) }
            }
            "one_cycle" => {
                let pct_start = get(0, 0.3);
                Self::OneCycle { total_steps: 0, pct_start, div_factor: 25.0, final_div_factor: 1e4 }
            }
            "plateau" => {
                let (factor, patience) = (get(0, 0.1), get(1, 2.0) as u64);
                Self::ReduceOnPlateau { factor, patience, threshold: 1e-4, min_lr: 0.0 }
            }
            _ => return Err(wrong(text)),
        })
    }
}

fn wrong(text: &str) -> Error {
    Error::Invalid(format!(
        "`{text}` is no learning-rate schedule; write constant, step:EPOCHS:GAMMA, exponential:GAMMA, cosine[:MIN], \
         warmup:STEPS[:START], one_cycle[:PCT] or plateau[:FACTOR:PATIENCE]"
    ))
}

fn anneal(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// What `ReduceOnPlateau` remembers from epoch to epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    best: f64,
    bad: u64,
    scale: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { best: f64::INFINITY, bad: 0, scale: 1.0 }
    }
}

impl Plateau {
    /// Takes an epoch's validation loss and answers the rate from now on.
    pub fn observe(&mut self, schedule: &Schedule, base: f64, loss: f64) -> f64 {
        let Schedule::ReduceOnPlateau { factor, patience, threshold, min_lr } = *schedule else { return base };
        if loss < self.best * (1.0 - threshold) {
            self.best = loss;
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        if self.bad > patience {
            self.scale *= factor;
            self.bad = 0;
        }
        (base * self.scale).max(min_lr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plateau_drops_after_patience_and_not_before() {
        let schedule = Schedule::ReduceOnPlateau { factor: 0.5, patience: 2, threshold: 1e-4, min_lr: 0.2 };
        let mut plateau = Plateau::default();
        let losses = [1.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8];
        let rates: Vec<f64> = losses.iter().map(|&loss| plateau.observe(&schedule, 1.0, loss)).collect();
        assert_eq!(rates, [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2]);
    }

    #[test]
    fn schedules_are_read_from_text() {
        assert_eq!(Schedule::parse("step:5:0.3").unwrap(), Schedule::Step { step_size: 5, gamma: 0.3 });
        assert_eq!(Schedule::parse("cosine").unwrap().over(10), Schedule::Cosine { t_max: 10, min_lr: 0.0 });
        for bad in ["", "step", "step:0:1", "cosine:1:2", "warmup", "exponential:x", "linear", "exponential:-1"] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }
}
