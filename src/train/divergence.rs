//! Where two devices part, as a story.

use std::fmt;

use super::pair::{State, difference};
use super::program::names;
use crate::graph::Graph;
use crate::nn::{Layout, PARAMETERS, Placed, STATISTICS};
use crate::ops::Op;
use crate::session::Device;
use crate::tensor::Tensor;
use crate::verify::compare::{Difference, FLOAT32, Mismatch};

/// Whose fault a divergence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The operator's kernel is wrong on the operands that it had.
    Kernel,
    /// The numbers leave float32: its reference has no finite answer either.
    NotFinite,
    /// Each kernel is right; the step as training runs it gives something else than the same step with memory of its own for
    /// every value, so the memory plan or the schedule is wrong.
    Plan,
}

/// The first value of a step that a device computed wrongly.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// The step, from 1.
    pub step: u64,
    /// The device that is wrong.
    pub device: String,
    /// Layer and direction; for [`Cause::Plan`] the value.
    pub node: String,
    /// The operator; for [`Cause::Plan`] `plan`.
    pub operator: String,
    /// `forward`, `backward` or `update`; for [`Cause::Plan`] `step`.
    pub direction: &'static str,
    /// The variant that computed it; for [`Cause::Plan`] `all`.
    pub variant: String,
    /// The value: the node's name, with a number where it is not the first output.
    pub value: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What the axes of the shape are, where that is known.
    pub axes: &'static str,
    /// How far it is off what the operator's float64 reference answers to the operands that the device had.
    pub difference: Difference,
    /// Whose fault it is.
    pub cause: Cause,
}

impl Divergence {
    /// Whether a node belongs to the forward pass, the backward pass, or what follows.
    pub(super) fn direction(graph: &Graph, position: usize) -> &'static str {
        // Forward and backward pass come once for each micro-batch.
        let mut before = graph.nodes()[..=position].iter().enumerate().rev();
        let mark = before.find_map(|(at, node)| match &node.op {
            Op::GradNorm(_) | Op::Settle(_) => Some("update"),
            op if op.scores() => Some(if at == position { "forward" } else { "backward" }),
            Op::GatherBatch(_) => Some("forward"),
            _ => None,
        });
        mark.unwrap_or("forward")
    }

    /// What the axes of an output are.
    pub(super) fn axes(op: &Op, output: usize, shape: &[usize]) -> &'static str {
        match (op, shape.len()) {
            (Op::Conv2dGradWeight(_) | Op::Conv2dGradWeightBias(_), 4) => "(k_h, k_w, c_in, c_out)",
            (Op::LinearGradWeight(_) | Op::LinearGradWeightBias(_), 2) => "(out, in)",
            (Op::Conv2dGrad(_), 4) if output == 0 => "(k_h, k_w, c_in, c_out)",
            (Op::LinearGrad(_), 2) if output == 0 => "(out, in)",
            (Op::Conv2dGrad(_) | Op::Conv2dMaxPool2dGradWeight(_), 5) => "(part, k_h, k_w, c_in, c_out)",
            (Op::LinearCrossEntropyGrad(_) | Op::MlpCrossEntropyGrad(_), 3) => "(row, out, in)",
            (_, 4) => "(n, h, w, c)",
            (_, 2) => "(n, features)",
            _ => "",
        }
    }

    /// `pool1.grad (max_pool2d_grad)`
    pub fn place(&self) -> String {
        match (self.cause, self.node == self.operator) {
            (Cause::Plan, _) => format!("the memory plan or the schedule, seen in {}", self.node),
            (_, true) => self.node.clone(),
            (_, false) => format!("{} ({})", self.node, self.operator),
        }
    }

    /// The divergence in one line of JSON.
    pub fn json(&self) -> serde_json::Value {
        let element = |Mismatch { index, got, want }: &Mismatch| serde_json::json!({ "index": index, "got": text(*got), "want": text(*want) });
        serde_json::json!({
            "step": self.step, "cause": self.cause, "device": self.device, "node": self.node, "operator": self.operator,
            "direction": self.direction, "variant": self.variant, "value": self.value, "shape": self.shape,
            "axes": self.axes, "relative_l2": text(self.difference.relative_l2),
            "max_error": text(self.difference.max_error),
            "allowed": { "relative_l2": self.difference.tolerance.relative_l2, "max_error": self.difference.tolerance.max_error },
            "elements": self.difference.first.iter().map(element).collect::<Vec<_>>(), "count": self.difference.count,
        })
    }
}

/// JSON has no word for numbers that are none.
fn text(number: f64) -> serde_json::Value {
    if number.is_finite() { number.into() } else { number.to_string().into() }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, device, direction, variant, value, shape, axes, difference, cause, .. } = self;
        let axes = if axes.is_empty() { String::new() } else { format!(", axes {axes}") };
        writeln!(f, "step {step}: {} diverges on {device}", self.place())?;
        if *cause != Cause::Plan {
            writeln!(f, "  {direction}, computed by the {variant} kernel: value `{value}` of shape {shape:?}{axes}")?;
        }
        writeln!(f, "  {}", difference.to_string().replace('\n', "\n  "))?;
        f.write_str(match cause {
            Cause::Kernel => "  expected is what the float64 reference answers to the operands that the device had",
            Cause::NotFinite => {
                "  the numbers leave float32 here: the reference in float32 has no finite answer to these operands either"
            }
            Cause::Plan => {
                "  expected is what the same kernels on the same device give where every value has memory of its own, \
                 and there each of them was right"
            }
        })
    }
}

/// The parts of a persistent value that are compared on their own: flat buffers by parameter, since a small one would
/// vanish beside a large one.
pub(super) fn pieces<T: Copy>(layout: &Layout, name: &str, tensor: &Tensor<T>) -> Vec<(String, Tensor<T>)> {
    let flat: &[Placed] = match name {
        PARAMETERS | names::GRADIENTS | names::PART => &layout.parameters,
        _ if names::MOMENTS.contains(&name) => &layout.parameters,
        STATISTICS => &layout.statistics,
        _ => return vec![(name.to_owned(), tensor.clone())],
    };
    let piece = |Placed { parameter, offset }: &Placed| {
        let data = tensor.floats()[*offset..offset + parameter.len()].to_vec();
        (format!("{name} of {}", parameter.name), Tensor::float(parameter.shape.clone(), data))
    };
    flat.iter().map(piece).collect()
}

/// What a step as training runs it left behind, against the same step with memory of its own for every value.
#[derive(Debug, Clone, Default)]
pub(super) struct Planned {
    /// Whether every bit is the same.
    pub same_bits: bool,
    /// The first value that is beyond tolerance.
    pub divergence: Option<Divergence>,
}

/// Compares the state that a planned step left with the one that the walk through it left.
pub(super) fn planned(device: &Device, layout: &Layout, got: &State, separate: &State, step: u64) -> Planned {
    let mut answer = Planned { same_bits: true, divergence: None };
    for ((name, got), (_, want)) in got.iter().zip(separate) {
        if got.same_bits(want) {
            continue;
        }
        answer.same_bits = false;
        let wanted = pieces(layout, name, &want.widen());
        for ((node, want), (_, got)) in wanted.into_iter().zip(pieces(layout, name, &got.widen())) {
            let difference = difference(&got, &want, FLOAT32);
            if !difference.passes() && answer.divergence.is_none() {
                answer.divergence = Some(Divergence {
                    step,
                    device: device.name(),
                    value: node.clone(),
                    node,
                    operator: "plan".into(),
                    direction: "step",
                    variant: "all".into(),
                    shape: want.shape,
                    axes: "",
                    difference,
                    cause: Cause::Plan,
                });
            }
        }
    }
    answer
}
