//! The loss with its gradient, and what stands between the gradients and the optimiser.
//!
//! `softmax_cross_entropy` and its gradient become one node, which computes the exponentials once. `grad_norm`, `guard`, `record_step`
//! and `advance` become one node too, with the mean of the rows' losses; the optimiser takes the rates of its step from there, since
//! the step counter has moved on when it runs.

use super::{Fusion, Graph, Node, Pass, Storage, ValueId};
use crate::error::Result;
use crate::ops::{Op, Operator, Settle, SoftmaxCrossEntropyAndGrad};

pub(super) fn losses(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let mut done = Vec::new();
    for position in (0..graph.nodes.len()).rev() {
        if let Some((forward, mean)) = loss_before(graph, position) {
            let before = vec![graph.title(forward), graph.title(position)];
            let loss = graph.nodes[forward].clone();
            let node = &mut graph.nodes[position];
            if let Op::SoftmaxCrossEntropyGrad(grad) = &node.op {
                node.op = SoftmaxCrossEntropyAndGrad { label_smoothing: grad.label_smoothing, mean }.into();
            }
            node.name = format!("{}+{}", loss.name, node.name);
            node.outputs.insert(0, loss.outputs[1]);
            node.outputs.extend(mean.then_some(loss.outputs[0]));
            graph.nodes.remove(forward);
            done.push(Fusion { pass: Pass::Loss, before, after: vec![graph.title(position - 1)] });
            break;
        }
    }
    Ok(done)
}

/// The loss whose gradient stands at `position`, if nobody wants to know it before that, and whether anybody wants its mean.
fn loss_before(graph: &Graph, position: usize) -> Option<(usize, bool)> {
    let node = &graph.nodes[position];
    let Op::SoftmaxCrossEntropyGrad(grad) = &node.op else { return None };
    let is_loss = |other: &Node| match &other.op {
        Op::SoftmaxCrossEntropy(op) => op.label_smoothing == grad.label_smoothing && other.inputs == node.inputs[..2],
        _ => false,
    };
    let forward = graph.nodes[..position].iter().position(is_loss)?;
    let outputs = &graph.nodes[forward].outputs;
    let later = outputs.iter().flat_map(|&output| graph.readers(output)).all(|reader| reader > position);
    let kept = graph.value(outputs[0]).storage != Storage::Slot;
    later.then(|| (forward, kept || !graph.readers(outputs[0]).is_empty()))
}

/// The nodes that become one, but for the norm's, and the optimiser that follows them.
struct Ending {
    guard: usize,
    norm: usize,
    record: usize,
    advance: usize,
    optimizer: usize,
    /// The rows' losses.
    row_loss: ValueId,
}

pub(super) fn settle(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let Some(ending) = ending(graph) else { return Ok(Vec::new()) };
    let [guard, norm, record] = [ending.guard, ending.norm, ending.record].map(|at| graph.nodes[at].clone());
    let rates = graph.nodes[ending.optimizer].inputs[2];
    let mut inputs = vec![guard.inputs[0], ending.row_loss, record.inputs[3], record.inputs[4], norm.inputs[0], rates];
    inputs.extend_from_slice(&record.inputs[5..]);
    let settle = Settle { parts: None };
    let specs = settle.infer(&graph.specs(&inputs))?;
    let now = graph.add("rates.now".into(), specs[2].clone(), Storage::Slot);
    let mut outputs = vec![guard.outputs[0], norm.outputs[0], now];
    outputs.extend(record.outputs);
    graph.nodes[ending.optimizer].inputs[2] = now;
    let node = Node { name: "settle".into(), op: settle.into(), inputs, outputs, watch: false };
    let all = vec![ending.guard, ending.norm, ending.record, ending.advance];
    Ok(vec![graph.unite(Pass::Settle, all, ending.guard, node)])
}

/// The end of a step of training, if it is as the passes know it.
fn ending(graph: &Graph) -> Option<Ending> {
    let guard = graph.nodes.iter().position(|node| matches!(node.op, Op::Guard(_)))?;
    let [_, loss, norm_value] = *graph.nodes[guard].inputs else { return None };
    let control = graph.nodes[guard].outputs[0];
    let norm = graph.maker(norm_value).filter(|&maker| matches!(graph.nodes[maker].op, Op::GradNorm(_)))?;
    let forward = graph.maker(loss).filter(|&maker| matches!(graph.nodes[maker].op, Op::SoftmaxCrossEntropy(_)))?;
    let scored = &graph.nodes[forward];
    let (mut record, mut advance, mut optimizer) = (None, None, None);
    for reader in graph.readers(control) {
        let node = &graph.nodes[reader];
        let slot = match node.op {
            Op::RecordStep(op)
                if !op.adds && node.inputs[1..5] == [loss, norm_value, scored.inputs[0], scored.inputs[1]] =>
            {
                &mut record
            }
            Op::Advance(_) if graph.readers(node.outputs[0]).is_empty() => &mut advance,
            Op::Optimizer(_) => &mut optimizer,
            // These read the flag alone.
            Op::ClipValue(_) | Op::RunningStats(_) => continue,
            _ => return None,
        };
        if slot.replace(reader).is_some() {
            return None;
        }
    }
    let (record, advance, optimizer) = (record?, advance?, optimizer?);
    // What the norm's other readers want must be there in time, and nobody else may want the mean.
    let alone = graph.readers(loss).iter().all(|reader| [guard, record].contains(reader));
    let in_time = graph.readers(norm_value).iter().all(|&reader| reader >= guard);
    let row_loss = scored.outputs[1];
    (alone && in_time && guard == norm + 1 && guard < optimizer).then_some(Ending {
        guard,
        norm,
        record,
        advance,
        optimizer,
        row_loss,
    })
}
