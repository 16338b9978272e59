//! What a network costs, layer by layer, without running it.

use super::{Mode, Network};
use crate::error::Result;
use crate::graph::{Graph, check_size};
use crate::ops::Operator;
use crate::tensor::Spec;

/// One layer's line.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SummaryRow {
    /// The layer's name.
    pub name: String,
    /// The operator's name.
    pub kind: &'static str,
    /// Output shape, batch first.
    pub output: Vec<usize>,
    /// Trained numbers.
    pub parameters: usize,
    /// Floating-point operations of the forward pass for the whole batch (a multiply-add counts two).
    pub flops: u64,
    /// Bytes that the forward pass reads and writes at least.
    pub bytes: u64,
}

/// A network's cost at a batch size.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The network's name.
    pub network: String,
    /// Images a batch.
    pub batch: usize,
    /// One row a layer.
    pub rows: Vec<SummaryRow>,
    /// Trained numbers of all layers.
    pub parameters: usize,
    /// Operations of the forward pass.
    pub flops: u64,
    /// Bytes of the forward pass.
    pub bytes: u64,
    /// A sentence for each group of layers whose initialiser cannot work.
    pub warnings: Vec<String>,
}

impl Network {
    /// The network's cost for batches of this size.
    pub fn summary(&self, batch: usize) -> Result<Summary> {
        let layout = self.layout()?;
        let mut graph = Graph::new();
        let mut inputs = Vec::new();
        for input in &self.inputs {
            let shape: Vec<usize> = std::iter::once(batch).chain(input.shape.iter().copied()).collect();
            check_size("summary", &shape)?;
            inputs.push(graph.persistent(&format!("input {}", input.name), Spec::f32(shape)));
        }
        let control = graph.persistent("control", Spec::u32([crate::ops::control::LEN]));
        let built = self.build(&mut graph, &inputs, control, Mode::Evaluate, &layout)?;
        let rows = self.layers.iter().zip(&built.layers).map(|(layer, &value)| {
            let nodes = graph.nodes().iter().filter(|node| node.name == layer.name);
            let (mut flops, mut bytes, mut kind) = (0, 0, layer.layer.stem());
            for node in nodes {
                let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
                flops += node.op.flops(&inputs, &outputs);
                bytes += node.op.bytes(&inputs, &outputs);
                kind = node.op.name();
            }
            let prefix = format!("{}.", layer.name);
            let own = layout.parameters.iter().filter(|placed| placed.parameter.name.starts_with(&prefix));
            let parameters = own.map(|placed| placed.parameter.len()).sum();
            let output = graph.spec(value).shape.clone();
            SummaryRow { name: layer.name.clone(), kind, output, parameters, flops, bytes }
        });
        let rows: Vec<SummaryRow> = rows.collect();
        let (flops, bytes) = rows.iter().fold((0, 0), |(f, b), row| (f + row.flops, b + row.bytes));
        let warnings = self.advice(&layout);
        Ok(Summary { network: self.name.clone(), batch, parameters: layout.trained(), flops, bytes, rows, warnings })
    }
}
