//! A convolution, its activation and a max pool as one node, and the gradients of its weights: one kernel where there is one for
//! the problem, else the kernels of the parts, one after the other through scratch memory.

use super::conv2d_few_channels::{self, FewChannels};
use super::conv2d_gather::{Gather, Lattice, WeightGrad, forward_gather, pools};
use super::conv2d_tiled::{self, PoolBehind, Tile, Wanted};
use super::{BASELINE, Lowered, Operand, Problem, activation, conv2d, conv2d_grad, pool2d, pool2d_windows, reduce};
use crate::error::Result;
use crate::ops::{ActivationGrad, Conv2dMaxPool2d, Conv2dMaxPool2dGradWeight, MaxPool2d};
use crate::ops::{Conv2dGradWeight, MaxPool2dGrad, Op, Operator, Pool2d};
use crate::tensor::Spec;

/// What the pool reads of the convolution's output.
fn between(op: &Conv2dMaxPool2d, x: &Spec, kernel: [usize; 2], c_out: usize) -> Result<Spec> {
    let [h, w] = op.between([x.shape[1], x.shape[2]], kernel)?;
    Ok(Spec::f32([x.shape[0], h, w, c_out]))
}

fn forward_between(op: &Conv2dMaxPool2d, problem: &Problem) -> Result<Spec> {
    let w = &problem.inputs[1].shape;
    between(op, &problem.inputs[0], [w[0], w[1]], w[3])
}

fn grad_between(op: &Conv2dMaxPool2dGradWeight, problem: &Problem) -> Result<Spec> {
    between(&op.forward, &problem.inputs[0], op.kernel, problem.inputs[1].shape[3])
}

/// The variants of the forward operator.
pub(super) fn forward_variants(op: &Conv2dMaxPool2d, problem: &Problem) -> Vec<&'static str> {
    let Ok(between) = forward_between(op, problem) else { return vec![BASELINE] };
    let between = [between];
    let part = Problem { outputs: &between, ..*problem };
    let variants = parts_alone(conv2d::forward_variants(&op.conv, &part));
    if op.conv.groups > 1 {
        return variants;
    }
    let conv = forward_gather(&op.conv, &part.inputs[0], &between[0], &part.inputs[1]);
    let windows = windows(&problem.outputs[0]);
    conv2d::with_few_channels(variants, &FewChannels { conv: &conv, pool: Some((&op.pool, windows)) }, problem.caps)
}

/// Without the one that only serves a pool in the same kernel, and the one that serves none.
fn parts_alone(variants: Vec<&'static str>) -> Vec<&'static str> {
    let apart = [conv2d_few_channels::NAME, conv2d_tiled::FOURS_NAME];
    variants.into_iter().filter(|variant| !apart.contains(variant)).collect()
}

/// Height and width of what a pool writes.
fn windows(pooled: &Spec) -> [usize; 2] {
    [pooled.shape[1], pooled.shape[2]]
}

/// The variants of the gradients of its weights.
pub(super) fn grad_weight_variants(op: &Conv2dMaxPool2dGradWeight, problem: &Problem) -> Vec<&'static str> {
    let Ok(between) = grad_between(op, problem) else { return vec![BASELINE] };
    let inputs = [problem.inputs[0].clone(), between];
    let grad = Conv2dGradWeight { conv: op.forward.conv, kernel: op.kernel };
    let weights = [op.weights(&problem.inputs[0], &problem.inputs[1])];
    let part = Problem { inputs: &inputs, outputs: &weights, ..*problem };
    let mut variants = parts_alone(conv2d::grad_weight_variants(&grad, &part));
    if op.images.is_some() {
        // Sums stay apart in these alone.
        variants.retain(|variant| Tile::of(variant).is_some() || *variant == BASELINE);
        return variants;
    }
    if op.forward.conv.groups > 1 {
        return variants;
    }
    let conv = forward_gather(&op.forward.conv, &inputs[0], &inputs[1], &weights[0]);
    let pool = Some((&op.forward.pool, windows(&problem.inputs[1])));
    conv2d::with_few_channels(variants, &FewChannels { conv: &conv, pool }, problem.caps)
}

/// The fast kernel of the pool goes with every fast kernel of the convolution.
fn pool_variant(pool: &Pool2d, channels: usize, variant: &'static str) -> &'static str {
    if variant != BASELINE && pool2d_windows::serves(pool, channels) { pool2d_windows::NAME } else { BASELINE }
}

/// The convolution with its activation.
fn gather(op: &Conv2dMaxPool2d, problem: &Problem, between: &Spec) -> Gather {
    let mut gather = forward_gather(&op.conv, &problem.inputs[0], between, &problem.inputs[1]);
    gather.operands.2 = (problem.inputs.len() > 2).then_some(Operand::Input(2));
    gather.activation = op.activation;
    gather
}

/// All of it in one kernel, where the windows tile what they are taken of and do not hang over.
fn pooling_gather(op: &Conv2dMaxPool2d, problem: &Problem, between: &Spec) -> Option<Gather> {
    let (pool, count) = (&op.pool, windows(&problem.outputs[0]));
    let tiles = pool.tiles(count, [between.shape[1], between.shape[2]]);
    let serves = op.conv.groups == 1 && tiles && pools(pool.kernel, between.shape[3]);
    // The maxima fill an image of their own.
    let lattice = Lattice::whole(count);
    serves.then(|| Gather { windows: Some([pool.kernel, count]), lattice, ..gather(op, problem, between) })
}

pub(super) fn forward(op: &Conv2dMaxPool2d, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let between = [forward_between(op, problem)?];
    if variant == conv2d_few_channels::NAME {
        let conv = gather(op, problem, &between[0]);
        let pool = Some((&op.pool, windows(&problem.outputs[0])));
        return Ok(FewChannels { conv: &conv, pool }.forward(problem.caps));
    }
    if let Some(gather) = pooling_gather(op, problem, &between[0])
        && let Some(lowered) = conv2d::gather(&gather, problem, variant)
    {
        return Ok(lowered);
    }
    let mut lowered = Lowered { variant, workspaces: between.to_vec(), dispatches: Vec::new() };
    let sum = Operand::Workspace(0);
    let conv = conv2d::forward(&op.conv, op.activation, &Problem { outputs: &between, ..*problem }, variant)?;
    lowered.append(conv, |operand| if operand == Operand::Output(0) { sum } else { operand });
    let pool = pool_variant(&op.pool, between[0].shape[3], variant);
    let pool = pool2d::max_forward(&MaxPool2d(op.pool), &Problem { inputs: &between, ..*problem }, pool)?;
    lowered.append(pool, |operand| if operand == Operand::Input(0) { sum } else { operand });
    Ok(lowered)
}

pub(super) fn grad_weight(op: &Conv2dMaxPool2dGradWeight, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let Problem { inputs: [x, dy, argmax, ..], outputs, .. } = *problem else {
        return Err(crate::error::Error::shape(Op::from(*op).name(), "takes three operands or four"));
    };
    let between = grad_between(op, problem)?;
    let weights = op.weights(x, dy);
    if variant == conv2d_few_channels::NAME {
        let mut conv = forward_gather(&op.forward.conv, x, &between, &weights);
        conv.activation = op.forward.activation;
        let pool = Some((&op.forward.pool, windows(dy)));
        return Ok(FewChannels { conv: &conv, pool }.grad_weight(op.bias, problem.caps));
    }
    let (pool, count) = (&op.forward.pool, windows(dy));
    let tile = Tile::of(variant);
    if let Some(tile) = tile.filter(|_| pool.tiles(count, [between.shape[1], between.shape[2]])) {
        let mut forward = forward_gather(&op.forward.conv, x, &between, &weights);
        forward.activation = op.forward.activation;
        let saved = forward.activation.map(|_| Operand::Input(3));
        let behind = PoolBehind { window: pool.kernel, count, places: Operand::Input(2), saved };
        let wanted = Wanted { bias: op.bias.then_some(Operand::Output(1)), images: op.images };
        return Ok(conv2d_tiled::weight_grad(tile, &WeightGrad { forward }, Some(&behind), wanted));
    }
    let mut lowered = Lowered { variant, workspaces: Vec::new(), dispatches: Vec::new() };
    let mut arriving = Operand::Input(1);
    if let Some(activation) = op.forward.activation {
        arriving = reduce::scratch(&mut lowered.workspaces, dy.clone());
        let specs = [dy.clone(), dy.clone()];
        let part = Problem { inputs: &specs, outputs: &specs[..1], ..*problem };
        lowered.append(activation::grad(&ActivationGrad(activation), &part)?, |operand| match operand {
            Operand::Input(0) => Operand::Input(3),
            Operand::Output(_) => arriving,
            other => other,
        });
    }
    let spread = reduce::scratch(&mut lowered.workspaces, between.clone());
    let input = [between.shape[1], between.shape[2]];
    let (specs, written) = ([dy.clone(), argmax.clone()], [between.clone()]);
    let part = Problem { inputs: &specs, outputs: &written, ..*problem };
    let pool = pool_variant(&op.forward.pool, dy.shape[3], variant);
    let part = pool2d::max_grad(&MaxPool2dGrad { pool: op.forward.pool, input }, &part, pool)?;
    lowered.append(part, |operand| match operand {
        Operand::Input(0) => arriving,
        Operand::Input(_) => Operand::Input(2),
        _ => spread,
    });
    let grad = Conv2dGradWeight { conv: op.forward.conv, kernel: op.kernel };
    let forward = forward_gather(&op.forward.conv, x, &between, &weights);
    let part = match ((WeightGrad { forward }).parts(op.images), tile) {
        (None, _) => {
            let specs = [x.clone(), between];
            conv2d::grad_weight(&grad, &Problem { inputs: &specs, outputs: &outputs[..1], ..*problem }, variant)?
        }
        (Some(_), Some(tile)) if op.forward.conv.groups == 1 => {
            let wanted = Wanted { bias: None, images: op.images };
            conv2d_tiled::weight_grad(tile, &WeightGrad { forward }, None, wanted)
        }
        (Some(splits), _) => {
            let sums = conv2d::weight_sums(&grad, [x, &between, &weights], splits, Operand::Output(0));
            Lowered::baseline(vec![sums])
        }
    };
    lowered.append(part, |operand| if operand == Operand::Input(1) { spread } else { operand });
    if op.bias {
        let part = conv2d_grad::bias_sums(dy, &outputs[1], op.images, problem)?;
        lowered.append(part, |operand| match operand {
            Operand::Input(_) => arriving,
            _ => Operand::Output(1),
        });
    }
    Ok(lowered)
}
