//! What watches a step: nodes behind those that compute what is to be measured, in a finished graph, and the way back from the
//! records that they leave to names.
//!
//! Watched is what the plan keeps in memory, and activations that a pool hides in the kernel before it. What else exists inside
//! of a fused kernel alone is not, such as the sums that an activation takes in; what that kernel writes stands for it. All parts
//! of all tensors leave their records in three buffers, so one pair of dispatches makes one record a tensor of them, and one reading
//! brings all.

use std::collections::HashMap;
use std::ops::Range;

use super::hidden;
use super::measured::{ActivationFlow, Flow, Measured, ParameterFlow, Units};
use super::units::{Seen, Told, WatchedUnits};
use crate::error::Result;
use crate::graph::{ALIGNMENT, Graph, Moved, ValueId};
use crate::nn::{Layer, Layout, Network, PARAMETERS, Placed};
use crate::ops::statistics::{BINS, COUNTS, FIGURES, LANES, QUAD, REPEATS, pieces};
use crate::ops::{self, Activation, Op, Real};
use crate::tensor::{Spec, Tensor};
use crate::train::program::{StepValues, names};

/// What a watched step leaves to be read: the records of all tensors, what their lanes saw, and which units were alive of which
/// these do not tell it.
pub const READ: [&str; 5] = ["flow.figures", "flow.counts", "flow.bins", "flow.seen", "flow.alive"];
/// The records of the parts of all tensors.
const PARTS: [&str; 3] = ["flow.parts.figures", "flow.parts.counts", "flow.parts.bins"];

/// The number of a tensor among the records.
pub(super) type Record = usize;

#[derive(Debug, Clone)]
struct WatchedParameter {
    name: String,
    value: Record,
    gradient: Record,
    update: Record,
}

#[derive(Debug, Clone)]
struct WatchedActivation {
    layer: String,
    stands_for: Vec<String>,
    value: Record,
    gradient: Option<WatchedGradient>,
    saturates: bool,
    units: Option<WatchedUnits>,
}

#[derive(Debug, Clone)]
struct WatchedGradient {
    record: Record,
    /// How many zeros it has besides.
    zeros: usize,
    /// The layer inside of the kernel whose output it is of, where it is not the activation's own.
    of: Option<String>,
}

/// Reads what the watching nodes of a graph leave.
#[derive(Debug, Clone)]
pub struct Watcher {
    /// Elements of each recorded tensor.
    elements: Vec<usize>,
    parameters: Vec<WatchedParameter>,
    activations: Vec<WatchedActivation>,
    seen: Seen,
}

/// Tensors inside of one value that one node measures.
#[derive(Debug)]
struct Request {
    /// The number of the node behind which it is measured.
    after: usize,
    what: What,
    name: String,
    histogram: bool,
    bounds: [f32; 2],
    /// Each tensor's elements in it.
    tensors: Vec<Range<usize>>,
    /// Whether its one tensor is more of the tensor before: what another micro-batch computes of it.
    more: bool,
}

/// Where the numbers are that a request measures.
#[derive(Debug, Clone, Copy)]
enum What {
    Value(ValueId),
    /// What was added to a part of the parameters, of which this was made a copy: the number of the copy.
    Update {
        now: ValueId,
        copy: usize,
    },
}

/// A copy of a part of the parameters, made behind a node.
#[derive(Debug)]
struct Kept {
    after: usize,
    value: ValueId,
}

/// Units of a layer whose life a node of its own watches.
#[derive(Debug)]
struct Life {
    after: usize,
    value: ValueId,
    /// Where the first one lies in what these nodes leave.
    first: usize,
}

/// Everything that is to be watched, before the graph is touched.
#[derive(Debug, Default)]
struct Wishes {
    requests: Vec<Request>,
    copies: Vec<Kept>,
    lives: Vec<Life>,
    elements: Vec<usize>,
    alive: usize,
}

impl Wishes {
    /// Asks for a node's tensors; answers the first one's number, the others follow.
    fn measure(&mut self, request: Request) -> Record {
        let first = self.elements.len();
        self.elements.extend(request.tensors.iter().map(Range::len));
        self.requests.push(request);
        first
    }

    /// Asks for a tensor that lies in several values, one for each micro-batch, behind the nodes that compute them.
    fn whole(&mut self, graph: &Graph, values: &[ValueId], histogram: bool, bounds: [f32; 2]) -> Option<Record> {
        let after: Vec<usize> = values.iter().map(|&value| graph.computed_by(value)).collect::<Option<_>>()?;
        let record = self.elements.len();
        self.elements.push(values.iter().map(|&value| graph.spec(value).len()).sum());
        for (number, (&value, after)) in values.iter().zip(after).enumerate() {
            let name = format!("{}.flow", graph.value(value).name);
            let tensors = std::iter::once(0..graph.spec(value).len()).collect();
            let what = What::Value(value);
            self.requests.push(Request { after, what, name, histogram, bounds, tensors, more: number > 0 });
        }
        Some(record)
    }

    fn parameters(&mut self, graph: &mut Graph, layout: &Layout, most_bytes: u64) -> Vec<WatchedParameter> {
        let at = |wanted: fn(&Op) -> bool| graph.nodes().iter().position(|node| wanted(&node.op));
        let norm = at(|op| matches!(op, Op::GradNorm(_) | Op::Settle(_)));
        let update = at(|op| matches!(op, Op::Optimizer(_) | Op::ClippedOptimizer(_)));
        let (Some(norm), Some(update), end) = (norm, update, graph.nodes().len() - 1) else { return Vec::new() };
        let flat = [names::GRADIENTS, PARAMETERS].map(|name| graph.persistent(name, Spec::f32([layout.len])));
        let mut watched = Vec::new();
        for (number, group) in groups(&layout.parameters, most_bytes).into_iter().enumerate() {
            let span = group[0].offset..group[group.len() - 1].offset + group[group.len() - 1].parameter.len();
            let tensors: Vec<Range<usize>> = group
                .iter()
                .map(|placed| placed.offset - span.start..placed.offset - span.start + placed.parameter.len())
                .collect();
            let mut view = |parent, name: &str| {
                graph.within(parent, &format!("{name}.flow{number}"), Spec::f32([span.len()]), span.start)
            };
            let [gradients, weights] = [view(flat[0], names::GRADIENTS), view(flat[1], PARAMETERS)];
            let mut measure = |after, what, name: &str, histogram| {
                let (name, bounds) = (format!("{name}.flow"), ops::Statistics::UNBOUNDED);
                self.measure(Request { after, what, name, histogram, bounds, tensors: tensors.clone(), more: false })
            };
            let gradient = measure(norm, What::Value(gradients), names::GRADIENTS, true);
            let value = measure(update - 1, What::Value(weights), PARAMETERS, false);
            let moved = measure(end, What::Update { now: weights, copy: number }, "update", false);
            self.copies.push(Kept { after: update - 1, value: weights });
            watched.extend(group.iter().enumerate().map(|(i, placed)| WatchedParameter {
                name: placed.parameter.name.clone(),
                value: value + i,
                gradient: gradient + i,
                update: moved + i,
            }));
        }
        watched
    }

    /// `spread` are gradients that another one with zeros between its elements is.
    fn activations(
        &mut self,
        graph: &Graph,
        network: &Network,
        values: &StepValues,
        spread: &HashMap<ValueId, ValueId>,
    ) -> Vec<WatchedActivation> {
        let Some(first) = values.layers.first() else { return Vec::new() };
        let computed = |layer: usize| graph.computed_by(first[layer].0).is_some();
        // A value that several layers have, and a gradient that passes through unchanged, are measured once.
        let mut known: HashMap<ValueId, Record> = HashMap::new();
        let mut watched = Vec::new();
        for (number, named) in network.layers.iter().enumerate() {
            let value = first[number].0;
            let all: Vec<ValueId> = values.layers.iter().map(|part| part[number].0).collect();
            // The same numbers in another order.
            if !computed(number) || named.layer == Layer::Flatten || known.contains_key(&value) {
                continue;
            }
            let inside = hidden::inside(network, number, computed);
            let makers = inside.iter().map(|&layer| &network.layers[layer].layer).chain([&named.layer]);
            let activation = makers.filter_map(Layer::activation).next_back();
            let bounds = activation.and_then(Activation::unsaturated);
            let limits = bounds.map_or(ops::Statistics::UNBOUNDED, |bounds| bounds.map(|bound| bound as f32));
            let Some(record) = self.whole(graph, &all, false, limits) else { continue };
            known.insert(value, record);
            let mut of = |layer: usize| {
                let all: Vec<ValueId> = values.layers.iter().map(|part| part[layer].1).collect::<Option<_>>()?;
                let there: Vec<ValueId> = all.iter().map(|id| spread.get(id).copied().unwrap_or(*id)).collect();
                let found = known.get(&there[0]).copied();
                let record = found.or_else(|| self.whole(graph, &there, true, ops::Statistics::UNBOUNDED))?;
                known.insert(there[0], record);
                let len = |ids: &[ValueId]| ids.iter().map(|&id| graph.spec(id).len()).sum::<usize>();
                let of = (layer != number).then(|| network.layers[layer].name.clone());
                Some(WatchedGradient { record, zeros: len(&all) - len(&there), of })
            };
            let gradient = of(number).or_else(|| inside.iter().rev().find_map(|&layer| of(layer)));
            let units = match activation {
                Some(Activation::Relu) => self.units(graph, &all, record),
                _ => None,
            };
            watched.push(WatchedActivation {
                layer: named.name.clone(),
                stands_for: inside.into_iter().map(|layer| network.layers[layer].name.clone()).collect(),
                value: record,
                gradient,
                saturates: bounds.is_some(),
                units,
            });
        }
        watched
    }

    /// The units of an activation that lies in these values and has this record.
    fn units(&mut self, graph: &Graph, values: &[ValueId], record: Record) -> Option<WatchedUnits> {
        let count = *graph.spec(values[0]).shape.last()?;
        if REPEATS.is_multiple_of(count) {
            return Some(WatchedUnits { count, told: Told::ByLanes(record) });
        }
        let first = values.iter().map(|&value| {
            let (after, first) = (graph.computed_by(value)?, self.alive);
            self.alive = (first + count).next_multiple_of(ALIGNMENT);
            self.lives.push(Life { after, value, first });
            Some(first)
        });
        let first = first.collect::<Option<_>>()?;
        Some(WatchedUnits { count, told: Told::ByNodes(first) })
    }

    /// Adds the nodes.
    fn write(&self, graph: &mut Graph) -> Result<()> {
        let cut: Vec<Vec<Vec<Range<usize>>>> = self
            .requests
            .iter()
            .map(|request| request.tensors.iter().map(|tensor| pieces(tensor.clone())).collect())
            .collect();
        let rows: usize = cut.iter().flatten().map(Vec::len).sum();
        let parts = [
            graph.persistent(PARTS[0], Spec::f32([rows, LANES, FIGURES])),
            graph.persistent(PARTS[1], Spec::u32([rows, LANES, COUNTS])),
            graph.persistent(PARTS[2], Spec::u32([rows, BINS])),
        ];
        let alive = graph.persistent(READ[4], Spec::f32([self.alive.max(1)]));
        let mut moved = Moved::new(graph);
        let copies: Vec<ValueId> = self
            .copies
            .iter()
            .map(|kept| Ok(moved.watch(kept.after, "parameters.before", ops::Copy, &[kept.value])?[0]))
            .collect::<Result<_>>()?;
        for &Life { after, value, first } in &self.lives {
            let name = format!("{}.alive", moved.graph.value(value).name);
            let found = moved.watch(after, &name, ops::Alive, &[value])?[0];
            moved.graph.place(found, alive, first)?;
        }
        let (mut at, mut merged) = (0, Vec::new());
        for (request, cut) in self.requests.iter().zip(&cut) {
            let first = at;
            for tensor in cut {
                match merged.last_mut().filter(|_| request.more) {
                    Some(rows) => *rows += tensor.len() as u32,
                    None => merged.extend([at as u32, tensor.len() as u32]),
                }
                at += tensor.len();
            }
            let rows: Vec<u32> = cut.iter().flatten().flat_map(|row| [row.start as u32, row.len() as u32]).collect();
            let longest = cut.iter().flatten().map(Range::len).max().unwrap_or(0);
            let whole = rows.iter().all(|number| number.is_multiple_of(QUAD as u32));
            let op = ops::Statistics { histogram: request.histogram, bounds: request.bounds, longest, whole };
            let table = moved.graph.table(&format!("{}.rows", request.name), [rows.len() / 2, 2], rows);
            let inputs = match request.what {
                What::Value(value) => vec![value, table],
                What::Update { now, copy } => vec![now, table, copies[copy]],
            };
            let outputs = moved.watch(request.after, &request.name, op, &inputs)?;
            for ((output, parent), size) in outputs.into_iter().zip(parts).zip([LANES * FIGURES, LANES * COUNTS, BINS])
            {
                moved.graph.place(output, parent, first * size)?;
            }
        }
        let most = merged.iter().skip(1).step_by(2).max().map_or(0, |&rows| rows as usize);
        let table = graph.table("flow.tensors", [merged.len() / 2, 2], merged);
        let inputs: Vec<ValueId> = parts.into_iter().chain([table]).collect();
        let outputs = graph.watch(graph.nodes().len() - 1, "flow", ops::MergeStatistics { most }, &inputs)?;
        for (output, name) in outputs.into_iter().zip(READ) {
            let kept = graph.persistent(name, graph.spec(output).clone());
            graph.place(output, kept, 0)?;
        }
        Ok(())
    }
}

/// Parameters that lie one behind the other, as many as one binding of the device spans.
fn groups(parameters: &[Placed], most_bytes: u64) -> Vec<&[Placed]> {
    let mut groups = Vec::new();
    let mut rest = parameters;
    while let Some(first) = rest.first() {
        let fits = |placed: &&Placed| (placed.offset + placed.parameter.len() - first.offset) as u64 * 4 <= most_bytes;
        let (group, behind) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        groups.push(group);
        rest = behind;
    }
    groups
}

impl Watcher {
    /// Adds what watches to the fused graph of a step whose values these are. `most_bytes` is what a binding of the device spans;
    /// a unit counts as dead that was zero for the last `dead_images` images, or for all of them while there were fewer.
    pub fn attach(
        graph: &mut Graph,
        network: &Network,
        layout: &Layout,
        values: &StepValues,
        most_bytes: u64,
        dead_images: u64,
    ) -> Result<Self> {
        let spread = hidden::uncover(graph, network, values, most_bytes)?;
        let mut wishes = Wishes::default();
        let activations = wishes.activations(graph, network, values, &spread);
        let parameters = wishes.parameters(graph, layout, most_bytes);
        wishes.write(graph)?;
        Ok(Self { elements: wishes.elements, parameters, activations, seen: Seen::new(dead_images) })
    }

    /// Forgets which units were alive.
    pub fn forget(&mut self) {
        self.seen.forget();
    }

    /// What a step of so many images has left, as [`READ`] names it. What that does not tell is left empty.
    pub fn flow<T: Real>(&mut self, read: &[Tensor<T>], images: u64) -> Flow {
        let units = self.activations.iter().filter_map(|activation| activation.units.as_ref());
        let alive = units.flat_map(|units| units.alive(&read[3], &read[4])).collect();
        let images = self.seen.remember(images, alive);
        let (figures, counts, bins) = (read[0].floats(), read[1].u32s(), read[2].u32s());
        let measured = |record: Record, histogram: bool| {
            Measured::new(
                self.elements[record],
                std::array::from_fn(|i| figures[record * FIGURES + i].wide()),
                std::array::from_fn(|i| counts[record * COUNTS + i]),
                if histogram { &bins[record * BINS..(record + 1) * BINS] } else { &[] },
            )
        };
        let mut first = 0;
        let mut units = |units: &WatchedUnits| {
            let dead = self.seen.dead(first, units.count);
            first += units.count;
            Units { dead, of: units.count as u64 }
        };
        let parameters = self.parameters.iter().map(|parameter| ParameterFlow {
            name: parameter.name.clone(),
            value: measured(parameter.value, false),
            gradient: measured(parameter.gradient, true),
            update: measured(parameter.update, false),
        });
        let activations = self.activations.iter().map(|activation| ActivationFlow {
            layer: activation.layer.clone(),
            stands_for: activation.stands_for.clone(),
            value: measured(activation.value, false),
            gradient: activation.gradient.as_ref().map(|of| measured(of.record, true).with_zeros(of.zeros)),
            gradient_of: activation.gradient.as_ref().and_then(|gradient| gradient.of.clone()),
            saturates: activation.saturates,
            units: activation.units.as_ref().map(&mut units),
        });
        let (parameters, activations) = (parameters.collect(), activations.collect());
        Flow { epoch: 0, step: 0, loss: 0.0, lr: 0.0, images, parameters, activations }
    }
}
