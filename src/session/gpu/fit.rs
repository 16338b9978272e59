//! Whether a device can bind what a graph needs, found out without allocating any of it.

use crate::error::{Error, Result};
use crate::gpu::Caps;
use crate::graph::Graph;
use crate::kernels::{Operand, Problem, lower, variants};

/// Why a device of these capabilities cannot run a graph with its preferred kernels: the first operand that no binding holds, or
/// a kernel that would loop too long. Whether it has so much memory in all, no device tells.
pub fn fits(graph: &Graph, caps: &Caps) -> Result<()> {
    for node in graph.nodes() {
        let (inputs, outputs) = (graph.specs(&node.inputs), graph.specs(&node.outputs));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps };
        let Some(&variant) = variants(&node.op, &problem).first() else { continue };
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
