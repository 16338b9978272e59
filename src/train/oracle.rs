//! Oracle cases of every kind, operators, schedules, whole trainings and curves of losses, through the references and through a device.
//!
//! Here and not in [`crate::verify`], since a training case runs the graph that `train` runs.

mod curve;
mod training;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::schedule::Schedule;
use crate::error::{Error, Result};
use crate::kernels::{BASELINE, Problem, known, variants};
use crate::ops::{Conv2d, Op, Operator};
use crate::session::gpu::run_node;
use crate::session::{Device, Options};
use crate::tensor::{Spec, Tensor};
use crate::verify::compare::{Difference, FLOAT32, REFERENCE, Tolerance};
use crate::verify::oracle::{OracleCase, run_case};
use crate::verify::trial::{Outcome, Verdict};
use crate::verify::trust;

use curve::Curve;
use training::{Machine, Training};

/// The name of the float64 reference among the variants.
const FLOAT64: &str = "reference_f64";
/// The name of the reference in the float32 of the CPU session.
const FLOAT32_CPU: &str = "reference_f32";

/// The kernels that training prefers, on a few images at a time.
const MICRO_BATCHES: &str = "micro_batches";
/// The way of a training whose graph every pass has changed, with the kernels of a GPU.
const FUSED: &str = "fused";
/// How many: of the 16 images of a case they make parts of 5, 5 and 6.
const IMAGES: usize = 6;

/// Marks the answer of a variant that does not serve a case.
const NOT_SERVED: &str = "not served";

/// Every tensor that a case wants, with how far what was computed is off.
type Differences = Vec<(String, Difference)>;

/// Answers one case with the float64 reference and with everything that the device has: each variant of the operator, or
/// for a training its preferred and its baseline kernels; or with one of these alone. A case that cannot be answered has
/// failed, whatever was asked for.
pub fn ask(device: &Device, case: &OracleCase, variant: Option<&str>) -> Vec<Outcome> {
    let answered = |name, tolerance| {
        // What a case holds is not all checked beforehand: tensors of impossible shapes end in the operators.
        let answer = catch_unwind(AssertUnwindSafe(|| answer(device, case, name)));
        let problem = "its tensors do not fit each other or the operator";
        outcome(case, name, tolerance, answer.unwrap_or_else(|_| Err(unknown(case, problem.into()))))
    };
    let all = ways(device, case);
    let wanted: Vec<_> = all.iter().filter(|(name, _)| variant.is_none_or(|only| only == *name)).collect();
    if !wanted.is_empty() {
        return wanted.into_iter().map(|&(name, tolerance)| answered(name, tolerance)).collect();
    }
    let reference = answered(FLOAT64, REFERENCE);
    if reference.verdict == Verdict::Failed {
        return vec![reference];
    }
    let why = format!("{} has no variant of this name here", case.op);
    vec![Outcome {
        verdict: Verdict::NotRun,
        variant: variant.unwrap_or_default().into(),
        worst: None,
        story: Some(why),
        ..reference
    }]
}

/// What is said of a file that is no readable case: it has failed, since it was to prove something.
pub fn unreadable(name: &str, error: &Error) -> Outcome {
    let nothing = OracleCase {
        name: name.to_owned(),
        op: "unreadable".into(),
        attrs: serde_json::Map::new(),
        inputs: BTreeMap::new(),
        wants: BTreeMap::new(),
    };
    outcome(&nothing, FLOAT64, REFERENCE, Err(Error::Invalid(error.to_string())))
}

/// The ways in which a case is answered, with their tolerances.
fn ways(device: &Device, case: &OracleCase) -> Vec<(&'static str, Tolerance)> {
    let mut ways = vec![(FLOAT64, REFERENCE)];
    match (device, case.op.as_str()) {
        (_, "lr_schedule") => {}
        (Device::Gpu(_), "curve") => ways.push(("preferred", FLOAT32)),
        (Device::Cpu(_), "training") => {
            ways.extend([(FLOAT32_CPU, FLOAT32), (MICRO_BATCHES, FLOAT32), (FUSED, FLOAT32)])
        }
        (Device::Cpu(_), _) => ways.push((FLOAT32_CPU, FLOAT32)),
        (Device::Gpu(_), "training") => {
            ways.extend([("preferred", FLOAT32), (BASELINE, FLOAT32), (MICRO_BATCHES, FLOAT32), (FUSED, FLOAT32)]);
        }
        (Device::Gpu(gpu), "conv2d" | "linear") => {
            let fits = known(&Op::from(Conv2d::default())).iter().filter(|v| v.limits.refuse(gpu.caps()).is_none());
            ways.extend(fits.map(|variant| (variant.name, FLOAT32)));
        }
        (Device::Gpu(_), _) => ways.push((BASELINE, FLOAT32)),
    }
    ways
}

fn outcome(case: &OracleCase, variant: &str, tolerance: Tolerance, answer: Result<Differences>) -> Outcome {
    let mut outcome = Outcome {
        operator: case.op.clone(),
        direction: "all".into(),
        variant: variant.to_owned(),
        case: case.name.clone(),
        verdict: Verdict::Passed,
        worst: None,
        tolerance,
        story: None,
        evidence: None,
    };
    match answer {
        Err(Error::Shape { op, problem }) if op == NOT_SERVED => {
            outcome.verdict = Verdict::NotRun;
            outcome.story = Some(problem);
        }
        Err(error) => {
            outcome.verdict = Verdict::Failed;
            outcome.story = Some(error.to_string());
        }
        Ok(differences) => {
            let wrong: Vec<String> = differences
                .iter()
                .filter(|(_, difference)| !difference.passes())
                .map(|(name, difference)| format!("{name}: {difference}"))
                .collect();
            if differences.is_empty() || !wrong.is_empty() {
                outcome.verdict = Verdict::Failed;
                outcome.story = Some(if wrong.is_empty() { "it wants nothing".into() } else { wrong.join("\n") });
            }
            let strict = differences.into_iter().map(|(_, difference)| difference);
            let strict = strict.filter(|difference| difference.tolerance == tolerance || !difference.passes());
            outcome.worst = strict.max_by(|a, b| a.relative_l2.total_cmp(&b.relative_l2));
        }
    }
    outcome
}

fn answer(device: &Device, case: &OracleCase, way: &'static str) -> Result<Differences> {
    match (case.op.as_str(), device, way) {
        ("lr_schedule", _, _) => schedule(case),
        ("curve", _, FLOAT64) => Curve::read(case)?.begins(&mut |graph| Ok(Machine::wide(graph))),
        ("curve", device, _) => Curve::read(case)?.follows(&mut |graph| {
            Ok(Machine::Narrow(trust::session(device, vec![graph], Options { suspects: true, ..Options::default() })?))
        }),
        ("training", _, FLOAT64) => Training::read(case)?.check(&mut |graph| Ok(Machine::wide(graph)), REFERENCE),
        ("training", device, way) => {
            let options = Options { baseline: way == BASELINE, suspects: true, ..Options::default() };
            let fused = (way == FUSED).then(|| match device {
                Device::Gpu(gpu) => Device::Gpu(gpu.as_gpu()),
                Device::Cpu(_) => device.clone(),
            });
            let device = fused.as_ref().unwrap_or(device);
            let make = &mut |graph| Ok(Machine::Narrow(trust::session(device, vec![graph], options)?));
            let training = Training { fused: way == FUSED, ..Training::read(case)? };
            let training = if way == MICRO_BATCHES { training.in_micro_batches(IMAGES)? } else { training };
            training.check(make, FLOAT32)
        }
        (_, _, FLOAT64) => {
            Ok(case.check(&run_case::<f64>(case, &mut |op, operands| op.evaluate(operands))?, REFERENCE))
        }
        (_, Device::Cpu(_), _) => {
            Ok(case.check(&run_case::<f32>(case, &mut |op, operands| op.evaluate(operands))?, FLOAT32))
        }
        (_, Device::Gpu(gpu), way) => {
            let mut served = way == BASELINE;
            let execute = &mut |op: &Op, operands: &[&Tensor]| {
                let inputs: Vec<Tensor> = operands.iter().map(|tensor| (*tensor).clone()).collect();
                let specs: Vec<Spec> = inputs.iter().map(Tensor::spec).collect();
                let outputs = op.infer(&specs)?;
                let problem = Problem { inputs: &specs, outputs: &outputs, caps: gpu.caps() };
                // A fast variant that does not serve this problem (groups) leaves it to the baseline.
                let serves = variants(op, &problem).contains(&way);
                served |= serves;
                run_node(gpu, op, &inputs, if serves { way } else { BASELINE })
            };
            let got = run_case::<f32>(case, execute)?;
            match served {
                true => Ok(case.check(&got, FLOAT32)),
                false => Err(Error::shape(NOT_SERVED, format!("{way} does not serve this case; the baseline does"))),
            }
        }
    }
}

fn unknown(case: &OracleCase, problem: String) -> Error {
    Error::Invalid(format!("oracle case {} ({}): {problem}", case.name, case.op))
}

fn text<'a>(case: &'a OracleCase, key: &str) -> Result<&'a str> {
    let found = case.attrs.get(key).and_then(|value| value.as_str());
    found.ok_or_else(|| unknown(case, format!("has no attribute `{key}`")))
}

fn number(case: &OracleCase, key: &str) -> Option<f64> {
    case.attrs.get(key).and_then(|value| value.as_f64())
}

fn needed(case: &OracleCase, key: &str) -> Result<f64> {
    number(case, key).ok_or_else(|| unknown(case, format!("has no number `{key}`")))
}

fn want<'a>(case: &'a OracleCase, name: &str) -> Result<&'a Tensor<f64>> {
    case.wants.get(name).ok_or_else(|| unknown(case, format!("has no `want.{name}`")))
}

/// A schedule is host arithmetic in float64: it has no kernel and no device.
fn schedule(case: &OracleCase) -> Result<Differences> {
    let get = |key: &str| needed(case, key);
    let whole = |key: &str| match needed(case, key)? {
        value if value >= 1.0 && value.fract() == 0.0 => Ok(value as u64),
        value => Err(unknown(case, format!("`{key}` must be a whole number of at least 1, got {value}"))),
    };
    let schedule = match text(case, "kind")? {
        "constant" => Schedule::Constant,
        "step" => Schedule::Step { step_size: whole("step_size")?, gamma: get("gamma")? },
        "exponential" => Schedule::Exponential { gamma: get("gamma")? },
        "cosine" => Schedule::Cosine { t_max: whole("t_max")?, min_lr: get("min_lr")? },
        "linear_warmup" => {
            Schedule::LinearWarmup { start_factor: get("start_factor")?, warmup_steps: whole("warmup_steps")? }
        }
        "one_cycle" => Schedule::OneCycle {
            total_steps: whole("total_steps")?,
            pct_start: get("pct_start")?,
            div_factor: get("div_factor")?,
            final_div_factor: get("final_div_factor")?,
        },
        other => return Err(unknown(case, format!("there is no schedule `{other}`"))),
    };
    // one_cycle's base is its peak.
    let (base, want) = (get("max_lr").or_else(|_| get("base_lr"))?, want(case, "lr")?);
    let got: Vec<f64> = (0..want.len() as u64).map(|t| schedule.rate(base, t)).collect();
    Ok(case.check(&[("lr".to_owned(), Tensor::float(want.shape.clone(), got))], REFERENCE))
}
