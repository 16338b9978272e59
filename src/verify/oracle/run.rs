//! Running a case, one operator at a time.

use super::OracleCase;
use super::mapping::{Application, application, from_pytorch, optimizer, shape_inside, shape_outside, to_pytorch};
use crate::error::Result;
use crate::ops::{BatchNorm2d, ClipGradNorm, ClipValue, GradNorm, Op, Operator, Real, RunningStats, Source, control};
use crate::tensor::{Spec, Tensor};

/// Executes one operator on operands in this crate's layout: the reference ([`Op::evaluate`]), or a device.
pub type Execute<'a, T> = dyn FnMut(&Op, &[&Tensor<T>]) -> Result<Vec<Tensor<T>>> + 'a;

/// Names with tensors in PyTorch's layout.
type Named<T> = Vec<(String, Tensor<T>)>;

/// Runs a case and answers everything it computed by the name under which the case may want it, in PyTorch's layout
/// (see [`OracleCase::check`]). Gradients come from the operators' gradient rules. A case whose operator this crate
/// does not know is an error; so are learning-rate schedules and whole trainings, which are no operators.
pub fn run_case<T: Real>(case: &OracleCase, execute: &mut Execute<'_, T>) -> Result<Named<T>> {
    match case.op.as_str() {
        "sgd" | "adam" | "adamw" | "rmsprop" => run_optimizer(case, execute),
        "clip_grad_norm" => run_clip_norm(case, execute),
        "clip_grad_value" => run_clip_value(case, execute),
        _ => run_differentiable(case, execute),
    }
}

fn control_at<T>(step: u32) -> Tensor<T> {
    let mut words = vec![0; control::LEN];
    words[control::STEP] = step;
    Tensor::u32([control::LEN], words)
}

/// The forward operator, then every backward operator of its gradient rule.
fn run_differentiable<T: Real>(case: &OracleCase, execute: &mut Execute<'_, T>) -> Result<Named<T>> {
    let application = application(case)?;
    let mut inputs = Vec::new();
    for name in &application.operands {
        inputs.push(from_pytorch::<T>(name, case.input(name)?));
    }
    let operands: Vec<&Tensor<T>> = inputs.iter().collect();
    let specs: Vec<Spec> = inputs.iter().map(Tensor::spec).collect();
    expect_answers(case, &application, &specs)?;
    let outputs = execute(&application.op, &operands)?;
    let y = outputs.first().ok_or_else(|| case.error("the operator answered nothing"))?;
    let mut got = vec![("y".to_owned(), to_pytorch("y", y))];
    let upstream = match case.inputs.get("grad_y") {
        Some(grad) => from_pytorch("y", grad),
        None => Tensor::float([1], vec![T::one()]),
    };
    for node in application.op.gradient(&specs) {
        let operand = |source: &Source| match *source {
            Source::Input(number) => inputs.get(number),
            Source::Output(number) => outputs.get(number),
            Source::Upstream(number) => (number == 0).then_some(&upstream),
        };
        let operands: Option<Vec<&Tensor<T>>> = node.operands.iter().map(operand).collect();
        let operands = operands.ok_or_else(|| case.error("the gradient rule asks for a value that there is not"))?;
        let gradients = execute(&node.op, &operands)?;
        for (gradient, &input) in gradients.iter().zip(&node.gives) {
            let name = application.operands[input];
            got.push((format!("grad_{name}"), to_pytorch(name, gradient)));
        }
    }
    got.extend(running_statistics(case, &application.op, &outputs, execute)?);
    Ok(got)
}

/// Refuses a case before anything is computed whose answers are not those of its operator: `y` and the gradient of every input,
/// in the shape that the operator gives. What it gives may be too large for any memory, so it is not made to find out.
fn expect_answers(case: &OracleCase, application: &Application, inputs: &[Spec]) -> Result<()> {
    let outputs = application.op.infer(inputs)?;
    case.expect_wants(["y"])?;
    let gives = application.op.gradient(inputs).into_iter().flat_map(|node| node.gives);
    let names: Vec<String> = gives.map(|input| format!("grad_{}", application.operands[input])).collect();
    // The target of a loss is data, whose gradient a case may want.
    case.expect_wants(names.iter().map(String::as_str).filter(|name| *name != "grad_target"))?;
    if matches!(application.op, Op::BatchNorm2d(_)) {
        case.expect_wants(["running_mean", "running_var"])?;
    }
    let output = outputs.first().map(|spec| spec.shape.as_slice()).unwrap_or_default();
    let loss = matches!(application.op, Op::SoftmaxCrossEntropy(_) | Op::MseLoss(_));
    if !loss && !case.inputs.contains_key("grad_y") {
        return Err(case.error("has no `grad_y`, the gradient that arrives at y"));
    }
    for (name, tensor) in [("grad_y", case.inputs.get("grad_y")), ("want.y", case.wants.get("y"))] {
        let Some(tensor) = tensor else { continue };
        let shape = shape_inside("y", &tensor.shape);
        if shape != output && !(loss && tensor.len() == 1) {
            let given = shape_outside("y", output);
            return Err(case.error(format!(
                "`{name}` has shape {:?}, and the operator gives y the shape {given:?}",
                tensor.shape
            )));
        }
    }
    Ok(())
}

/// The running statistics after a step of batch normalisation; in evaluation they stay what they were.
fn running_statistics<T: Real>(
    case: &OracleCase,
    op: &Op,
    outputs: &[Tensor<T>],
    execute: &mut Execute<'_, T>,
) -> Result<Named<T>> {
    if case.op != "batch_norm2d" {
        return Ok(Vec::new());
    }
    let names = ["running_mean", "running_var"];
    let mut running = Vec::new();
    for name in names {
        running.push(from_pytorch::<T>(name, case.input(name)?));
    }
    if let (Op::BatchNorm2d(BatchNorm2d { .. }), [_, mean, _, var]) = (op, outputs) {
        let update = RunningStats { momentum: case.number("momentum")? };
        running = execute(&update.into(), &[&running[0], &running[1], mean, var, &control_at(0)])?;
    }
    Ok(names.map(str::to_owned).into_iter().zip(running).collect())
}

/// All steps of an optimiser on one flat parameter.
fn run_optimizer<T: Real>(case: &OracleCase, execute: &mut Execute<'_, T>) -> Result<Named<T>> {
    case.expect_wants(["params"])?;
    let (optimizer, lr) = optimizer(case)?;
    let (start, grads) = (case.input("param")?, case.input("grads")?);
    let (len, steps) = (start.len(), grads.shape.first().copied().unwrap_or(0));
    if len == 0 || grads.shape.get(1..) != Some(&start.shape) {
        let shapes = format!("{:?} where `param` has {:?}", grads.shape, start.shape);
        return Err(
            case.error(format!("`grads` must hold steps of the parameter's shape, which is not empty; got {shapes}"))
        );
    }
    let flat = |values: &[f64]| Tensor::float([len], values.iter().map(|&value| T::of(value)).collect());
    let rates: Vec<T> = (1..=steps as u64).flat_map(|t| optimizer.rates(lr, t)).map(T::of).collect();
    let rates = Tensor::float([steps, rates.len() / steps.max(1)], rates);
    let mut state = vec![flat(start.floats())];
    state.resize_with(1 + optimizer.moments(), || Tensor::float([len], vec![T::zero(); len]));
    let mut params = Vec::with_capacity(grads.len());
    for (step, grad) in grads.floats().chunks(len).enumerate() {
        let (grad, control) = (flat(grad), control_at(step as u32));
        let mut operands = vec![&state[0], &grad, &rates, &control];
        operands.extend(&state[1..]);
        state = execute(&optimizer.into(), &operands)?;
        params.extend_from_slice(state[0].floats());
    }
    Ok(vec![("params".to_owned(), Tensor::float(grads.shape.clone(), params))])
}

/// The case's gradients: inputs whose names begin with `grad_`.
fn gradients(case: &OracleCase) -> impl Iterator<Item = (&String, &Tensor<f64>)> {
    case.inputs.iter().filter(|(name, _)| name.starts_with("grad_"))
}

/// Refuses a case of clipping that has nothing to clip, or leaves out what becomes of it.
fn expect_clipped(case: &OracleCase) -> Result<()> {
    if gradients(case).next().is_none() {
        return Err(case.error("has no input whose name begins with `grad_`"));
    }
    case.expect_wants(gradients(case).map(|(name, _)| name.as_str()))
}

/// All gradients as one flat buffer, its norm, the clipped buffer, and the parts of it.
fn run_clip_norm<T: Real>(case: &OracleCase, execute: &mut Execute<'_, T>) -> Result<Named<T>> {
    expect_clipped(case)?;
    case.expect_wants(["norm"])?;
    let all: Vec<T> = gradients(case).flat_map(|(_, grad)| grad.floats()).map(|&value| T::of(value)).collect();
    let grad = Tensor::float([all.len()], all);
    let norm = execute(&GradNorm.into(), &[&grad])?;
    let clip = ClipGradNorm { max_norm: case.number("max_norm")? };
    let clipped = execute(&clip.into(), &[&grad, &norm[0]])?;
    let mut rest = clipped[0].floats();
    let mut got = vec![("norm".to_owned(), Tensor::float([1], vec![norm[0].floats()[0]]))];
    for (name, grad) in gradients(case) {
        let (part, after) = rest.split_at(grad.len());
        got.push((name.clone(), Tensor::float(grad.shape.clone(), part.to_vec())));
        rest = after;
    }
    Ok(got)
}

fn run_clip_value<T: Real>(case: &OracleCase, execute: &mut Execute<'_, T>) -> Result<Named<T>> {
    let clip = Op::from(ClipValue { limit: case.number("clip")? });
    expect_clipped(case)?;
    let mut got = Vec::new();
    for (name, grad) in gradients(case) {
        let values = grad.floats().iter().map(|&value| T::of(value)).collect();
        let clipped = execute(&clip, &[&Tensor::float([grad.len()], values), &control_at(0)])?;
        got.push((name.clone(), Tensor::float(grad.shape.clone(), clipped[0].floats().to_vec())));
    }
    Ok(got)
}
