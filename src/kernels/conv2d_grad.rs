//! All gradients of a convolution or linear layer as one node: one kernel for GPUs where there is one for the problem, else the
//! baseline kernels of the parts, one after the other.

use super::conv2d_gather::{Gather, WeightGrad, forward_gather};
use super::conv2d_product::{self, Product};
use super::conv2d_tiled::{self, Normal, PoolBehind, Tile, Wanted};
use super::reduce::Splits;
use super::{
    BASELINE, Lowered, Operand, Problem, activation, batch_norm2d_apply, conv2d, elementwise, linear, pool2d, reduce,
};
use crate::error::Result;
use crate::ops::{Activation, ActivationGrad, Conv2dGrad, LayerGrad, LinearGrad, MaxPool2dGrad, SumRows};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// The max pool behind the convolution as the fast kernel sees it, where its windows tile what they are taken of.
fn behind(pool: &MaxPool2dGrad, dy: &Spec) -> Option<PoolBehind> {
    let count = [dy.shape[1], dy.shape[2]];
    let window = pool.pool.kernel;
    pool.pool.tiles(count, pool.input).then_some(PoolBehind { window, count, places: Input(3), saved: None })
}

/// Whether there is one kernel for the gradients of a convolution: the gradient of the input is one gather then.
fn serves(op: &Conv2dGrad, dy: &Spec) -> bool {
    let conv = &op.weight.conv;
    // What is added is so before the derivative alone.
    let adds = !op.plus || (op.activation.is_some() && !op.normalised && op.pool.is_none());
    adds && conv.stride == [1, 1] && conv.groups == 1 && op.pool.is_none_or(|pool| behind(&pool, dy).is_some())
}

pub(super) fn conv2d_variants(op: &Conv2dGrad, problem: &Problem) -> Vec<&'static str> {
    let (x, dy, w) = (&problem.inputs[0], &problem.inputs[1], &problem.inputs[2]);
    let mut tiles = Vec::new();
    if serves(op, dy) {
        let forward = op.arriving(problem.inputs).map(|between| forward_gather(&op.weight.conv, x, &between, w));
        tiles = forward.map_or(Vec::new(), |forward| {
            let products = [Product::weights(&WeightGrad { forward }, op.images), Product::transposed(&forward)];
            conv2d_product::tiles(problem.caps, op.pool.is_none() && conv2d_tiled::fours_serve(&forward), &products)
        });
    }
    conv2d_product::with_baseline(tiles, problem.caps)
}

pub(super) fn linear_variants(op: &LinearGrad, problem: &Problem) -> Vec<&'static str> {
    let serves = !op.normalised && !op.plus;
    let forward = linear::weight_shape(problem).forward;
    let products = [Product::weights(&WeightGrad { forward }, op.images), Product::transposed(&forward)];
    let tiles = if serves { conv2d_product::tiles(problem.caps, false, &products) } else { Vec::new() };
    conv2d_product::with_baseline(tiles, problem.caps)
}

/// How the layer reads its image, where that is not as it is.
fn normal<W, I>(op: &LayerGrad<W, I>) -> Option<Normal> {
    op.table().map(|table| Normal { activation: op.activation, table: Input(table) })
}

/// What the one kernel is told: the forward problem, whose operands are image and upstream gradient.
fn tiled<W, I>(tile: &Tile, op: &LayerGrad<W, I>, forward: Gather, behind: Option<&PoolBehind>) -> Lowered {
    let derivative: Option<(Activation, Operand)> = op.activation.zip(op.saved().map(Input));
    let grad = WeightGrad { forward: Gather { derivative, ..forward } };
    let wanted = Wanted { bias: op.bias.then_some(Output(1)), images: op.images };
    conv2d_tiled::grads(tile, &grad, behind, (normal(op), op.other().map(Input)), wanted, Output(op.dx()))
}

pub(super) fn conv2d(op: &Conv2dGrad, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (x, dy, w) = (&problem.inputs[0], &problem.inputs[1], &problem.inputs[2]);
    let between = op.arriving(problem.inputs)?;
    if let Some(tile) = Tile::of(variant) {
        let pool = op.pool.and_then(|pool| behind(&pool, dy));
        return Ok(tiled(tile, op, forward_gather(&op.weight.conv, x, &between, w), pool.as_ref()));
    }
    let mut all = Lowered::baseline(Vec::new());
    let image = normal(op).map_or(Input(0), |normal| batch_norm2d_apply::read(&normal, x, &mut all));
    let mut arrives = Input(1);
    if let Some(pool) = &op.pool {
        arrives = reduce::scratch(&mut all.workspaces, between.clone());
        let inputs = [dy.clone(), problem.inputs[3].clone()];
        let part = Problem { inputs: &inputs, outputs: std::slice::from_ref(&between), ..*problem };
        all.append(pool2d::max_grad(pool, &part, BASELINE)?, |operand| match operand {
            Input(0) => Input(1),
            Input(_) => Input(3),
            _ => arrives,
        });
    }
    let forward = forward_gather(&op.weight.conv, x, &between, w);
    let weights = match (WeightGrad { forward }).parts(op.images) {
        None => {
            let inputs = [x.clone(), between.clone()];
            let part = Problem { inputs: &inputs, outputs: &problem.outputs[..1], ..*problem };
            conv2d::grad_weight(&op.weight, &part, BASELINE)?
        }
        Some(splits) => Lowered::baseline(vec![conv2d::weight_sums(&op.weight, [x, &between, w], splits, Output(0))]),
    };
    let input = [between, w.clone()];
    let input = Problem { inputs: &input, outputs: &problem.outputs[op.dx()..], ..*problem };
    let input = conv2d::grad_input(&op.input, None, &input, BASELINE)?;
    apart(op, all, [weights, input], [image, arrives], problem)
}

pub(super) fn linear(op: &LinearGrad, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    if let Some(tile) = Tile::of(variant) {
        return Ok(tiled(tile, op, linear::weight_shape(problem).forward, None));
    }
    let weights = match linear::weight_shape(problem).parts(op.images) {
        None => {
            let part = Problem { inputs: &problem.inputs[..2], outputs: &problem.outputs[..1], ..*problem };
            linear::grad_weight(&op.weight, &part, BASELINE)?
        }
        Some(splits) => {
            let outputs = problem.inputs[1].shape[1];
            Lowered::baseline(vec![linear::weight_sums(&problem.inputs[0], outputs, splits, Output(0))])
        }
    };
    let input = Problem { inputs: &problem.inputs[1..3], outputs: &problem.outputs[op.dx()..], ..*problem };
    let parts = [weights, linear::grad_input(None, &input, BASELINE)?];
    let mut all = Lowered::baseline(Vec::new());
    let image = normal(op).map_or(Input(0), |normal| batch_norm2d_apply::read(&normal, &problem.inputs[0], &mut all));
    apart(op, all, parts, [image, Input(1)], problem)
}

/// The sums of what arrives at a layer, over all images or over so many each.
pub(super) fn bias_sums(dy: &Spec, db: &Spec, images: Option<usize>, problem: &Problem) -> Result<Lowered> {
    let (n, channels) = (dy.shape[0], dy.shape.last().copied().unwrap_or(1));
    let rows = dy.len() / channels;
    match images {
        None => {
            let specs = [dy.clone(), db.clone()];
            reduce::sum_rows(&SumRows, &Problem { inputs: &specs[..1], outputs: &specs[1..], ..*problem })
        }
        Some(images) => {
            let splits = Splits { count: n.div_ceil(images), rows: images * (rows / n) };
            Ok(Lowered::baseline(vec![reduce::row_sums(Input(0), [rows, channels], splits, Output(0))]))
        }
    }
}

/// The kernels of the parts behind those that are there: the gradients of the weights, of the bias and of the input, and the
/// derivative.
fn apart<W, I>(
    op: &LayerGrad<W, I>,
    mut all: Lowered,
    [weights, input]: [Lowered; 2],
    [image, arrives]: [Operand; 2],
    problem: &Problem,
) -> Result<Lowered> {
    all.append(weights, |operand| match operand {
        Input(0) => image,
        Input(_) => arrives,
        other => other,
    });
    if op.bias {
        all.append(bias_sums(&problem.inputs[1], &problem.outputs[1], op.images, problem)?, |operand| match operand {
            Input(_) => Input(1),
            _ => Output(1),
        });
    }
    let dx = &problem.outputs[op.dx()..];
    // What is read normalised is what is saved.
    let derivative = op.activation.map(|activation| (activation, op.saved().map_or(image, Input)));
    // The sum goes through what comes behind it, from one place into the next; the last is the result.
    let behind = usize::from(op.plus) + usize::from(derivative.is_some());
    let place = |step: usize| match step == behind {
        true => Output(op.dx()),
        false => reduce::scratch(&mut all.workspaces, dx[0].clone()),
    };
    let places: Vec<Operand> = (0..=behind).map(place).collect();
    all.append(input, |operand| match operand {
        Input(0) => arrives,
        Input(_) => Input(2),
        _ => places[0],
    });
    let inputs = [dx[0].clone(), dx[0].clone()];
    let part = Problem { inputs: &inputs, outputs: dx, ..*problem };
    if let Some(other) = op.other() {
        all.append(elementwise::add(None, &part)?, |operand| match operand {
            Input(0) => places[0],
            Input(_) => Input(other),
            _ => places[1],
        });
    }
    if let Some((activation, saved)) = derivative {
        all.append(activation::grad(&ActivationGrad(activation), &part)?, |operand| match operand {
            Input(0) => saved,
            Input(_) => places[behind - 1],
            _ => Output(op.dx()),
        });
    }
    Ok(all)
}
