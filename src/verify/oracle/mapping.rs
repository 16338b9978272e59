//! How a case's operator, attributes and layout are called in this crate.

use super::OracleCase;
use crate::error::Result;
use crate::ops::*;
use crate::tensor::{Elements, Tensor};

/// An operator with the names of its operands.
pub(super) struct Application {
    pub op: Op,
    pub operands: Vec<&'static str>,
}

/// Where axis `axis` of a tensor of this rank lies in this crate's layout: the axes of images are N, H, W, C here.
fn axis_inside(axis: usize, rank: usize) -> usize {
    match (rank, axis) {
        (4, 1) => 3,
        (4, 2 | 3) => axis - 1,
        _ => axis,
    }
}

/// The order in which the axes of a rank-4 tensor of PyTorch's appear inside: of a convolution's weight (by its name)
/// O, I, H, W becomes H, W, I, O; of an image N, C, H, W becomes N, H, W, C.
fn order(name: &str) -> [usize; 4] {
    if name.ends_with("weight") { [2, 3, 1, 0] } else { [0, 2, 3, 1] }
}

/// Moves axis `order[i]` of a rank-4 tensor to place i.
fn permute<E: std::marker::Copy>(shape: &[usize], elements: &[E], order: [usize; 4]) -> (Vec<usize>, Vec<E>) {
    let strides = [shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1];
    let (sizes, steps) = (order.map(|axis| shape[axis]), order.map(|axis| strides[axis]));
    let mut moved = Vec::with_capacity(elements.len());
    for a in 0..sizes[0] {
        for b in 0..sizes[1] {
            for c in 0..sizes[2] {
                moved
                    .extend((0..sizes[3]).map(|d| elements[a * steps[0] + b * steps[1] + c * steps[2] + d * steps[3]]));
            }
        }
    }
    (sizes.to_vec(), moved)
}

/// A shape of PyTorch's as it is inside.
pub(super) fn shape_inside(name: &str, shape: &[usize]) -> Vec<usize> {
    match <[usize; 4]>::try_from(shape) {
        Ok(shape) => order(name).map(|axis| shape[axis]).to_vec(),
        Err(_) => shape.to_vec(),
    }
}

/// A shape of this crate as it is in PyTorch.
pub(super) fn shape_outside(name: &str, shape: &[usize]) -> Vec<usize> {
    match <[usize; 4]>::try_from(shape) {
        Ok(shape) => inverse(order(name)).map(|axis| shape[axis]).to_vec(),
        Err(_) => shape.to_vec(),
    }
}

/// The order that undoes another.
fn inverse(order: [usize; 4]) -> [usize; 4] {
    [0, 1, 2, 3].map(|axis| order.iter().position(|&from| from == axis).unwrap_or(axis))
}

/// A tensor of PyTorch's in this crate's layout and float type. Tensors of another rank than 4 stay as they are.
pub fn from_pytorch<T: Real>(name: &str, tensor: &Tensor<f64>) -> Tensor<T> {
    let rearranged = tensor.shape.len() == 4;
    let shape = || tensor.shape.clone();
    match &tensor.elements {
        Elements::Float(values) => {
            let values: Vec<T> = values.iter().map(|&value| T::of(value)).collect();
            if !rearranged {
                return Tensor::float(shape(), values);
            }
            let (shape, values) = permute(&tensor.shape, &values, order(name));
            Tensor::float(shape, values)
        }
        Elements::U32(values) => Tensor::u32(shape(), values.clone()),
        Elements::U8(values) if rearranged => {
            let (shape, values) = permute(&tensor.shape, values, order(name));
            Tensor::u8(shape, values)
        }
        Elements::U8(values) => Tensor::u8(shape(), values.clone()),
    }
}

/// A float tensor of this crate in PyTorch's layout.
pub fn to_pytorch<T: Real>(name: &str, tensor: &Tensor<T>) -> Tensor<T> {
    if tensor.shape.len() != 4 {
        return tensor.clone();
    }
    let (shape, values) = permute(&tensor.shape, tensor.floats(), inverse(order(name)));
    Tensor::float(shape, values)
}

/// The forward operator of a differentiable case.
pub(super) fn application(case: &OracleCase) -> Result<Application> {
    let number = |key| case.number(key);
    let axis = |input: &str| {
        let rank = case.input(input)?.shape.len();
        let axis = case.attr("axis")?.as_i64().map(|axis| if axis < 0 { axis + rank as i64 } else { axis });
        let axis = axis.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
        let axis = axis.ok_or_else(|| case.error(format!("`axis` must be a whole number for rank {rank}")))?;
        Ok(axis_inside(axis, rank))
    };
    let eps = || number("eps");
    let norm = vec!["x", "weight", "bias"];
    let mut weighted = vec!["x", "weight"];
    if case.inputs.contains_key("bias") {
        weighted.push("bias");
    }
    if let ("add" | "mul", Some(a), Some(b)) = (case.op.as_str(), case.inputs.get("a"), case.inputs.get("b"))
        && a.shape != b.shape
    {
        let shapes = format!("`a` has shape {:?} and `b` {:?}", a.shape, b.shape);
        return Err(case.error(format!("{shapes}: this crate's {} does not broadcast", case.op)));
    }
    let (op, operands): (Op, Vec<&'static str>) = match case.op.as_str() {
        "conv2d" => (conv2d(case)?.into(), weighted),
        "linear" => (Linear.into(), weighted),
        "max_pool2d" => (MaxPool2d(pool2d(case)?).into(), vec!["x"]),
        "avg_pool2d" => {
            let count_include_pad = case.flag("count_include_pad")?;
            (AvgPool2d { pool: pool2d(case)?, count_include_pad }.into(), vec!["x"])
        }
        "global_avg_pool2d" => (GlobalAvgPool2d.into(), vec!["x"]),
        "softmax" => (Softmax { axis: axis("x")? }.into(), vec!["x"]),
        "log_softmax" => (LogSoftmax { axis: axis("x")? }.into(), vec!["x"]),
        "batch_norm2d" if case.flag("training")? => (BatchNorm2d { eps: eps()? }.into(), norm),
        "batch_norm2d" => {
            let operands = vec!["x", "weight", "bias", "running_mean", "running_var"];
            (BatchNorm2dEval { eps: eps()? }.into(), operands)
        }
        "group_norm" => (GroupNorm { groups: case.size("groups")?, eps: eps()? }.into(), norm),
        "layer_norm" => (LayerNorm { eps: eps()? }.into(), norm),
        "add" => (Add.into(), vec!["a", "b"]),
        "mul" => (Mul.into(), vec!["a", "b"]),
        "concat" => (Concat { axis: axis("a")? }.into(), vec!["a", "b"]),
        "softmax_cross_entropy" => {
            let label_smoothing = number("label_smoothing")?;
            (SoftmaxCrossEntropy { label_smoothing }.into(), vec!["logits", "labels"])
        }
        "mse_loss" => (MseLoss.into(), vec!["x", "target"]),
        _ => (activation(case)?.into(), vec!["x"]),
    };
    Ok(Application { op, operands })
}

fn conv2d(case: &OracleCase) -> Result<Conv2d> {
    Ok(Conv2d {
        stride: case.sizes("stride")?,
        padding: case.sizes("padding")?,
        dilation: case.sizes("dilation")?,
        groups: case.size("groups")?,
    })
}

fn pool2d(case: &OracleCase) -> Result<Pool2d> {
    Ok(Pool2d {
        kernel: case.sizes("kernel")?,
        stride: case.sizes("stride")?,
        padding: case.sizes("padding")?,
        ceil_mode: case.flag("ceil_mode")?,
    })
}

fn activation(case: &OracleCase) -> Result<Activation> {
    Ok(match case.op.as_str() {
        "relu" => Activation::Relu,
        "leaky_relu" => Activation::LeakyRelu { slope: case.number("slope")? },
        "elu" => Activation::Elu { alpha: case.number("alpha")? },
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        "silu" => Activation::Silu,
        "gelu" => match case.attr("approximate")?.as_str() {
            Some("none") => Activation::Gelu,
            Some("tanh") => Activation::GeluTanh,
            _ => return Err(case.error("`approximate` must be none or tanh")),
        },
        "softplus" => Activation::Softplus,
        "hard_swish" => Activation::HardSwish,
        _ => return Err(case.error("this crate knows no operator of that name")),
    })
}

/// The optimiser of a case and its learning rate.
pub(super) fn optimizer(case: &OracleCase) -> Result<(Optimizer, f64)> {
    let number = |key| case.number_or_zero(key);
    let weight_decay = number("weight_decay")?;
    let optimizer = match case.op.as_str() {
        "sgd" => {
            Optimizer::Sgd { momentum: number("momentum")?, nesterov: case.flag_or_false("nesterov")?, weight_decay }
        }
        "rmsprop" => Optimizer::RmsProp {
            alpha: number("alpha")?,
            eps: number("eps")?,
            momentum: number("momentum")?,
            weight_decay,
        },
        name => {
            let [beta1, beta2] = case.numbers("betas")?;
            let eps = number("eps")?;
            if name == "adamw" {
                Optimizer::AdamW { beta1, beta2, eps, weight_decay }
            } else {
                Optimizer::Adam { beta1, beta2, eps, weight_decay }
            }
        }
    };
    Ok((optimizer, case.number("lr")?))
}
