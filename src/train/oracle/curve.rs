//! The losses of a network's first steps, as PyTorch computed them in float64, from weights that both sides draw from a seed.
//!
//! `scripts/resnet20-curve.py` makes such cases. The network may be as large as it likes, since the case holds none of its weights
//! but their SHA-256; each step has a tolerance of its own, since a step turns the errors of the last one into other weights.

use sha2::{Digest, Sha256};

use super::training::{Machine, Training};
use super::{Differences, needed, text, unknown, want};
use crate::error::Result;
use crate::graph::Graph;
use crate::nn::Init;
use crate::nn::shipped::{self, Choices};
use crate::train::program::names;
use crate::verify::compare::{REFERENCE, Tolerance, compare};
use crate::verify::oracle::OracleCase;

/// Steps that the float64 reference takes, whose plain loops are slow: those that show that both sides mean the same.
const BEGINNING: usize = 2;

/// A curve of losses, with the weights that it begins at.
pub(super) struct Curve<'a> {
    training: Training<'a>,
    initial: [Vec<f64>; 2],
}

impl<'a> Curve<'a> {
    pub fn read(case: &'a OracleCase) -> Result<Self> {
        let classes = case.input("labels")?.u32s().iter().max().map_or(0, |most| *most as usize + 1);
        let init = Init::named(text(case, "init")?, |_| None)?;
        let choices = Choices { init: Some(init), ..Choices::default() };
        let name = text(case, "network")?;
        let training = Training::of(case, classes, |image| shipped::chosen(name, image, classes, &choices))?;
        let seed = needed(case, "seed")? as u64;
        let initial = training.layout.draw(seed);
        let mut drawn = Sha256::new();
        for placed in &training.layout.parameters {
            let values = &initial[0][placed.offset..placed.offset + placed.parameter.len()];
            values.iter().for_each(|value| drawn.update(value.to_le_bytes()));
        }
        let drawn: String = drawn.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if drawn != text(case, "init_sha256")? {
            let problem = format!("seed {seed} draws other weights for {name} than those that PyTorch began with");
            return Err(unknown(case, problem));
        }
        let mut initial = initial.map(|flat| flat.into_iter().map(f64::from).collect::<Vec<_>>());
        let statistics = initial[1].len().max(1);
        initial[1].resize(statistics, 0.0);
        Ok(Self { training, initial })
    }

    /// The first steps in float64.
    pub fn begins(&self, machine: &mut dyn FnMut(Graph) -> Result<Machine>) -> Result<Differences> {
        let strict = vec![REFERENCE; BEGINNING.min(self.training.steps)];
        self.compare(machine, &strict)
    }

    /// All steps, each as close as the case allows.
    pub fn follows(&self, machine: &mut dyn FnMut(Graph) -> Result<Machine>) -> Result<Differences> {
        let case = self.training.case;
        let allowed = case.input("allowed")?;
        if allowed.shape != [self.training.steps] {
            return Err(unknown(
                case,
                format!("`allowed` must hold a number for each of {} steps", self.training.steps),
            ));
        }
        let each = allowed.floats().iter().map(|&most| Tolerance { relative_l2: most, max_error: most });
        self.compare(machine, &each.collect::<Vec<_>>())
    }

    /// As many steps as there are tolerances.
    fn compare(&self, machine: &mut dyn FnMut(Graph) -> Result<Machine>, each: &[Tolerance]) -> Result<Differences> {
        let training = &self.training;
        let wanted = want(training.case, "losses")?;
        if wanted.shape != [training.steps] {
            let problem = format!("`want.losses` must hold the loss of each of {} steps", training.steps);
            return Err(unknown(training.case, problem));
        }
        let mut machine = machine(training.graph(&training.config)?.0)?;
        training.begin(&mut machine, &self.initial)?;
        for step in 0..each.len() {
            training.feed(&mut machine, step)?;
            machine.step()?;
        }
        let losses = machine.read(names::LOSSES)?;
        let pairs = losses.floats().iter().zip(wanted.floats()).zip(each).enumerate();
        let compared = pairs.map(|(step, ((&got, &want), &tolerance))| {
            (format!("loss of step {}", step + 1), compare(&[got], &[want], &[1], tolerance))
        });
        Ok(compared.collect())
    }
}
