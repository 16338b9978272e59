//! Whether a device can bind what a graph needs, found out without allocating any of it.

use super::proof::{kernel_name, order};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Policy};
use crate::graph::Graph;
use crate::kernels::{BASELINE, Operand, Problem, lower};
use crate::ops::Operator;

/// Why a device cannot run a graph with the kernels that it would choose: the first operand that no binding holds, or a kernel that
/// would loop too long. Whether it has so much memory in all, no device tells.
pub fn fits(gpu: &Gpu, graph: &Graph) -> Result<()> {
    let caps = gpu.caps();
    for node in graph.nodes() {
        let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps };
        let wrong = |variant| gpu.proof(&kernel_name(node.op.name(), variant)).is_some_and(|proof| !proof.right);
        let fast = gpu.trust().policy != Policy::Baseline;
        let variant = order(gpu, &node.op, &problem)
            .into_iter()
            .find(|variant| *variant == BASELINE || (fast && !wrong(variant)));
        let variant = variant.unwrap_or(BASELINE);
        let lowered = lower(&node.op, &problem, variant)?;
        // What is bound in ranges may be as large as it likes.
        for binding in lowered.dispatches.iter().flat_map(|dispatch| &dispatch.bindings).filter(|b| b.range.is_none()) {
            let spec = match binding.operand {
                Operand::Input(i) => &inputs[i],
                Operand::Output(i) => &outputs[i],
                Operand::Workspace(i) => &lowered.workspaces[i],
            };
            let bytes = spec.bytes() as u64;
            if bytes > caps.max_binding_bytes {
                let most = caps.max_binding_bytes;
                let problem =
                    format!("{} of {} has {bytes} bytes and this device binds {most} at most", binding.name, node.name);
                return Err(Error::Device(problem));
            }
        }
    }
    Ok(())
}
