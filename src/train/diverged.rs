//! After a loss or a gradient that is not finite: which operator was the first?
//!
//! The device skipped every write that lasts since its flag was set, so the state is the one before the failing step. The
//! host replays that step without sharing memory, unfused and with baseline kernels, and looks at every value in order. Where
//! these stay finite, it was a fast or a fused kernel: the step is replayed with the kernels that trained.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::ops::{Operator, control};
use crate::session::{Device, Options, Session};
use crate::tensor::{Elements, Tensor};
use crate::verify::compare::unravel;
use crate::verify::trust;

use super::evaluation::upload;
use super::program::{self, names};
use super::{TrainConfig, Trainer};

impl Trainer {
    /// Finds out what went wrong when the device raised its flag.
    pub(super) async fn check(&mut self, read: &Tensor) -> Result<()> {
        let words = read.u32s();
        if words[control::FLAG] == 0 {
            return Ok(());
        }
        self.step = u64::from(words[control::STEP]);
        // Without clipping, which would spread one bad gradient over all before anybody has looked.
        let plain = TrainConfig { clip_norm: None, clip_value: None, ..self.config.clone() };
        let graph = program::train(&self.network, &self.layout, &self.train, &plain)?;
        let names = program::state_names(&self.config);
        let mut state = self.session.read(&names).await?;
        state.push(self.session.read(&[names::RATES]).await?.remove(0));
        let named: Vec<_> = names.into_iter().chain([names::RATES]).zip(state).collect();
        let (fused, _) = self.device.fuse(graph.clone(), &self.config.no_fuse)?;
        let replay = Replay { device: &self.device, graphs: [graph, fused], state: &named, step: self.step as u32 };
        Err(replay.explain(|session| upload(session, &self.train, &self.data.train)).await)
    }
}

/// What is needed to repeat a step.
struct Replay<'a> {
    device: &'a Device,
    /// Unfused and fused.
    graphs: [Graph; 2],
    /// Persistent values as they were before the step.
    state: &'a [(&'static str, Tensor)],
    /// Steps done before it.
    step: u32,
}

impl Replay<'_> {
    /// The error that says what diverged. That the step could not be repeated, for want of memory perhaps, is no reason to lose
    /// the run: then the error says so.
    async fn explain(self, upload: impl Fn(&mut Session) -> Result<()>) -> Error {
        let step = u64::from(self.step) + 1;
        self.find(upload).await.unwrap_or_else(|error| {
            let operator = format!("an operator that is not known, since the step could not be repeated ({error}),");
            Error::Diverged { step, operator, value: "a non-finite number".into(), count: 1 }
        })
    }

    /// Repeats the step and answers the error that names the first operator whose output was not finite.
    async fn find(self, upload: impl Fn(&mut Session) -> Result<()>) -> Result<Error> {
        let step = u64::from(self.step) + 1;
        for (name, tensor) in self.state {
            if let Some((count, value)) = first_non_finite(tensor) {
                let operator = format!("the value `{name}`, before the step,");
                return Ok(Error::Diverged { step, operator, value, count });
            }
        }
        let ways = [true, false].map(|baseline| Options { reuse: false, baseline, suspects: true });
        for (graph, options) in self.graphs.iter().zip(ways) {
            if let Some((node, variant, value, count)) = self.repeat(graph, options, &upload).await? {
                let operator = match options.baseline {
                    true => node,
                    false => format!("{node}, in the {variant} kernel and not in baseline kernels,"),
                };
                return Ok(Error::Diverged { step, operator, value, count });
            }
        }
        let operator = "an operator that no repetition of the step names".to_owned();
        Ok(Error::Diverged { step, operator, value: "a non-finite number".into(), count: 1 })
    }

    /// The first node whose output is not finite, its variant, and that output's first such element and their count.
    async fn repeat(
        &self,
        graph: &Graph,
        options: Options,
        upload: impl Fn(&mut Session) -> Result<()>,
    ) -> Result<Option<(String, &'static str, String, usize)>> {
        let mut session = trust::session(self.device, vec![graph.clone()], options)?;
        upload(&mut session)?;
        for (name, tensor) in self.state {
            session.write(name, tensor)?;
        }
        let mut words = vec![0; control::LEN];
        words[control::STEP] = self.step;
        session.write(names::CONTROL, &Tensor::u32([control::LEN], words))?;
        let variants: Vec<_> = session.plan(0).into_iter().map(|row| row.variant).collect();
        // As each node left them: gradients of a later micro-batch join those of an earlier one in their place.
        let outputs = session.trace(0).await?.into_iter().enumerate();
        for (position, tensor) in outputs.flat_map(|(at, all)| all.into_iter().map(move |tensor| (at, tensor))) {
            if let Some((count, value)) = first_non_finite(&tensor) {
                let (node, op) = (&graph.nodes()[position].name, graph.nodes()[position].op.name());
                let named = if node == op { node.clone() } else { format!("{node} ({op})") };
                return Ok(Some((named, variants[position], value, count)));
            }
        }
        Ok(None)
    }
}

/// How many elements are NaN or infinite, and the first of them with its index.
fn first_non_finite(tensor: &Tensor) -> Option<(usize, String)> {
    let Elements::Float(data) = &tensor.elements else { return None };
    let first = data.iter().position(|value| !value.is_finite())?;
    let count = data.iter().filter(|value| !value.is_finite()).count();
    let index = unravel(first, &tensor.shape);
    Some((count, format!("{} at {index:?} of {:?}", data[first], tensor.shape)))
}
