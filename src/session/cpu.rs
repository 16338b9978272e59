//! The CPU session: the same schedule through the reference operators, on all cores.
//!
//! In `f32` it trains on machines without an adapter; in `f64` it is what finite differences and shaders are held against.

use std::collections::HashMap;
use std::time::Instant;

use super::{Clock, Interval, PlanRow, Timed, Timeline};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Storage, ValueId, lifetimes};
use crate::ops::{Operator, Real};
use crate::tensor::{DType, Elements, Spec, Tensor};

/// Executes graphs through the reference operators, in `T`.
pub struct CpuSession<T: Real> {
    graphs: Vec<Program<T>>,
    store: HashMap<String, Tensor<T>>,
    reuse: bool,
    /// The most bytes of values that live at one time, in float32.
    most_live: u64,
}

struct Program<T> {
    graph: Graph,
    /// Slot values that nothing uses after node i.
    dead_after: Vec<Vec<ValueId>>,
    slots: Vec<Option<Tensor<T>>>,
}

fn zeros<T: Real>(spec: &Spec) -> Tensor<T> {
    let elements = match spec.dtype {
        DType::F32 => Elements::Float(vec![T::zero(); spec.len()]),
        DType::U32 => Elements::U32(vec![0; spec.len()]),
        DType::U8 => Elements::U8(vec![0; spec.len()]),
    };
    Tensor::new(spec.shape.clone(), elements)
}

impl<T: Real> CpuSession<T> {
    /// Makes room for the persistent values of all graphs; without `reuse` no value is dropped when nothing needs it any more.
    pub fn new(graphs: Vec<Graph>, reuse: bool) -> Self {
        let mut store = HashMap::new();
        for value in graphs.iter().flat_map(Graph::values) {
            if value.storage == Storage::Persistent {
                store.entry(value.name.clone()).or_insert_with(|| zeros(&value.spec));
            }
        }
        let most_live = graphs.iter().map(|graph| most_live(graph, reuse)).max().unwrap_or(0);
        let graphs = graphs.into_iter().map(|graph| {
            let mut dead_after = vec![Vec::new(); graph.nodes().len()];
            if reuse {
                lifetimes(&graph).iter().for_each(|life| dead_after[life.last].push(life.value));
            }
            let slots = vec![None; graph.values().len()];
            Program { graph, dead_after, slots }
        });
        Self { graphs: graphs.collect(), store, reuse, most_live }
    }

    /// Overwrites a persistent value.
    pub fn write(&mut self, name: &str, tensor: &Tensor<T>) -> Result<()> {
        let known = self.store.get_mut(name).ok_or_else(|| unknown(name))?;
        if known.spec() != tensor.spec() {
            return Err(Error::Invalid(format!("{name} is {:?}, not {:?}", known.spec(), tensor.spec())));
        }
        *known = tensor.clone();
        Ok(())
    }

    /// A persistent value.
    pub fn read(&self, name: &str) -> Result<&Tensor<T>> {
        self.store.get(name).ok_or_else(|| unknown(name))
    }

    /// Runs graph number `graph` so many times and answers the named persistent values. Nodes that watch are left out.
    pub fn run(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<Vec<Tensor<T>>> {
        (0..steps).for_each(|_| self.step(graph, false));
        read.iter().map(|name| self.read(name).cloned()).collect()
    }

    /// [`CpuSession::run`], the last step with the nodes that watch it.
    pub fn run_watched(&mut self, graph: usize, steps: usize, read: &[&str]) -> Result<Vec<Tensor<T>>> {
        (1..=steps).for_each(|step| self.step(graph, step == steps));
        read.iter().map(|name| self.read(name).cloned()).collect()
    }

    fn step(&mut self, graph: usize, watched: bool) {
        for node in 0..self.graphs[graph].graph.nodes().len() {
            if watched || !self.graphs[graph].graph.nodes()[node].watch {
                let outputs = self.evaluate(graph, node);
                self.keep(graph, node, outputs);
            } else {
                self.forget(graph, node);
            }
        }
    }

    /// The outputs of node number `node` of graph `graph` for what the session holds now, which stays as it is.
    pub fn evaluate(&self, graph: usize, node: usize) -> Vec<Tensor<T>> {
        self.with_operands(graph, node, |node, operands, outputs| T::reference(&node.op, operands, outputs))
    }

    /// [`CpuSession::evaluate`], computed in another float type.
    pub fn evaluate_in<U: Real>(&self, graph: usize, node: usize) -> Vec<Tensor<U>> {
        self.with_operands(graph, node, |node, operands, outputs| {
            let operands: Vec<Tensor<U>> = operands.iter().map(|tensor| tensor.cast(|x| U::of(x.wide()))).collect();
            U::reference(&node.op, &operands.iter().collect::<Vec<_>>(), outputs)
        })
    }

    /// What `compute` makes of a node, its operands and the specs of its outputs.
    pub fn with_operands<A>(
        &self,
        graph: usize,
        node: usize,
        compute: impl FnOnce(&Node, &[&Tensor<T>], &[Spec]) -> A,
    ) -> A {
        let Program { graph, slots, .. } = &self.graphs[graph];
        let node = &graph.nodes()[node];
        let copies: Vec<Option<Tensor<T>>> = node.inputs.iter().map(|&id| part(graph, &self.store, id)).collect();
        let operands: Vec<&Tensor<T>> = node
            .inputs
            .iter()
            .zip(&copies)
            .map(|(&id, copy)| copy.as_ref().unwrap_or_else(|| whole(graph, &self.store, slots, id)))
            .collect();
        compute(node, &operands, &graph.specs(&node.outputs))
    }

    /// Takes what node number `node` of graph `graph` computed, here or elsewhere, and forgets what nothing needs after it.
    /// Nodes are kept in their order.
    pub fn keep(&mut self, graph: usize, node: usize, outputs: Vec<Tensor<T>>) {
        let Program { graph: of, slots, .. } = &mut self.graphs[graph];
        for (&id, output) in of.nodes()[node].outputs.iter().zip(outputs) {
            put(of, &mut self.store, slots, id, output);
        }
        self.forget(graph, node);
    }

    fn forget(&mut self, graph: usize, node: usize) {
        let Program { dead_after, slots, .. } = &mut self.graphs[graph];
        dead_after[node].iter().for_each(|id| slots[id.0] = None);
    }

    /// See [`super::Session::trace`].
    pub fn trace(&mut self, graph: usize) -> Vec<Vec<Tensor<T>>> {
        let nodes = 0..self.graphs[graph].graph.nodes().len();
        let kept = nodes.map(|node| {
            let outputs = self.evaluate(graph, node);
            self.keep(graph, node, outputs.clone());
            outputs
        });
        kept.collect()
    }

    /// See [`super::Session::profile`].
    pub fn profile(&mut self, graph: usize) -> Timeline {
        let begun = Instant::now();
        let now = || begun.elapsed().as_secs_f64();
        let nodes = (0..self.graphs[graph].graph.nodes().len()).map(|node| {
            let start = now();
            let outputs = self.evaluate(graph, node);
            self.keep(graph, node, outputs);
            vec![Timed { entry: "reference".into(), at: Some(Interval::between(start, now())) }]
        });
        let nodes = nodes.collect();
        Timeline { clock: Clock::Reference, begun, wall: now(), nodes, host: Vec::new() }
    }

    /// See [`super::Session::values`].
    pub fn values(&self, graph: usize) -> Result<Vec<(usize, Tensor<T>)>> {
        if self.reuse {
            return Err(Error::Invalid("values were dropped: the session was built with reuse".into()));
        }
        let Program { graph, slots, .. } = &self.graphs[graph];
        let mut all = Vec::new();
        for (position, node) in graph.nodes().iter().enumerate() {
            for &id in &node.outputs {
                let value =
                    part(graph, &self.store, id).unwrap_or_else(|| whole(graph, &self.store, slots, id).clone());
                all.push((position, value));
            }
        }
        Ok(all)
    }

    /// Bytes of the persistent values, and of the values that live beside them at the worst moment.
    pub fn bytes(&self) -> u64 {
        self.most_live + self.store.values().map(|tensor| tensor.spec().bytes() as u64).sum::<u64>()
    }

    /// See [`super::Session::graph`].
    pub fn graph(&self, graph: usize) -> &Graph {
        &self.graphs[graph].graph
    }

    /// See [`super::Session::plan`].
    pub fn plan(&self, graph: usize) -> Vec<PlanRow> {
        let row = |node: &Node| PlanRow {
            node: node.name.clone(),
            operator: node.op.name(),
            variant: "reference",
            dispatches: 0,
            copies: 0,
            watch: node.watch,
        };
        self.graphs[graph].graph.nodes().iter().map(row).collect()
    }
}

fn most_live(graph: &Graph, reuse: bool) -> u64 {
    let lives = lifetimes(graph);
    let bytes = |at: Option<usize>| {
        let live = lives.iter().filter(|life| at.is_none_or(|at| life.first <= at && at <= life.last));
        live.map(|life| graph.spec(life.value).bytes() as u64).sum::<u64>()
    };
    match reuse {
        true => (0..graph.nodes().len()).map(|at| bytes(Some(at))).max().unwrap_or(0),
        false => bytes(None),
    }
}

fn unknown(name: &str) -> Error {
    Error::Invalid(format!("the session has no persistent value named {name}"))
}

/// The storage of a value, followed through updates in place.
fn place(graph: &Graph, id: ValueId) -> ValueId {
    match graph.value(id).storage {
        Storage::Updated(of) => place(graph, of),
        _ => id,
    }
}

/// A copy of a value that is only a part of a persistent one, or a constant.
fn part<T: Real>(graph: &Graph, store: &HashMap<String, Tensor<T>>, id: ValueId) -> Option<Tensor<T>> {
    let value = graph.value(place(graph, id));
    let elements = match &value.storage {
        Storage::Within { parent, offset } => {
            let here = *offset..offset + value.spec.len();
            match &store[&graph.value(*parent).name].elements {
                Elements::Float(data) => Elements::Float(data[here].to_vec()),
                Elements::U32(data) => Elements::U32(data[here].to_vec()),
                Elements::U8(data) => Elements::U8(data[here].to_vec()),
            }
        }
        Storage::Constant(data) => {
            let data = Tensor::new(value.spec.shape.clone(), data.clone());
            data.cast(|x| T::of(f64::from(x))).elements
        }
        _ => return None,
    };
    Some(Tensor::new(value.spec.shape.clone(), elements))
}

fn whole<'a, T: Real>(
    graph: &Graph,
    store: &'a HashMap<String, Tensor<T>>,
    slots: &'a [Option<Tensor<T>>],
    id: ValueId,
) -> &'a Tensor<T> {
    let id = place(graph, id);
    let value = graph.value(id);
    match value.storage {
        Storage::Persistent => &store[&value.name],
        _ => slots[id.0].as_ref().unwrap_or_else(|| panic!("{} is used before it is computed", value.name)),
    }
}

fn put<T: Real>(
    graph: &Graph,
    store: &mut HashMap<String, Tensor<T>>,
    slots: &mut [Option<Tensor<T>>],
    id: ValueId,
    tensor: Tensor<T>,
) {
    let id = place(graph, id);
    let value = graph.value(id);
    match &value.storage {
        Storage::Persistent => drop(store.insert(value.name.clone(), tensor)),
        Storage::Within { parent, offset } => {
            let here = *offset..offset + tensor.len();
            let parent = store.get_mut(&graph.value(*parent).name).map(|tensor| &mut tensor.elements);
            match (parent, &tensor.elements) {
                (Some(Elements::Float(data)), Elements::Float(new)) => data[here].copy_from_slice(new),
                (Some(Elements::U32(data)), Elements::U32(new)) => data[here].copy_from_slice(new),
                _ => {}
            }
        }
        _ => slots[id.0] = Some(tensor),
    }
}
