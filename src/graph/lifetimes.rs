//! When each value that lives in a slot is first written and last used.

use super::{Graph, Storage, ValueId};

/// The nodes, by position, from the first that writes a value to the last that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// The value.
    pub value: ValueId,
    /// Position of the node that writes it.
    pub first: usize,
    /// Position of the last node that uses it.
    pub last: usize,
}

/// The lifetimes of all values that live in slots; operators in place extend the life of what they update.
pub fn lifetimes(graph: &Graph) -> Vec<Lifetime> {
    let mut spans: Vec<Option<(usize, usize)>> = vec![None; graph.values().len()];
    for (position, node) in graph.nodes().iter().enumerate() {
        for &id in node.outputs.iter().chain(&node.inputs) {
            let root = graph.root(id);
            if matches!(graph.value(root).storage, Storage::Slot) {
                let span = spans[root.0].get_or_insert((position, position));
                span.1 = position;
            }
        }
    }
    let spans = spans.into_iter().enumerate();
    spans.filter_map(|(id, span)| span.map(|(first, last)| Lifetime { value: ValueId(id), first, last })).collect()
}
