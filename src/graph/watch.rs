//! Nodes that look on while a step runs, and that steps which nobody watches leave out.
//!
//! They are added to a finished, fused graph, so that a plan with them fuses what a plan without them does and computes the same
//! bits: they read what is there and write values of their own.

use super::{Graph, ValueId};
use crate::error::Result;
use crate::ops::Op;

impl Graph {
    /// Applies an operator that only looks on, right behind node number `after` and before all that watches there already. Nodes
    /// behind it move: who watches in several places begins with the last.
    pub fn watch(&mut self, after: usize, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let outputs = self.apply(name, op, inputs)?;
        if let Some(mut node) = self.nodes.pop() {
            node.watch = true;
            self.nodes.insert(after + 1, node);
        }
        Ok(outputs)
    }

    /// The number of the node that computes a value.
    pub fn computed_by(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|node| node.outputs.contains(&value))
    }
}
