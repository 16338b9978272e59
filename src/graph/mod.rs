//! The network as data: values, the operators between them, and what may be derived from that: gradients, lifetimes.
//!
//! A graph is built once, before anything runs, by code that knows what it wants ([`crate::nn`], [`crate::train`]); a
//! [`crate::session`] then executes its nodes in order. Every shape is checked here, when the graph is built.

mod differentiate;
pub mod fuse;
mod lifetimes;
mod traffic;
mod watch;

pub use differentiate::{Gradients, differentiate};
pub use fuse::{Fusion, Pass};
pub use lifetimes::{Lifetime, lifetimes};
pub use traffic::Traffic;
pub use watch::Moved;

use crate::error::{Error, Result};
use crate::ops::{Op, Operator};
use crate::tensor::{Elements, Spec};

/// A value of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub usize);

/// Where a value lives.
#[derive(Debug, Clone, PartialEq)]
pub enum Storage {
    /// In memory that it shares with values of other lifetimes.
    Slot,
    /// In a buffer of its own that outlives a step and is known to the session, and to other graphs, by the value's name.
    Persistent,
    /// In elements `offset..` of a persistent value: a parameter inside the flat parameter buffer.
    Within {
        /// The persistent value.
        parent: ValueId,
        /// First element; a multiple of [`ALIGNMENT`].
        offset: usize,
    },
    /// Where another value was, which an operator in place has updated.
    Updated(ValueId),
    /// Constant floats or integers.
    Constant(Elements<f32>),
}

/// Elements to which values inside a flat buffer are aligned: 256 bytes, the most that any device asks for.
pub const ALIGNMENT: usize = 64;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Unique for persistent values; for the others, what an error or a listing calls it.
    pub name: String,
    /// Shape and element type.
    pub spec: Spec,
    /// Where it lives.
    pub storage: Storage,
}

/// One operator applied to values.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Layer and direction: `conv1`, `conv1.grad_weight`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its operands.
    pub inputs: Vec<ValueId>,
    /// Its results.
    pub outputs: Vec<ValueId>,
    /// Whether it only looks on: it is left out of a step that is not watched.
    pub watch: bool,
}

/// Values and the nodes that compute them, in an order in which they can run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    values: Vec<Value>,
    nodes: Vec<Node>,
}

/// Refuses tensors whose elements 32-bit indices cannot count.
pub(crate) fn check_size(what: &str, shape: &[usize]) -> Result<()> {
    const MOST: usize = 1 << 31;
    match shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).filter(|&len| len < MOST) {
        Some(_) => Ok(()),
        None => Err(Error::shape(
            what,
            format!("a tensor of shape {shape:?} has 2^31 elements or more; use smaller layers or a smaller batch"),
        )),
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// All values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// All nodes, in the order in which they run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The spec of a value.
    pub fn spec(&self, id: ValueId) -> &Spec {
        &self.values[id.0].spec
    }

    /// The specs of several values.
    pub fn specs(&self, ids: &[ValueId]) -> Vec<Spec> {
        ids.iter().map(|&id| self.spec(id).clone()).collect()
    }

    fn add(&mut self, name: String, spec: Spec, storage: Storage) -> ValueId {
        self.values.push(Value { name, spec, storage });
        ValueId(self.values.len() - 1)
    }

    /// A value that outlives a step, zero until somebody writes it. Asking for the same name again gives the same value.
    pub fn persistent(&mut self, name: &str, spec: Spec) -> ValueId {
        let known = self.values.iter().position(|v| v.name == name && v.storage == Storage::Persistent);
        match known {
            Some(index) => {
                debug_assert_eq!(self.values[index].spec, spec, "two persistent values are called {name}");
                ValueId(index)
            }
            None => self.add(name.to_owned(), spec, Storage::Persistent),
        }
    }

    /// Elements `offset..` of a persistent value, under a name of their own.
    pub fn within(&mut self, parent: ValueId, name: &str, spec: Spec, offset: usize) -> ValueId {
        debug_assert!(offset.is_multiple_of(ALIGNMENT) && offset + spec.len() <= self.spec(parent).len());
        self.add(name.to_owned(), spec, Storage::Within { parent, offset })
    }

    /// Constant floats.
    pub fn constant(&mut self, name: &str, shape: impl Into<Vec<usize>>, data: Vec<f32>) -> ValueId {
        self.add(name.to_owned(), Spec::f32(shape), Storage::Constant(Elements::Float(data)))
    }

    /// Constant integers.
    pub fn table(&mut self, name: &str, shape: impl Into<Vec<usize>>, data: Vec<u32>) -> ValueId {
        self.add(name.to_owned(), Spec::u32(shape), Storage::Constant(Elements::U32(data)))
    }

    /// Applies an operator; its shape rule decides whether it can be.
    pub fn apply(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let op = op.into();
        let specs = op.infer(&self.specs(inputs))?;
        specs.iter().try_for_each(|spec| self::check_size(op.name(), &spec.shape))?;
        let in_place = op.in_place();
        let outputs = specs.into_iter().enumerate().map(|(index, spec)| {
            let updated = in_place.iter().find(|(output, _)| *output == index).map(|(_, input)| inputs[*input]);
            let storage = updated.map_or(Storage::Slot, Storage::Updated);
            let name = if index == 0 { name.to_owned() } else { format!("{name}.{index}") };
            self.add(name, spec, storage)
        });
        let outputs: Vec<_> = outputs.collect();
        let (name, inputs) = (name.to_owned(), inputs.to_vec());
        self.nodes.push(Node { name, op, inputs, outputs: outputs.clone(), watch: false });
        Ok(outputs)
    }

    /// Applies an operator and answers its first output.
    pub fn apply1(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        Ok(self.apply(name, op, inputs)?[0])
    }

    /// Moves a computed value into elements `offset..` of a persistent one, with a copy only where it cannot be computed
    /// there in the first place. Answers the value that now lives there.
    pub fn place(&mut self, value: ValueId, parent: ValueId, offset: usize) -> Result<ValueId> {
        let computed = self.nodes.iter().any(|node| node.outputs.contains(&value));
        let target = if computed && self.values[value.0].storage == Storage::Slot {
            value
        } else {
            let name = format!("{}.copy", self.values[value.0].name);
            self.apply1(&name, crate::ops::Copy, &[value])?
        };
        self.values[target.0].storage = Storage::Within { parent, offset };
        Ok(target)
    }

    /// Renames the nodes from number `first` on, and what they compute.
    pub fn rename(&mut self, first: usize, name: impl Fn(&str) -> String) {
        for node in &mut self.nodes[first..] {
            node.name = name(&node.name);
            for output in &node.outputs {
                let value = &mut self.values[output.0];
                value.name = name(&value.name);
            }
        }
    }

    /// The value whose memory this one really is.
    pub fn root(&self, id: ValueId) -> ValueId {
        match self.values[id.0].storage {
            Storage::Updated(of) => self.root(of),
            Storage::Within { parent, .. } => self.root(parent),
            _ => id,
        }
    }

    /// Floating-point operations of all nodes.
    pub fn flops(&self) -> u64 {
        let cost = |node: &Node| node.op.flops(&self.specs(&node.inputs), &self.specs(&node.outputs));
        self.nodes.iter().map(cost).sum()
    }

    /// Bytes that the nodes read and write, each operand once.
    pub fn bytes(&self) -> u64 {
        let cost = |node: &Node| node.op.bytes(&self.specs(&node.inputs), &self.specs(&node.outputs));
        self.nodes.iter().map(cost).sum()
    }
}
