//! One operator on its own: how tests and verification run a kernel.

use super::build;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use crate::tensor::Tensor;

/// Runs `op` once with the given variant: uploads the inputs, poisons outputs and workspaces with NaN, runs, and reads
/// every output back.
pub fn run_node(gpu: &Gpu, op: &Op, inputs: &[Tensor], variant: &'static str) -> Result<Vec<Tensor>> {
    let mut graph = Graph::new();
    let operands: Vec<ValueId> = inputs
        .iter()
        .enumerate()
        .map(|(index, tensor)| graph.persistent(&format!("input{index}"), tensor.spec()))
        .collect();
    graph.apply("node", op.clone(), &operands)?;
    let mut session = build::single(gpu, graph, variant)?;
    session.poison();
    for (index, tensor) in inputs.iter().enumerate() {
        session.write(&format!("input{index}"), tensor)?;
    }
    session.run(0, 1, &[])?;
    let outputs = pollster::block_on(session.values(0))?;
    Ok(outputs.into_iter().map(|(_, tensor)| tensor).collect())
}
