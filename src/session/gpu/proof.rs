//! A fast kernel is used on an adapter only after it has been right there. First in general: floor 7 asks its quick cases and
//! notes the proof on the device. Then for the shapes at hand: each distinct node of a plan runs once on random operands, and a
//! few hundred of its output elements are held against the float64 reference. A variant that fails is not used; the next one
//! takes its place, and the baseline needs no such leave.

use super::single::{Trial, run_node_with};
use crate::error::{Error, Result};
use crate::gpu::pipeline::Checks;
use crate::gpu::{Gpu, Policy, Trust};
use crate::kernels::{BASELINE, Lowered, Problem, lower, variants};
use crate::ops::random::random;
use crate::ops::{MaxPool2d, Op, Operator, fill};
use crate::session::Options;
use crate::tensor::{DType, Elements, Spec, Tensor};

/// Output elements that are looked at, fewer where each is a long sum.
const SPOTS: usize = 256;
/// Multiply-adds that a check may take on the host.
const MOST_TERMS: u64 = 20_000_000;
/// Allowed error of all spots together (relative L2) and of each (of the largest): a float32 kernel's.
const TOLERANCE: [f64; 2] = [1e-5, 1e-4];

/// The name under which a device notes what was proven of an operator's variant.
pub fn kernel_name(op: &str, variant: &str) -> String {
    format!("{op} {variant}")
}

/// The name under which a device notes which kernel is the fastest for a problem.
pub fn question(op: &Op, inputs: &[Spec]) -> String {
    format!("{op:?} {inputs:?}")
}

/// Whether a node's kernels keep wgpu's run-time checks: unless each of their very programs was proven without.
pub fn checks(gpu: &Gpu, lowered: &Lowered) -> Checks {
    let Trust { policy, checked } = gpu.trust();
    let proven = || lowered.dispatches.iter().all(|dispatch| gpu.runs_unchecked(&dispatch.module));
    if !checked && (policy == Policy::All || proven()) { Checks::Dropped } else { Checks::Kept }
}

/// The variants of a node in the order in which they are considered: what is tuned comes first, the guesses after it in their
/// order, and the baseline last, behind which there is nothing to look for.
pub(super) fn order(gpu: &Gpu, op: &Op, problem: &Problem) -> Vec<&'static str> {
    let mut order = variants(op, problem);
    let preferred = gpu.preference(&question(op, problem.inputs));
    order.sort_by_key(|variant| Some(*variant) != preferred);
    let last = order.iter().position(|variant| *variant == BASELINE).map_or(order.len(), |last| last + 1);
    order.truncate(last);
    order
}

/// Those of [`order`] that may run a node before its baseline does.
fn fast(gpu: &Gpu, op: &Op, problem: &Problem, options: Options) -> Vec<&'static str> {
    let mut order = order(gpu, op, problem);
    order.retain(|variant| *variant != BASELINE);
    if options.baseline || gpu.trust().policy == Policy::Baseline {
        order.clear();
    }
    order
}

/// The variant before the baseline on which it depends what runs a node, and of which nothing is known yet: none where the choice is
/// clear. Those behind the one that runs need no proof.
pub fn unproven(gpu: &Gpu, op: &Op, problem: &Problem, options: Options) -> Result<Option<&'static str>> {
    if gpu.trust().policy == Policy::All {
        return Ok(None);
    }
    for variant in fast(gpu, op, problem, options) {
        match gpu.proof(&kernel_name(op.name(), variant)) {
            None => return Ok(Some(variant)),
            Some(proof) if proof.right && serves(gpu, op, problem, variant)? => return Ok(None),
            Some(_) => {}
        }
    }
    Ok(None)
}

/// The variant that runs a node.
pub(super) fn choose(gpu: &Gpu, op: &Op, problem: &Problem, options: Options) -> Result<&'static str> {
    let policy = gpu.trust().policy;
    for variant in fast(gpu, op, problem, options) {
        let right = || gpu.proof(&kernel_name(op.name(), variant)).is_some_and(|proof| proof.right);
        if policy == Policy::All || right() && serves(gpu, op, problem, variant)? {
            return Ok(variant);
        }
    }
    let name = op.name();
    let wrong = gpu.proof(&kernel_name(name, BASELINE)).is_some_and(|proof| !proof.right);
    if wrong && !options.suspects && policy != Policy::All {
        return Err(Error::Device(format!(
            "every kernel of {name} is wrong on this adapter, the baseline too: `wgrad verify --op {name}` shows how, \
             another --device may be right, and --trust-all computes with it all the same"
        )));
    }
    Ok(BASELINE)
}

/// Whether a variant whose quick cases passed is right on the shapes at hand too: found out once.
fn serves(gpu: &Gpu, op: &Op, problem: &Problem, variant: &'static str) -> Result<bool> {
    let checks = checks(gpu, &lower(op, problem, variant)?);
    let question = format!("{op:?} {:?} {variant} {checks:?}", problem.inputs);
    let complain = |trouble: &str| tracing::warn!("the {variant} kernel of {} {trouble} and is not used", op.name());
    let found = gpu.remember(&question, || {
        let right = right(gpu, op, problem, variant, checks)?;
        if !right {
            complain("is wrong on this adapter");
        }
        Ok(right)
    });
    // What did not run once, for want of memory perhaps, may run the next time.
    found.or_else(|error| {
        // A device that is lost serves no variant at all.
        gpu.check()?;
        complain(&format!("does not run on this adapter ({error})"));
        Ok(false)
    })
}

/// Numbers in [−0.5, 0.5), and zeros for integers.
fn operand(spec: &Spec, seed: u32) -> Tensor {
    let elements = match spec.dtype {
        DType::F32 => Elements::Float(fill(spec.len(), |i| random(seed, 0, i as u32) as f32 / 4_294_967_296.0 - 0.5)),
        DType::U32 => Elements::U32(vec![0; spec.len()]),
        DType::U8 => Elements::U8(vec![0; spec.len()]),
    };
    Tensor::new(spec.shape.clone(), elements)
}

/// Operands for a node: numbers, and for a max pool's gradient places that such a pool could have found.
pub fn operands(op: &Op, problem: &Problem) -> Vec<Tensor> {
    let mut all: Vec<Tensor> = problem.inputs.iter().enumerate().map(|(i, spec)| operand(spec, i as u32 + 1)).collect();
    let found = match op {
        Op::MaxPool2dGrad(grad) => Some((1, grad.pool, grad.input)),
        Op::Conv2dGrad(grad) => grad.pool.map(|pool| (3, pool.pool, pool.input)),
        Op::Conv2dMaxPool2dGradWeight(grad) => {
            let x = &problem.inputs[0].shape;
            let input = grad.forward.between([x[1], x[2]], grad.kernel).ok();
            input.map(|input| (2, grad.forward.pool, input))
        }
        _ => None,
    };
    if let Some((place, pool, [h, w])) = found {
        let windows = problem.inputs[place].clone();
        let image = operand(&Spec::f32([windows.shape[0], h, w, windows.shape[3]]), 17);
        let outputs = [Spec::f32(windows.shape.clone()), windows];
        all[place] = MaxPool2d(pool).reference::<f32>(&[&image], &outputs).swap_remove(1);
    }
    all
}

fn right(gpu: &Gpu, op: &Op, problem: &Problem, variant: &'static str, checks: Checks) -> Result<bool> {
    let inputs = operands(op, problem);
    let got = run_node_with(gpu, op, &inputs, variant, &Trial { checks, ..Trial::default() })?;
    let wide: Vec<Tensor<f64>> = inputs.iter().map(Tensor::widen).collect();
    Ok(agrees(op, problem, &wide.iter().collect::<Vec<_>>(), &got))
}

/// Whether the outputs of an operator that answers single elements of them ([`Op::element`]) are right at a few hundred places
/// each.
pub fn agrees(op: &Op, problem: &Problem, inputs: &[&Tensor<f64>], got: &[Tensor]) -> bool {
    if let Some((op, read)) = op.with_image_read(inputs) {
        let (inputs, specs): (Vec<_>, Vec<_>) = read.iter().map(|tensor| (tensor, tensor.spec())).unzip();
        return agrees(&op, &Problem { inputs: &specs, ..*problem }, &inputs, got);
    }
    if let Op::Conv2dStatistics(op) = op {
        // Statistics follow from what was written.
        let [weight, bias] = [inputs[op.layer()], inputs[op.layer() + 1]];
        let wanted = op.statistics(&got[0].widen(), weight, bias);
        let right = got[1..].iter().zip(&wanted).all(|(got, want)| near(got.floats(), want.floats()));
        return right && output_agrees(&(*op).into(), problem, inputs, 0, got[0].floats());
    }
    if let Op::LinearCrossEntropyGrad(_) | Op::MlpCrossEntropyGrad(_) = op {
        // Of many results, which need each other: computed once, all are at hand.
        let wanted = op.reference(inputs, problem.outputs);
        let pairs = got.iter().zip(&wanted);
        return wanted.len() == got.len() && pairs.clone().all(|(got, want)| near(got.floats(), want.floats()));
    }
    let known = |output: &usize| *output == 0 || op.element(inputs, problem.outputs, (*output, 0)).is_some();
    (0..got.len()).filter(known).all(|output| output_agrees(op, problem, inputs, output, got[output].floats()))
}

fn output_agrees(op: &Op, problem: &Problem, inputs: &[&Tensor<f64>], output: usize, got: &[f32]) -> bool {
    use rayon::prelude::*;
    let len = got.len();
    let terms = (op.flops(problem.inputs, problem.outputs) / 2 / len.max(1) as u64).max(1);
    let spots = ((MOST_TERMS / terms) as usize).clamp(16, SPOTS).min(len);
    let index = |spot: usize| match spot {
        0 => 0,
        1 => len - 1,
        spot => random(7, 0, spot as u32) as usize % len,
    };
    let wanted = (0..spots).into_par_iter().map(|spot| op.element(inputs, problem.outputs, (output, index(spot))));
    let Some(wanted) = wanted.collect::<Option<Vec<f64>>>() else { return false };
    let found: Vec<f32> = (0..spots).map(|spot| got[index(spot)]).collect();
    near(&found, &wanted)
}

/// Whether numbers are as near to those that are wanted as a float32 kernel's must be.
fn near(got: &[f32], wanted: &[f64]) -> bool {
    let (mut error, mut norm, mut worst, mut largest) = (0.0, 0.0, 0.0f64, 0.0f64);
    for (&got, &want) in got.iter().zip(wanted) {
        let off = f64::from(got) - want;
        // A NaN stays in the sum, and a sum that is NaN passes no comparison.
        error += off * off;
        norm += want * want;
        worst = worst.max(off.abs());
        largest = largest.max(want.abs());
    }
    (error / norm.max(f64::MIN_POSITIVE)).sqrt() <= TOLERANCE[0] && worst <= TOLERANCE[1] * largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Caps;
    use crate::ops::Conv2d;

    #[test]
    fn a_kernel_that_is_slightly_off_is_found_out() {
        let op = Op::from(Conv2d { padding: [1; 4], ..Conv2d::default() });
        let specs = [Spec::f32([2, 9, 7, 5]), Spec::f32([3, 3, 5, 6])];
        let outputs = op.infer(&specs).unwrap();
        let problem = Problem { inputs: &specs, outputs: &outputs, caps: &Caps::DEFAULT };
        let wide: Vec<_> = specs.iter().map(|spec| operand(spec, 3).widen()).collect();
        let inputs: Vec<_> = wide.iter().collect();
        let agrees = |op: &Op, problem: &Problem, inputs: &[&Tensor<f64>], got: &[f32]| {
            agrees(op, problem, inputs, &[Tensor::float(outputs[0].shape.clone(), got.to_vec())])
        };
        let right: Vec<f32> = op.reference(&inputs, &outputs)[0].floats().iter().map(|&y| y as f32).collect();
        assert!(agrees(&op, &problem, &inputs, &right));
        let scaled: Vec<f32> = right.iter().map(|y| y * 1.0001).collect();
        assert!(!agrees(&op, &problem, &inputs, &scaled));
        for index in [0, right.len() - 1] {
            let mut holed = right.clone();
            holed[index] = f32::NAN;
            assert!(!agrees(&op, &problem, &inputs, &holed));
        }
        let shifted: Vec<f32> = right[1..].iter().chain(&right[..1]).copied().collect();
        assert!(!agrees(&op, &problem, &inputs, &shifted));
    }
}
