//! The bytes that a step moves, and those that no fusion could spare it.

use std::collections::BTreeMap;

use super::fuse::PARTIAL_SUMS;
use super::{Graph, Node, Storage, ValueId};
use crate::ops::Op;
use crate::tensor::Spec;

/// Bytes of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// What the nodes read and write, each operand of each node once. Scratch memory of kernels, which a node that is computed in
    /// parts has between them, and copies into textures are not among it.
    pub moved: u64,
    /// What must move however nodes are fused: what outlives the step, read or written once each, and what the forward pass leaves
    /// to the backward pass, written once and read once.
    pub least: u64,
}

impl Graph {
    /// The bytes that a step of this graph moves.
    pub fn traffic(&self) -> Traffic {
        Traffic { moved: self.nodes.iter().map(|node| self.moved(node)).sum(), least: self.least() }
    }

    fn moved(&self, node: &Node) -> u64 {
        let (inputs, outputs) = (self.specs(&node.inputs), self.specs(&node.outputs));
        match &node.op {
            // Of a data set it reads the images of the batch alone.
            Op::GatherBatch(_) => {
                let bytes = |spec: &Spec| spec.bytes() as u64;
                picked(&outputs) + outputs.iter().map(bytes).sum::<u64>()
            }
            op => op.bytes(&inputs, &outputs),
        }
    }

    fn least(&self) -> u64 {
        let bytes = |id: ValueId| self.spec(id).bytes() as u64;
        let turn = self.nodes.iter().position(|node| node.op.turns());
        let turn = turn.unwrap_or(self.nodes.len());
        // What outlives the step, element by element of the memory that it lies in: read, written.
        let mut lasting: BTreeMap<ValueId, Vec<[bool; 2]>> = BTreeMap::new();
        // What lives in slots, from the node that writes it to the last that reads it.
        let mut lives: BTreeMap<ValueId, (usize, usize)> = BTreeMap::new();
        let mut least = 0;
        for (position, node) in self.nodes.iter().enumerate() {
            let gathers = matches!(node.op, Op::GatherBatch(_));
            if gathers {
                least += picked(&self.specs(&node.outputs));
            }
            let operands = node.inputs.iter().map(|id| (*id, 0)).chain(node.outputs.iter().map(|id| (*id, 1)));
            // The data set is read by the batch, which is counted above.
            for (id, access) in operands.filter(|(_, access)| !gathers || *access == 1) {
                let (root, place) = self.place_of(id);
                if self.value(root).storage == Storage::Slot {
                    lives.entry(root).or_insert((position, position)).1 = position;
                    continue;
                }
                let elements = lasting.entry(root).or_insert_with(|| vec![[false; 2]; self.spec(root).len()]);
                for element in &mut elements[place] {
                    // What this step has written itself need not have come from anywhere.
                    element[access] |= access == 1 || !element[1];
                }
            }
        }
        // Partial sums are there because they were left to the end of the step, not because they must be.
        for (root, elements) in lasting.iter().filter(|(root, _)| self.value(**root).name != PARTIAL_SUMS) {
            let accesses = elements.iter().flatten().filter(|access| **access).count() as u64;
            least += accesses * bytes(*root) / elements.len().max(1) as u64;
        }
        let crosses = |(first, last): &(usize, usize)| *first < turn && *last >= turn && turn < self.nodes.len();
        least + lives.iter().filter(|(_, life)| crosses(life)).map(|(id, _)| 2 * bytes(*id)).sum::<u64>()
    }

    /// The value whose memory another one lies in, and the elements of it.
    fn place_of(&self, id: ValueId) -> (ValueId, std::ops::Range<usize>) {
        match self.values[id.0].storage {
            Storage::Within { parent, offset } => {
                let (root, place) = self.place_of(parent);
                (root, place.start + offset..place.start + offset + self.spec(id).len())
            }
            Storage::Updated(of) => self.place_of(of),
            _ => (id, 0..self.spec(id).len()),
        }
    }
}

/// Bytes of the images and labels that a batch of these outputs is made of: a byte an element, a word a label.
fn picked(outputs: &[Spec]) -> u64 {
    outputs.first().map_or(0, |x| x.len() as u64) + outputs.get(1).map_or(0, |y| y.bytes() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::differentiate;
    use crate::ops::{Activation, Linear, MseLoss};

    /// x [8,4] → w [3,4] → sum [8,3] → tanh → loss against a target, and the gradient of w.
    #[test]
    fn a_step_moves_what_its_nodes_touch_and_at_least_what_it_must() {
        let mut graph = Graph::new();
        let g = &mut graph;
        let [x, w] = [("x", [8, 4]), ("w", [3, 4])].map(|(name, shape)| g.persistent(name, Spec::f32(shape)));
        let target = g.persistent("target", Spec::f32([8, 3]));
        let sum = g.apply1("linear", Linear, &[x, w]).unwrap();
        let y = g.apply1("tanh", Activation::Tanh, &[sum]).unwrap();
        let loss = g.apply1("loss", MseLoss, &[y, target]).unwrap();
        let seed = g.persistent("seed", g.spec(loss).clone());
        let gradient = differentiate(g, loss, seed, &[w]).unwrap().of(w).unwrap();
        let kept = g.persistent("dw", g.spec(gradient).clone());
        g.place(gradient, kept, 0).unwrap();
        let [x, w, y, scalar] = [32, 12, 24, 1].map(|len| 4 * len);
        let traffic = graph.traffic();
        let loss_bytes = graph.spec(loss).bytes() as u64;
        assert_eq!(loss_bytes, scalar);
        // x, w, the target and the seed come; dw stays; y is read again on the way back.
        assert_eq!(traffic.least, x + w + y + scalar + w + 2 * y);
        let forward = (x + w + y) + 2 * y + (2 * y + scalar);
        assert!(traffic.moved > forward && traffic.moved > traffic.least);
    }

    #[test]
    fn memory_that_is_read_as_a_whole_and_in_parts_counts_once() {
        let mut graph = Graph::new();
        let g = &mut graph;
        let flat = g.persistent("parameters", Spec::f32([128]));
        let part = g.within(flat, "w", Spec::f32([64]), 64);
        let doubled = g.apply1("double", crate::ops::Add, &[part, part]).unwrap();
        let kept = g.persistent("kept", Spec::f32([64]));
        g.place(doubled, kept, 0).unwrap();
        // Read again after it was written: nothing comes from anywhere.
        g.apply1("again", crate::ops::Add, &[kept, kept]).unwrap();
        let whole = g.apply1("whole", crate::ops::Add, &[flat, flat]).unwrap();
        let all = g.persistent("all", Spec::f32([128]));
        g.place(whole, all, 0).unwrap();
        assert_eq!(graph.traffic().least, 4 * (128 + 64 + 128));
    }
}
