//! The parameters of a network, and where each lies in the flat buffers.

use super::{Init, Mode, Network};
use crate::error::Result;
use crate::format::safetensors::Layout as FileLayout;
use crate::graph::{ALIGNMENT, Graph, ValueId, check_size};
use crate::tensor::Spec;

/// A trained tensor, or a running statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// PyTorch's name: `conv1.weight`, `bn1.running_mean`.
    pub name: String,
    /// Shape inside the crate.
    pub shape: Vec<usize>,
    /// What its axes mean.
    pub layout: FileLayout,
    /// Its initial values.
    pub init: Init,
    /// fan_in and fan_out, as Keras counts them.
    pub fan: [usize; 2],
}

impl Parameter {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A parameter with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The parameter.
    pub parameter: Parameter,
    /// First element in the flat buffer.
    pub offset: usize,
}

/// All parameters and running statistics of a network in their flat buffers. They depend on the network alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// What is trained.
    pub parameters: Vec<Placed>,
    /// Elements of the flat parameter buffer, gaps included; the gaps stay zero.
    pub len: usize,
    /// Running statistics.
    pub statistics: Vec<Placed>,
    /// Elements of the flat statistics buffer.
    pub statistics_len: usize,
}

/// Name of the flat buffer of parameters in a session.
pub const PARAMETERS: &str = "parameters";
/// Name of the flat buffer of running statistics in a session.
pub const STATISTICS: &str = "statistics";

impl Layout {
    pub(super) fn add(&mut self, parameter: Parameter, trained: bool) {
        let (list, len) = match trained {
            true => (&mut self.parameters, &mut self.len),
            false => (&mut self.statistics, &mut self.statistics_len),
        };
        let offset = *len;
        *len = (offset + parameter.len()).next_multiple_of(ALIGNMENT);
        list.push(Placed { parameter, offset });
    }

    /// The place of a parameter or statistic.
    pub fn find(&self, name: &str) -> Option<&Placed> {
        self.parameters.iter().chain(&self.statistics).find(|placed| placed.parameter.name == name)
    }

    /// Trained numbers, without gaps.
    pub fn trained(&self) -> usize {
        self.parameters.iter().map(|placed| placed.parameter.len()).sum()
    }

    /// Initial values of both flat buffers.
    pub fn draw(&self, seed: u64) -> [Vec<f32>; 2] {
        let fill = |list: &[Placed], len: usize| {
            let mut flat = vec![0.0; len];
            for Placed { parameter, offset } in list {
                let values = parameter.init.draw(&parameter.name, &parameter.shape, parameter.fan, seed);
                flat[*offset..*offset + values.len()].copy_from_slice(&values);
            }
            flat
        };
        [fill(&self.parameters, self.len), fill(&self.statistics, self.statistics_len)]
    }
}

impl Network {
    /// The parameters with their places; fails where the network is impossible.
    pub fn layout(&self) -> Result<Layout> {
        let mut graph = Graph::new();
        let inputs: Vec<ValueId> = self
            .inputs
            .iter()
            .map(|input| {
                // Two images, since batch normalisation refuses to train on one value a channel.
                let shape: Vec<usize> = std::iter::once(2).chain(input.shape.iter().copied()).collect();
                check_size(&format!("input {}", input.name), &shape)?;
                Ok(graph.persistent(&format!("input {}", input.name), Spec::f32(shape)))
            })
            .collect::<Result<_>>()?;
        let control = graph.persistent("control", Spec::u32([crate::ops::control::LEN]));
        let mut layout = Layout::default();
        self.build_into(&mut graph, &inputs, control, Mode::Train { seed: 0, first: 0 }, &mut layout, None)?;
        Ok(layout)
    }
}
