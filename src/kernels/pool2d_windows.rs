//! Max pooling whose windows tile the image, four channels at a time: `shaders/pool2d_windows.wgsl`.

use super::{Dispatch, Edges, Limits, Lowered, Operand, Problem, Variant, WORKGROUP};
use crate::ops::Pool2d;
use crate::tensor::Spec;

/// The variant's name.
pub(super) const NAME: &str = "windows";

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits::DEFAULT,
    spreads: false,
    edges: |_, _| Edges { rows: vec![WORKGROUP], columns: vec![], depth: vec![] },
};

/// Whether it serves this window over so many channels.
pub(super) fn serves(pool: &Pool2d, channels: usize) -> bool {
    pool.kernel == pool.stride && pool.padding == [0; 4] && channels.is_multiple_of(4)
}

fn dispatch(entry: &'static str, pool: &Pool2d, [h_in, w_in]: [usize; 2], outer: &Spec) -> (Dispatch, usize) {
    let [n, h_out, w_out, c] = [0, 1, 2, 3].map(|axis| outer.shape[axis]);
    let [k_h, k_w] = pool.kernel;
    let [cells_h, cells_w] = [h_in.div_ceil(k_h), w_in.div_ceil(k_w)];
    let dispatch = Dispatch::new("pool2d_windows.wgsl", entry)
        .constant("K_H", format!("{k_h}u"))
        .constant("K_W", format!("{k_w}u"))
        .set("n", n)
        .set("h_in", h_in)
        .set("w_in", w_in)
        .set("c", c / 4)
        .set("h_out", h_out)
        .set("w_out", w_out)
        .set("cells_h", cells_h)
        .set("cells_w", cells_w)
        .trips(k_h * (k_w + 1));
    (dispatch, n * cells_h * cells_w * c / 4)
}

/// Lowers the maximum.
pub(super) fn forward(pool: &Pool2d, problem: &Problem) -> Lowered {
    let input = [problem.inputs[0].shape[1], problem.inputs[0].shape[2]];
    let (dispatch, _) = dispatch("forward", pool, input, &problem.outputs[0]);
    let dispatch = dispatch
        .bind("x", Operand::Input(0))
        .bind("y", Operand::Output(0))
        .bind("argmax", Operand::Output(1))
        .invocations(problem.outputs[0].len() / 4);
    Lowered { variant: NAME, workspaces: Vec::new(), dispatches: vec![dispatch] }
}

/// Lowers the gradient of the maximum.
pub(super) fn grad(pool: &Pool2d, input: [usize; 2], problem: &Problem) -> Lowered {
    let (dispatch, cells) = dispatch("grad", pool, input, &problem.inputs[0]);
    let dispatch = dispatch
        .bind("dy", Operand::Input(0))
        .bind("places", Operand::Input(1))
        .bind("dx", Operand::Output(0))
        .invocations(cells);
    Lowered { variant: NAME, workspaces: Vec::new(), dispatches: vec![dispatch] }
}
