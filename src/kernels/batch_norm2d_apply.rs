//! Batch normalisation in pieces: a convolution that takes statistics of what it writes, the table that they make, and what applies it.
//! `shaders/batch_norm2d_apply.wgsl`.

use super::activation::epilogue;
use super::conv2d_gather::forward_gather;
use super::conv2d_product;
use super::conv2d_tiled::{self, Normal, Tile};
use super::reduce::{folding, scratch};
use super::{BASELINE, BLOCK, Dispatch, EACH, Lowered, Operand, Problem, WORKGROUP, batch_norm2d, conv2d};
use crate::error::Result;
use crate::ops::{Activation, BatchNorm2dApply, Conv2dStatistics};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// Sets every uniform of the file, for images like `x`, of so many rows of which there are moments.
fn dispatch(entry: &'static str, x: &Spec, eps: f64, activation: Option<Activation>, tile: usize) -> Dispatch {
    let c = x.shape.last().copied().unwrap_or(1).max(1);
    let rows = x.len() / c;
    epilogue(Dispatch::new("batch_norm2d_apply.wgsl", entry), activation)
        .set("rows", rows)
        .set("c", c)
        .set("tiles", rows.div_ceil(tile))
        .set("tile", tile)
        .set("eps", eps)
}

/// What the table makes of an image, plus another image where there is one.
fn apply(
    activation: Option<Activation>,
    image: &Spec,
    [x, table, y]: [Operand; 3],
    residual: Option<Operand>,
) -> Dispatch {
    let dispatch = dispatch("apply", image, 0.0, activation, 1)
        .bind("x", x)
        .bind("table", table)
        .bind("y", y)
        .invocations(image.len().div_ceil(EACH));
    match residual {
        Some(residual) => dispatch.bind("residual", residual),
        None => dispatch.link("residual", "shared/no_residual.wgsl"),
    }
}

pub(super) fn lower(op: &BatchNorm2dApply, problem: &Problem) -> Result<Lowered> {
    let residual = (problem.inputs.len() > 2).then_some(Input(2));
    let dispatch = apply(op.activation, &problem.inputs[0], [Input(0), Input(1), Output(0)], residual);
    Ok(Lowered::baseline(vec![dispatch]))
}

/// Writes an image as it is read normalised into scratch memory, for kernels that read it as it is.
pub(super) fn read(normal: &Normal, x: &Spec, lowered: &mut Lowered) -> Operand {
    let image = scratch(&mut lowered.workspaces, x.clone());
    lowered.dispatches.push(apply(normal.activation, x, [Input(0), normal.table, image], None));
    image
}

/// The variants of a convolution with statistics.
pub(super) fn variants(op: &Conv2dStatistics, problem: &Problem) -> Vec<&'static str> {
    let gather = forward_gather(&op.conv, &problem.inputs[0], &problem.outputs[0], &problem.inputs[1]);
    let tiles = if op.conv.groups == 1 { conv2d::gather_tiles(&gather, problem.caps) } else { Vec::new() };
    conv2d_product::with_baseline(tiles, problem.caps)
}

/// Lowers a convolution with statistics.
pub(super) fn statistics(op: &Conv2dStatistics, problem: &Problem, variant: &'static str) -> Result<Lowered> {
    let (x, w, y) = (&problem.inputs[0], &problem.inputs[1], &problem.outputs[0]);
    let normal =
        op.before.zip(op.table()).map(|(before, table)| Normal { activation: before.activation, table: Input(table) });
    let [weight, bias] = [op.layer(), op.layer() + 1].map(Input);
    if let Some(tile) = Tile::of(variant) {
        let mut gather = forward_gather(&op.conv, x, y, w);
        gather.operands.2 = op.bias.then_some(Input(2));
        let mut workspaces = Vec::new();
        let (c, tiles) = (gather.dst[2], gather.pixels().div_ceil(tile.moment_rows()));
        let moments = scratch(&mut workspaces, Spec::f32([c, 3, tiles]));
        let finish = dispatch("finish", y, op.eps, None, tile.moment_rows())
            .bind("x", Output(0))
            .bind("moments", moments)
            .bind("weight", weight)
            .bind("bias", bias)
            .bind("mean_out", Output(1))
            .bind("rstd_out", Output(2))
            .bind("var_unbiased", Output(3))
            .bind("table_out", Output(4))
            .workgroups(c)
            .trips(2 * (tiles.div_ceil(WORKGROUP) + tiles.div_ceil(BLOCK * WORKGROUP)));
        let finish = folding(finish, 2, problem.caps);
        let dispatches = vec![conv2d_tiled::gather_with_moments(tile, &gather, normal, moments), finish];
        return Ok(Lowered { variant, workspaces, dispatches });
    }
    let mut all = Lowered::baseline(Vec::new());
    let image = normal.map_or(Input(0), |normal| read(&normal, x, &mut all));
    let part = Problem { inputs: &problem.inputs[..op.layer()], outputs: &problem.outputs[..1], ..*problem };
    all.append(conv2d::forward(&op.conv, None, &part, BASELINE)?, |operand| match operand {
        Input(0) => image,
        other => other,
    });
    all.append(batch_norm2d::statistics(y, op.eps), |operand| match operand {
        Input(_) => Output(0),
        other => other,
    });
    let affine = dispatch("affine", y, op.eps, None, 1)
        .bind("mean", Output(1))
        .bind("rstd", Output(2))
        .bind("weight", weight)
        .bind("bias", bias)
        .bind("table_out", Output(4))
        .invocations(problem.inputs[op.layer()].len());
    all.dispatches.push(affine);
    Ok(all)
}
