//! Reverse-mode differentiation: the gradient rules of [`crate::ops`] applied to a graph, from the loss backwards.

use std::collections::HashMap;

use super::{Graph, ValueId};
use crate::error::Result;
use crate::ops::{Add, Op, Operator, Source};

/// The gradients that a backward pass computes, by the values that they are of.
#[derive(Debug, Clone, Default)]
pub struct Gradients(HashMap<ValueId, ValueId>);

impl Gradients {
    /// The gradient of a value; `None` where the loss does not depend on it, or where nothing that was wanted needs it.
    pub fn of(&self, value: ValueId) -> Option<ValueId> {
        self.0.get(&value).copied()
    }
}

/// Adds the nodes that compute the gradient of `loss` (whose own gradient is `seed`) with respect to `wanted`, and answers
/// those gradients and all others on the way to them.
///
/// A value that is used several times gets the sum of its gradients. Only what leads to `wanted` is computed.
pub fn differentiate(graph: &mut Graph, loss: ValueId, seed: ValueId, wanted: &[ValueId]) -> Result<Gradients> {
    let forward = graph.nodes().to_vec();
    let mut reaches = vec![false; graph.values().len()];
    wanted.iter().for_each(|id| reaches[id.0] = true);
    for node in &forward {
        if node.inputs.iter().any(|id| reaches[id.0]) {
            node.outputs.iter().for_each(|id| reaches[id.0] = true);
        }
    }
    let mut upstream = Upstream { parts: HashMap::from([(loss, vec![seed])]) };
    for node in forward.iter().rev() {
        if !node.outputs.iter().any(|id| upstream.parts.contains_key(id)) {
            continue;
        }
        let specs = graph.specs(&node.inputs);
        for rule in node.op.gradient(&specs) {
            if !rule.gives.iter().any(|&input| reaches[node.inputs[input].0]) {
                continue;
            }
            let mut operands = Vec::with_capacity(rule.operands.len());
            for operand in &rule.operands {
                operands.push(match *operand {
                    Source::Input(index) => node.inputs[index],
                    Source::Output(index) => node.outputs[index],
                    Source::Upstream(index) => upstream.sum(graph, node.outputs[index])?,
                });
            }
            // A gradient that passes through unchanged needs no node.
            let given = match rule.op {
                Op::Copy(_) => operands,
                op => {
                    let name = format!("{}.{}", node.name, direction(&node.op, &op));
                    graph.apply(&name, op, &operands)?
                }
            };
            for (&input, gradient) in rule.gives.iter().zip(given) {
                let input = node.inputs[input];
                if reaches[input.0] {
                    upstream.parts.entry(input).or_default().push(gradient);
                }
            }
        }
    }
    for id in wanted {
        if upstream.parts.contains_key(id) {
            upstream.sum(graph, *id)?;
        }
    }
    // What was not added up yet, nobody needed.
    let whole = upstream.parts.into_iter().filter(|(_, parts)| parts.len() == 1);
    Ok(Gradients(whole.map(|(value, parts)| (value, parts[0])).collect()))
}

/// `grad_input` of `conv2d_grad_input`: what a backward operator is called beside its layer's name.
fn direction(forward: &Op, backward: &Op) -> &'static str {
    let name = backward.name();
    let rest = name.strip_prefix(forward.name()).unwrap_or(name);
    rest.strip_prefix('_').filter(|rest| !rest.is_empty()).unwrap_or(match name {
        "sum_rows" => "grad_bias",
        _ => "grad",
    })
}

/// The gradients that have arrived at each value.
struct Upstream {
    parts: HashMap<ValueId, Vec<ValueId>>,
}

impl Upstream {
    /// The sum of what arrived at `value`, in the order of arrival, as one value.
    fn sum(&mut self, graph: &mut Graph, value: ValueId) -> Result<ValueId> {
        let parts = self.parts.get(&value).cloned().unwrap_or_default();
        let Some((&first, rest)) = parts.split_first() else {
            let name = &graph.value(value).name;
            return Err(crate::Error::Invalid(format!("no gradient arrives at {name}, which is differentiated")));
        };
        let mut sum = first;
        for &part in rest {
            let name = format!("{}.grad_sum", graph.value(value).name);
            sum = graph.apply1(&name, Add, &[sum, part])?;
        }
        self.parts.insert(value, vec![sum]);
        Ok(sum)
    }
}
