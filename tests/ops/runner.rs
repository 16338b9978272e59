//! The one runner: random inputs, the float64 reference, every variant on the adapter with poisoned outputs, twice.

use std::fmt::Write as _;

use wgrad::gpu::Gpu;
use wgrad::kernels::{Problem, variants};
use wgrad::ops::{Op, Operator, random};
use wgrad::session::gpu::run_node;
use wgrad::tensor::{Elements, Spec, Tensor};

/// Largest relative L2 error of an output.
const RELATIVE: f64 = 1e-5;
/// Largest error of an element, as a share of the output's largest element.
const OF_LARGEST: f64 = 1e-4;
/// Outputs whose largest element is below this are rounding errors of the float64 reference; any such number will do.
const ROUNDING: f64 = 1e-12;
/// Mismatches that a report spells out.
const SHOWN: usize = 4;

/// One row of a table: an operator with its operands.
pub struct Case {
    name: String,
    op: Op,
    inputs: Vec<Tensor>,
}

/// A case, named by what is special about it.
pub fn case(name: impl Into<String>, op: impl Into<Op>, inputs: Vec<Tensor>) -> Case {
    Case { name: name.into(), op: op.into(), inputs }
}

pub use crate::adapter::adapter as gpu;

/// Runs a table; reports all that is wrong and fails once.
pub fn check(cases: Vec<Case>) {
    let Some(gpu) = gpu() else { return };
    let reports: Vec<String> = cases.iter().flat_map(|case| check_case(&gpu, case)).collect();
    assert!(reports.is_empty(), "{} of {} cases are wrong\n{}", reports.len(), cases.len(), reports.join("\n"));
}

fn check_case(gpu: &Gpu, case: &Case) -> Vec<String> {
    let title = format!("{} / {}", case.op.name(), case.name);
    let wide: Vec<Tensor<f64>> = case.inputs.iter().map(widen).collect();
    let wanted = case.op.evaluate(&wide.iter().collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{title}: {e}"));
    let inputs: Vec<Spec> = case.inputs.iter().map(Tensor::spec).collect();
    let outputs: Vec<Spec> = wanted.iter().map(Tensor::spec).collect();
    let problem = Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() };
    let mut reports = Vec::new();
    for variant in variants(&case.op, &problem) {
        let title = format!("{title} / {variant}");
        let run = || run_node(gpu, &case.op, &case.inputs, variant).unwrap_or_else(|e| panic!("{title}: {e}"));
        let (first, second) = (run(), run());
        if first.len() != wanted.len() {
            reports.push(format!("{title}: {} outputs, wanted {}", first.len(), wanted.len()));
        }
        for (number, ((got, again), wanted)) in first.iter().zip(&second).zip(&wanted).enumerate() {
            let title = format!("{title} / output {number}");
            if bits(got) != bits(again) {
                reports.push(format!("{title}: two runs gave different bits"));
            }
            reports.extend(compare(&title, got, wanted));
        }
    }
    reports
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    match &tensor.elements {
        Elements::Float(data) => data.iter().map(|value| value.to_bits()).collect(),
        Elements::U32(data) => data.clone(),
        Elements::U8(data) => data.iter().map(|&byte| byte.into()).collect(),
    }
}

/// What is wrong with `got`, told as a story.
fn compare(title: &str, got: &Tensor, wanted: &Tensor<f64>) -> Option<String> {
    if got.spec() != wanted.spec() {
        return Some(format!("{title}: got {:?}, wanted {:?}", got.spec(), wanted.spec()));
    }
    let shape = got.shape.clone();
    let (got, wanted, limit) = match (&got.elements, &wanted.elements) {
        (Elements::Float(got), Elements::Float(wanted)) => {
            let largest = wanted.iter().filter(|w| w.is_finite()).fold(ROUNDING, |max, w| max.max(w.abs()));
            (got.iter().map(|&g| f64::from(g)).collect(), wanted.clone(), OF_LARGEST * largest)
        }
        (Elements::U32(got), Elements::U32(wanted)) => (as_f64(got), as_f64(wanted), 0.0),
        _ => return Some(format!("{title}: the element type is not covered")),
    };
    report(title, &shape, &got, &wanted, limit)
}

fn as_f64(integers: &[u32]) -> Vec<f64> {
    integers.iter().map(|&value| value.into()).collect()
}

fn report(title: &str, shape: &[usize], got: &[f64], wanted: &[f64], limit: f64) -> Option<String> {
    let error = |i: usize| if wanted[i] == got[i] { 0.0 } else { (got[i] - wanted[i]).abs() };
    let wrong = |i: &usize| match wanted[*i].is_nan() {
        true => !got[*i].is_nan(),
        false => error(*i) > limit || error(*i).is_nan(),
    };
    let finite = || (0..got.len()).filter(|&i| wanted[i].is_finite());
    let norm = finite().map(|i| wanted[i] * wanted[i]).sum::<f64>().sqrt();
    let relative = finite().map(|i| error(i) * error(i)).sum::<f64>().sqrt() / norm.max(ROUNDING);
    let mut places: Vec<usize> = (0..got.len()).filter(wrong).collect();
    let count = places.len();
    if count == 0 && relative <= RELATIVE {
        return None;
    }
    if count == 0 {
        places = finite().collect();
        places.sort_by(|&a, &b| error(b).total_cmp(&error(a)));
    }
    let mut story = format!("{title}: {count} of {} elements off, relative L2 {relative:.1e}", got.len());
    for &i in places.iter().take(SHOWN) {
        let _ = write!(story, "\n    {:?}: got {:e}, wanted {:e}", unravel(i, shape), got[i], wanted[i]);
    }
    Some(story)
}

fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (at, &size) in place.iter_mut().zip(shape).rev() {
        *at = index % size;
        index /= size;
    }
    place
}

/// Widened to the verifying float type.
pub fn widen(tensor: &Tensor) -> Tensor<f64> {
    let elements = match &tensor.elements {
        Elements::Float(data) => Elements::Float(data.iter().map(|&value| value.into()).collect()),
        Elements::U32(data) => Elements::U32(data.clone()),
        Elements::U8(data) => Elements::U8(data.clone()),
    };
    Tensor::new(tensor.shape.clone(), elements)
}

fn narrow(tensor: Tensor<f64>) -> Tensor {
    let elements = match tensor.elements {
        Elements::Float(data) => Elements::Float(data.into_iter().map(|value| value as f32).collect()),
        Elements::U32(data) => Elements::U32(data),
        Elements::U8(data) => Elements::U8(data),
    };
    Tensor::new(tensor.shape, elements)
}

/// The reference's outputs, rounded to f32: saved values for backward operators.
pub fn outputs_of(op: impl Into<Op>, inputs: &[Tensor]) -> Vec<Tensor> {
    let wide: Vec<Tensor<f64>> = inputs.iter().map(widen).collect();
    op.into().evaluate(&wide.iter().collect::<Vec<_>>()).unwrap().into_iter().map(narrow).collect()
}

/// Uniform random floats in `low..high`, the same on every run.
pub fn floats(seed: u32, shape: impl Into<Vec<usize>>, low: f32, high: f32) -> Tensor {
    let shape = shape.into();
    let unit = |i: usize| f64::from(random::random(seed, 0, i as u32)) / f64::from(u32::MAX);
    let value = |i: usize| (f64::from(low) + unit(i) * f64::from(high - low)) as f32;
    Tensor::float(shape.clone(), (0..shape.iter().product()).map(value).collect())
}

/// Uniform random floats in -1..1.
pub fn noise(seed: u32, shape: impl Into<Vec<usize>>) -> Tensor {
    floats(seed, shape, -1.0, 1.0)
}

/// Random integers below `below`.
pub fn integers(seed: u32, shape: impl Into<Vec<usize>>, below: u32) -> Tensor {
    let shape = shape.into();
    let data = (0..shape.iter().product::<usize>()).map(|i| random::random(seed, 0, i as u32) % below);
    Tensor::u32(shape.clone(), data.collect())
}

/// A control value.
pub fn control(step: u32, flag: u32) -> Tensor {
    Tensor::u32([4], vec![step, flag, 0, 0])
}
