//! One operator on its own: how tests, verification and benchmarks run a kernel.

use super::{GpuSession, Poison, build};
use crate::error::Result;
use crate::gpu::pipeline::Checks;
use crate::gpu::{Caps, Gpu};
use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use crate::tensor::{Spec, Tensor};

/// How an operator is tried on its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trial {
    /// The device as the plan is to see it, where that is not the one at hand: with a smaller binding or fewer workgroups a
    /// small case is cut like a large one.
    pub caps: Option<Caps>,
    /// Whether the kernels keep wgpu's run-time checks.
    pub checks: Checks,
    /// Whether there are margins round every value, inside its binding, for [`GpuSession::trespasses`] to look at.
    pub canaries: bool,
}

/// A session whose only node is `op` in the given variant; its inputs are persistent values named `input0`, `input1` …,
/// and every value has memory of its own.
pub fn node_session(gpu: &Gpu, op: &Op, inputs: &[Spec], variant: &'static str) -> Result<GpuSession> {
    trial_session(gpu, op, inputs, variant, &Trial::default())
}

/// The same, tried in a given way.
pub fn trial_session(gpu: &Gpu, op: &Op, inputs: &[Spec], variant: &'static str, trial: &Trial) -> Result<GpuSession> {
    let mut graph = Graph::new();
    let named = inputs.iter().enumerate();
    let operands: Vec<ValueId> =
        named.map(|(index, spec)| graph.persistent(&format!("input{index}"), spec.clone())).collect();
    graph.apply("node", op.clone(), &operands)?;
    build::single(gpu, graph, variant, trial)
}

/// Runs `op` once with the given variant: uploads the inputs, poisons outputs and workspaces with NaN, runs, and reads
/// every output back.
pub fn run_node(gpu: &Gpu, op: &Op, inputs: &[Tensor], variant: &'static str) -> Result<Vec<Tensor>> {
    run_node_with(gpu, op, inputs, variant, &Trial::default())
}

/// The same, tried in a given way.
pub fn run_node_with(
    gpu: &Gpu,
    op: &Op,
    inputs: &[Tensor],
    variant: &'static str,
    trial: &Trial,
) -> Result<Vec<Tensor>> {
    let specs: Vec<Spec> = inputs.iter().map(Tensor::spec).collect();
    let mut session = trial_session(gpu, op, &specs, variant, trial)?;
    session.poison(Poison::Nan);
    for (index, tensor) in inputs.iter().enumerate() {
        session.write(&format!("input{index}"), tensor)?;
    }
    session.run(0, 1, &[])?;
    let outputs = pollster::block_on(session.values(0))?;
    Ok(outputs.into_iter().map(|(_, tensor)| tensor).collect())
}
