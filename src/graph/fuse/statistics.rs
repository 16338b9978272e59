//! `conv2d → batch_norm2d`, with or without an activation behind it: the convolution takes the statistics of what it writes, as it writes
//! it, and what is left of the normalisation applies them. Nobody reads the image twice to learn of it what its kernel knew.

use super::{Fusion, Graph, Pass, Storage, everywhere};
use crate::error::Result;
use crate::ops::{BatchNorm2dApply, Conv2dStatistics, Op};
use crate::tensor::Spec;

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    Ok(everywhere(graph, |graph, position| {
        let (norm, activation) = match graph.nodes[position].op {
            Op::BatchNorm2d(op) => (op, None),
            Op::BatchNorm2dActivation(op) => (op.op, Some(op.activation)),
            _ => return None,
        };
        let operands = graph.nodes[position].inputs.clone();
        let maker = graph.maker(operands[0])?;
        let Op::Conv2d(conv) = graph.nodes[maker].op else { return None };
        let late = |node: &super::Node| operands[1..].iter().any(|operand| node.outputs.contains(operand));
        if conv.groups != 1 || graph.nodes[maker..position].iter().any(late) {
            return None;
        }
        let before = vec![graph.title(maker), graph.title(position)];
        let channels = graph.spec(operands[1]).len();
        let name = format!("{}.table", graph.nodes[position].name);
        let table = graph.add(name, Spec::f32([4, channels]), Storage::Slot);
        let rest = &mut graph.nodes[position];
        rest.op = BatchNorm2dApply { activation }.into();
        rest.inputs = vec![operands[0], table];
        let statistics = rest.outputs.split_off(1);
        let layer = &mut graph.nodes[maker];
        layer.op = Conv2dStatistics { conv, bias: layer.inputs.len() > 2, eps: norm.eps, before: None }.into();
        layer.inputs.extend(&operands[1..]);
        layer.outputs.extend(statistics.into_iter().chain([table]));
        Some(Fusion { pass: Pass::Statistics, before, after: vec![graph.title(maker), graph.title(position)] })
    }))
}
