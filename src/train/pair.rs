//! One step on two devices, value by value: where do they part, and whose operator is wrong?
//!
//! Rounding alone can make right devices differ: at the zero of a ReLU or a tie of a maximum it decides which branch is
//! taken, and one element of a gradient becomes another. So where a value is beyond tolerance, the operator that computed it
//! is judged on its own: the float64 reference, given the very operands that the device had. Where that agrees, the
//! difference was inherited and the walk goes on; where it does not, the operator is the first one that is wrong.
//!
//! Every output is looked at as its node left it, so an update in place (clipping, the optimiser, the step counter) is compared
//! before the next one overwrites it.

use super::divergence::{Cause, Divergence};
use super::evaluation::parts;
use super::program::Resident;
use crate::data::Split;
use crate::error::Result;
use crate::graph::{Graph, Storage};
use crate::ops::{Op, Operator, Pool2d};
use crate::session::cpu::CpuSession;
use crate::session::{Device, Options, Session};
use crate::tensor::{Elements, Tensor};
use crate::verify::compare::{Difference, FLOAT32, Tolerance, compare};
use crate::verify::trust;

/// How much further off than the reference in float32 a kernel may be, where that is itself beyond the tolerance: in sums
/// that cancel, such as the gradient of a bias before a normalisation.
const ROUNDING: f64 = 10.0;
/// The tolerance of integers.
const EXACT: Tolerance = Tolerance { relative_l2: 0.0, max_error: 0.0 };

/// Persistent values by name.
pub(super) type State = Vec<(String, Tensor)>;

/// A value with its distance from the reference.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Drift {
    /// The value.
    pub value: String,
    /// ‖got − want‖ / ‖want‖.
    pub relative_l2: f64,
    /// The largest |got − want| over the largest |want|.
    pub max_error: f64,
}

impl Drift {
    /// The larger of both errors, as a share of what a float32 kernel may have.
    pub fn of_allowed(&self) -> f64 {
        (self.relative_l2 / FLOAT32.relative_l2).max(self.max_error / FLOAT32.max_error)
    }

    /// The one that is further off.
    pub fn worse(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        a.into_iter().chain(b).max_by(|a, b| a.of_allowed().total_cmp(&b.of_allowed()))
    }

    /// Keeps the one that is further off.
    pub(super) fn raise(worst: &mut Option<Self>, value: &str, difference: &Difference) {
        let Difference { relative_l2, max_error, .. } = *difference;
        *worst = Self::worse(worst.take(), Some(Self { value: value.to_owned(), relative_l2, max_error }));
    }
}

/// What a walk through a step found.
#[derive(Debug, Clone, Default)]
pub(super) struct Walk {
    /// Values compared.
    pub values: usize,
    /// The largest error of those within tolerance.
    pub worst: Option<Drift>,
    /// Values beyond tolerance whose operators are right on the operands that they had.
    pub inherited: usize,
    /// The first of them.
    pub first_inherited: Option<String>,
    /// The largest error of them.
    pub drift: Option<Drift>,
    /// Where the walk ended early.
    pub divergence: Option<Divergence>,
}

impl Walk {
    /// This walk, and another one after it.
    pub fn and(self, next: Self) -> Self {
        Self {
            values: self.values + next.values,
            worst: Drift::worse(self.worst, next.worst),
            inherited: self.inherited + next.inherited,
            first_inherited: self.first_inherited.or(next.first_inherited),
            drift: Drift::worse(self.drift, next.drift),
            divergence: self.divergence.or(next.divergence),
        }
    }
}

/// The persistent values that a step writes, in the order of their first writers.
pub(super) fn lasting(graph: &Graph) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for &id in graph.nodes().iter().flat_map(|node| &node.outputs) {
        let root = graph.value(graph.root(id));
        if root.storage == Storage::Persistent && !names.contains(&root.name) {
            names.push(root.name.clone());
        }
    }
    names
}

/// The numbers of a tensor of any type.
fn numbers(tensor: &Tensor<f64>) -> Vec<f64> {
    match &tensor.elements {
        Elements::Float(data) => data.clone(),
        Elements::U32(data) => data.iter().map(|&x| f64::from(x)).collect(),
        Elements::U8(data) => data.iter().map(|&x| f64::from(x)).collect(),
    }
}

/// How far a tensor is off; integers must be equal.
pub(super) fn difference(got: &Tensor<f64>, want: &Tensor<f64>, floats: Tolerance) -> Difference {
    match (&got.elements, &want.elements) {
        (Elements::Float(got), Elements::Float(data)) => compare(got, data, &want.shape, floats),
        _ => compare(&numbers(got), &numbers(want), &want.shape, EXACT),
    }
}

/// The numbers of `image [n,h,w,c]` at `places [n,h_out,w_out,c]`; nothing where a place lies outside of its window.
fn named(pool: &Pool2d, image: &Tensor<f64>, places: &Tensor<f64>) -> Option<Vec<f64>> {
    let ([h, w, c], [rows, columns]) = ([1, 2, 3].map(|axis| image.shape[axis]), [1, 2].map(|axis| places.shape[axis]));
    let within = |place: usize, at: usize, axis: usize| {
        let first = (at * pool.stride[axis]) as isize - pool.padding[axis] as isize;
        (first..first + pool.kernel[axis] as isize).contains(&(place as isize))
    };
    let number = |(index, &place): (usize, &u32)| {
        let (place, window) = (place as usize, index / c);
        let (row, column) = (place / w, place % w);
        let inside = row < h && within(row, window / columns % rows, 0) && within(column, window % columns, 1);
        let n = window / (rows * columns);
        inside.then(|| image.floats()[((n * h + row) * w + column) * c + index % c])
    };
    places.u32s().iter().enumerate().map(number).collect()
}

/// One of two devices.
pub(super) struct Side {
    name: String,
    /// Computes on the device; the float64 reference has none.
    session: Option<Session>,
    /// Holds what the device holds, so that its operators are judged on its own operands. Without a session, it computes.
    exact: CpuSession<f64>,
    variants: Vec<&'static str>,
}

impl Side {
    /// The float64 reference.
    pub fn reference(graph: &Graph, data: (&Resident, &Split)) -> Result<Self> {
        let mut exact = CpuSession::new(vec![graph.clone()], true);
        parts(data.0, data.1, |name, tensor| exact.write(name, &tensor.widen()))?;
        let variants = exact.plan(0).into_iter().map(|row| row.variant).collect();
        Ok(Self { name: "the float64 reference".into(), session: None, exact, variants })
    }

    /// A device, on which every value has memory of its own.
    pub fn device(device: &Device, graph: &Graph, data: (&Resident, &Split)) -> Result<Self> {
        let options = Options { reuse: false, baseline: false, suspects: true };
        Self::of(device.name(), trust::session(device, vec![graph.clone()], options)?, graph, data)
    }

    fn of(name: String, mut session: Session, graph: &Graph, data: (&Resident, &Split)) -> Result<Self> {
        parts(data.0, data.1, |name, tensor| session.write(name, &tensor))?;
        let variants = session.plan(0).into_iter().map(|row| row.variant).collect();
        Ok(Self { name, session: Some(session), variants, ..Self::reference(graph, data)? })
    }

    /// Bytes of the device's memory.
    pub fn bytes(&self) -> u64 {
        self.session.as_ref().map_or(0, Session::bytes)
    }

    /// Overwrites persistent values.
    pub fn load(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        for (name, tensor) in state {
            if let Some(session) = &mut self.session {
                session.write(name, tensor)?;
            }
            self.exact.write(name, &tensor.widen())?;
        }
        Ok(())
    }

    /// A persistent value after the last walk.
    pub fn read(&self, name: &str) -> Result<&Tensor<f64>> {
        self.exact.read(name)
    }

    /// Persistent values after the last walk, rounded to what a device holds.
    pub fn state(&self, names: &[String]) -> Result<State> {
        names.iter().map(|name| Ok((name.clone(), self.read(name)?.narrow()))).collect()
    }

    /// Computes the step alone, without a look at its values; the reference only.
    pub fn run(&mut self) -> Result<()> {
        self.exact.run(0, 1, &[]).map(drop)
    }

    /// Runs the step on the device; answers nothing where it is computed node by node.
    async fn trace(&mut self) -> Result<Option<Vec<Vec<Tensor>>>> {
        match &mut self.session {
            Some(session) => Ok(Some(session.trace(0).await?)),
            None => Ok(None),
        }
    }

    /// Whether an output of a node is the places of maxima, and the numbers there are the maxima but for rounding, which decides
    /// which of two almost equal ones is the larger.
    fn names_maxima(&self, node: usize, output: usize, places: &Tensor<f64>, maxima: &Tensor<f64>) -> bool {
        if output != 1 {
            return false;
        }
        self.exact.with_operands(0, node, |node, operands, _| {
            let (pool, image) = match &node.op {
                Op::MaxPool2d(op) => (op.0, Some(operands[0].clone())),
                Op::Conv2dMaxPool2d(op) => (op.pool, op.unpooled(operands)),
                _ => return false,
            };
            let Some(named) = image.and_then(|image| named(&pool, &image, places)) else { return false };
            compare(&named, maxima.floats(), &maxima.shape, FLOAT32).passes()
        })
    }

    /// An output that is right but at elements where the operator reads an image normalised, and that is 0 but for rounding, which
    /// decides on which side of the activation's kink it lies.
    fn bends(&self, node: usize, output: usize, got: &Tensor<f64>, want: &Tensor<f64>) -> bool {
        self.exact.with_operands(0, node, |node, operands, _| {
            let Op::Conv2dGrad(op) = &node.op else { return false };
            let Some(table) = op.table().filter(|_| output == op.dx() && op.activation.is_some()) else { return false };
            let (x, table) = (operands[0].floats(), operands[table].floats());
            let channels = table.len() / 4;
            let element = |(i, (&got, &want)): (usize, (&f64, &f64))| {
                let row = |row: usize| table[row * channels + i % channels];
                let centred = (x[i] - row(0)) - row(1);
                let rounding = f64::from(f32::EPSILON) * 4.0 * ((centred * row(2)).abs() + row(3).abs());
                if (centred * row(2) + row(3)).abs() <= rounding { want } else { got }
            };
            let pairs = got.floats().iter().zip(want.floats());
            let elsewhere: Vec<f64> = pairs.enumerate().map(element).collect();
            compare(&elsewhere, want.floats(), &want.shape, FLOAT32).passes()
        })
    }

    /// The first of a node's outputs that its operator got wrong, given the operands that this side has.
    fn wrong(&self, node: usize, outputs: &[Tensor<f64>]) -> Option<(usize, Difference, Cause)> {
        let wanted = self.exact.evaluate(0, node);
        for (index, (got, want)) in outputs.iter().zip(&wanted).enumerate() {
            let passes = difference(got, want, FLOAT32).passes();
            if passes || self.names_maxima(node, index, got, &wanted[0]) || self.bends(node, index, got, want) {
                continue;
            }
            let rounded = self.exact.evaluate_in::<f32>(0, node)[index].widen();
            let unavoidable = difference(&rounded, want, FLOAT32);
            if !unavoidable.relative_l2.is_finite() {
                return Some((index, difference(got, want, FLOAT32), Cause::NotFinite));
            }
            let allowed = Tolerance {
                relative_l2: FLOAT32.relative_l2.max(ROUNDING * unavoidable.relative_l2),
                max_error: FLOAT32.max_error.max(ROUNDING * unavoidable.max_error),
            };
            let difference = difference(got, want, allowed);
            if !difference.passes() {
                return Some((index, difference, Cause::Kernel));
            }
        }
        None
    }
}

/// Runs one step on both sides from what they hold, and compares every output of every node in order. A walk that ends early
/// leaves the sides in the middle of the step.
pub(super) async fn walk(graph: &Graph, reference: &mut Side, other: &mut Side, step: u64) -> Result<Walk> {
    let mut found = Walk::default();
    let (mut wanted, mut got) = (reference.trace().await?, other.trace().await?);
    for (position, node) in graph.nodes().iter().enumerate() {
        let outputs = |side: &Side, trace: &mut Option<Vec<Vec<Tensor>>>| match trace {
            Some(trace) => std::mem::take(&mut trace[position]).iter().map(Tensor::widen).collect(),
            None => side.exact.evaluate(0, position),
        };
        let (wanted, got): (Vec<_>, Vec<_>) = (outputs(reference, &mut wanted), outputs(other, &mut got));
        let mut inherited = Vec::new();
        for ((got, want), &id) in got.iter().zip(&wanted).zip(&node.outputs) {
            let difference = difference(got, want, FLOAT32);
            let name = &graph.value(id).name;
            found.values += 1;
            match difference.passes() {
                true => Drift::raise(&mut found.worst, name, &difference),
                false => inherited.push((name, difference)),
            }
        }
        if !inherited.is_empty() {
            for (side, outputs) in [(&*other, &got), (&*reference, &wanted)] {
                if let Some((index, difference, cause)) = side.wrong(position, outputs) {
                    found.divergence = Some(Divergence {
                        step,
                        device: side.name.clone(),
                        node: node.name.clone(),
                        operator: node.op.name().to_owned(),
                        direction: Divergence::direction(graph, position),
                        variant: side.variants[position].to_owned(),
                        value: graph.value(node.outputs[index]).name.clone(),
                        shape: outputs[index].shape.clone(),
                        axes: Divergence::axes(&node.op, index, &outputs[index].shape),
                        difference,
                        cause,
                    });
                    return Ok(found);
                }
            }
            for (name, difference) in inherited {
                found.inherited += 1;
                found.first_inherited.get_or_insert_with(|| name.clone());
                Drift::raise(&mut found.drift, name, &difference);
            }
        }
        reference.exact.keep(0, position, wanted);
        other.exact.keep(0, position, got);
    }
    Ok(found)
}

#[cfg(test)]
#[path = "pair_tests.rs"]
mod tests;
