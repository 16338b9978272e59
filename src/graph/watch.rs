//! Nodes that look on while a step runs, and that steps which nobody watches leave out.
//!
//! They are added to a finished, fused graph, so that a plan with them fuses what a plan without them does and computes the same
//! bits: they read what is there and write values of their own.

use super::{Graph, Node, ValueId};
use crate::error::Result;
use crate::ops::{Op, Operator};

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

    /// Computes, for those who watch, a value that a fused node before it leaves out, right behind node number `after`. It takes the
    /// shape that the operator gives it.
    pub fn compute_again(&mut self, after: usize, op: Op, inputs: Vec<ValueId>, output: ValueId) -> Result<()> {
        let mut specs = op.infer(&self.specs(&inputs))?;
        let name = format!("{}.again", self.values[output.0].name);
        self.values[output.0].spec = specs.swap_remove(0);
        self.nodes.insert(after + 1, Node { name, op, inputs, outputs: vec![output], watch: true });
        Ok(())
    }

    /// The number of the node that computes a value.
    pub fn computed_by(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|node| node.outputs.contains(&value))
    }
}

/// A graph to which nodes are added behind its own, told by the numbers that these had before.
pub struct Moved<'a> {
    /// The graph.
    pub graph: &'a mut Graph,
    /// How many nodes were added behind each.
    before: Vec<usize>,
}

impl<'a> Moved<'a> {
    /// A graph of which no node has moved yet.
    pub fn new(graph: &'a mut Graph) -> Self {
        let before = vec![0; graph.nodes.len()];
        Self { graph, before }
    }

    /// [`Graph::watch`], behind what watches node number `after` already.
    pub fn watch(&mut self, after: usize, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let place = after + self.before[..=after].iter().sum::<usize>();
        self.before[after] += 1;
        self.graph.watch(place, name, op, inputs)
    }
}
