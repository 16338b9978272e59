//! `max_pool2d_grad → activation_grad` change places. With y = f(x), (p, places) = max_pool(y) and Σ over the windows whose
//! maximum is at (h,w):
//!
//! ```text
//! dx[h,w] = f'(y[h,w]) · Σ dp[i,j] = Σ f'(p[i,j]) · dp[i,j]        since p[i,j] = y[h,w] there
//! ```
//!
//! The derivative is then taken of a quarter of the elements (for windows of 2×2), and the backward step reads y no more.
//!
//! And a sum of what a max pool spreads out, which the gradient of a bias is, is the sum of what arrives at it:
//!
//! ```text
//! Σ_{n,h,w} dx[n,h,w,c] = Σ_{n,i,j} dp[n,i,j,c]        since every window has its maximum somewhere
//! ```

use super::{Fusion, Graph, Pass, Storage, ValueId};
use crate::error::Result;
use crate::ops::Op;

pub(super) fn run(graph: &mut Graph) -> Result<Vec<Fusion>> {
    let mut done = Vec::new();
    for position in 0..graph.nodes.len() {
        let Some((spread, pooled)) = exchangeable(graph, position) else { continue };
        let before = vec![graph.title(spread), graph.title(position)];
        let (upstream, name) = (graph.nodes[spread].inputs[0], graph.nodes[position].name.clone());
        let spec = graph.spec(pooled).clone();
        let scaled = graph.add(name, spec, Storage::Slot);
        let (mut derivative, mut spread_again) = (graph.nodes[position].clone(), graph.nodes[spread].clone());
        spread_again.outputs = std::mem::replace(&mut derivative.outputs, vec![scaled]);
        spread_again.inputs[0] = scaled;
        derivative.inputs = vec![pooled, upstream];
        graph.nodes[spread] = derivative;
        graph.nodes[position] = spread_again;
        let after = vec![graph.title(spread), graph.title(position)];
        done.push(Fusion { pass: Pass::PoolGradient, before, after });
    }
    for position in 0..graph.nodes.len() {
        let Some(arriving) = summable(graph, position) else { continue };
        let before = vec![graph.title(position)];
        graph.nodes[position].inputs = vec![arriving];
        done.push(Fusion { pass: Pass::PoolGradient, before, after: vec![graph.title(position)] });
    }
    Ok(done)
}

/// What arrives at the max pool whose spread gradient the sum at `position` is of.
fn summable(graph: &Graph, position: usize) -> Option<ValueId> {
    let node = &graph.nodes[position];
    let spread = match node.op {
        Op::SumRows(_) => &graph.nodes[graph.maker(node.inputs[0])?],
        _ => return None,
    };
    matches!(spread.op, Op::MaxPool2dGrad(_)).then(|| spread.inputs[0])
}

/// The gradient of a max pool that the activation's gradient at `position` reads, and that pool's output.
fn exchangeable(graph: &Graph, position: usize) -> Option<(usize, ValueId)> {
    let node = &graph.nodes[position];
    let Op::ActivationGrad(grad) = &node.op else { return None };
    if !grad.0.saves_output() {
        return None;
    }
    let (activated, gradient) = (node.inputs[0], node.inputs[1]);
    let spread = graph.maker(gradient)?;
    if !matches!(graph.nodes[spread].op, Op::MaxPool2dGrad(_)) || graph.readers(gradient).len() > 1 {
        return None;
    }
    let pool = &graph.nodes[graph.maker(graph.nodes[spread].inputs[1])?];
    let pools_it = matches!(pool.op, Op::MaxPool2d(_)) && pool.inputs[0] == activated;
    pools_it.then(|| (spread, pool.outputs[0]))
}
