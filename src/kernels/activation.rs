//! Activations on the GPU: one shader, specialised to the kind.

use super::{Dispatch, EACH, Lowered, Operand, Problem};
use crate::error::Result;
use crate::ops::{Activation, ActivationGrad};

/// The shader's name for the kind, and the attribute it takes.
fn kind(op: &Activation) -> (&'static str, f64) {
    match *op {
        Activation::Relu => ("RELU", 0.0),
        Activation::LeakyRelu { slope } => ("LEAKY_RELU", slope),
        Activation::Elu { alpha } => ("ELU", alpha),
        Activation::Sigmoid => ("SIGMOID", 0.0),
        Activation::Tanh => ("TANH", 0.0),
        Activation::Silu => ("SILU", 0.0),
        Activation::Gelu => ("GELU", 0.0),
        Activation::GeluTanh => ("GELU_TANH", 0.0),
        Activation::Softplus => ("SOFTPLUS", 0.0),
        Activation::HardSwish => ("HARD_SWISH", 0.0),
    }
}

/// Lets a kernel that imports `shaders/shared/activate.wgsl`, or `finish.wgsl` beside it, apply this to what it writes.
pub(super) fn epilogue(dispatch: Dispatch, activation: Option<Activation>) -> Dispatch {
    match activation.as_ref().map(kind) {
        None => dispatch.set("slope", 0.0),
        Some((kind, slope)) => dispatch.set("slope", slope).constant("KIND", kind),
    }
}

/// Lets a kernel that imports `shaders/shared/finish.wgsl` multiply what it writes with the derivative of this activation, of which
/// `saved` has as many elements.
pub(super) fn derivative_epilogue(dispatch: Dispatch, (activation, saved): (Activation, Operand)) -> Dispatch {
    epilogue(dispatch, Some(activation)).link("finish", "shared/finish_gradient.wgsl").bind("saved", saved)
}

fn dispatch(entry: &'static str, op: &Activation, problem: &Problem) -> Dispatch {
    let len = problem.outputs[0].len();
    epilogue(Dispatch::new("activation.wgsl", entry).set("len", len).invocations(len.div_ceil(EACH)), Some(*op))
}

pub(super) fn forward(op: &Activation, problem: &Problem) -> Result<Lowered> {
    let forward = dispatch("forward", op, problem).bind("x", Operand::Input(0)).bind("y", Operand::Output(0));
    Ok(Lowered::baseline(vec![forward]))
}

pub(super) fn grad(op: &ActivationGrad, problem: &Problem) -> Result<Lowered> {
    let grad = dispatch("grad", &op.0, problem)
        .bind("saved", Operand::Input(0))
        .bind("dy", Operand::Input(1))
        .bind("dx", Operand::Output(0));
    Ok(Lowered::baseline(vec![grad]))
}
