//! Asking a device: every case to every variant that it has, held against the float64 reference.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::case::{Case, split};
use super::compare::{Difference, FLOAT32, Tolerance, compare_outputs};
use crate::error::{Error, Result};
use crate::gpu::pipeline::Checks;
use crate::gpu::{Gpu, Module};
use crate::kernels::{BASELINE, Problem, Variant, known, lower, variants};
use crate::ops::{Add, Op, Operator};
use crate::session::Device;
use crate::session::gpu::{Poison, Trial, run_node, trial_session};
use crate::tensor::{Spec, Tensor};

/// How cases are asked.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Another seed draws other random operands.
    pub seed: u32,
    /// Ask one variant alone.
    pub variant: Option<String>,
    /// With and without wgpu's run-time checks, or only one of these.
    pub passes: Passes,
    /// Where this is given: the programs that run without the checks at all; all others are asked with the checks alone.
    pub unchecked: Option<HashSet<Module>>,
    /// Ask nothing more after the first wrong answer.
    pub fail_fast: bool,
}

/// How often a kernel is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passes {
    /// With wgpu's run-time checks, then without them.
    #[default]
    Both,
    /// With the checks.
    Checked,
    /// Without the checks.
    Unchecked,
}

impl Passes {
    fn list(self) -> &'static [Checks] {
        match self {
            Self::Both => &[Checks::Kept, Checks::Dropped],
            Self::Checked => &[Checks::Kept],
            Self::Unchecked => &[Checks::Dropped],
        }
    }
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Right.
    Passed,
    /// Wrong.
    Failed,
    /// Could not be asked on this device, which is no pass.
    NotRun,
}

/// One variant's answer to one case.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `conv2d`
    pub operator: String,
    /// `forward`, `grad`, `grad_input` or `grad_weight`.
    pub direction: String,
    /// One of [`crate::kernels::names`]; `reference_f32` on the CPU.
    pub variant: String,
    /// The case's name.
    pub case: String,
    /// What became of it.
    pub verdict: Verdict,
    /// The error of the worst output, where there was an answer.
    pub worst: Option<Difference>,
    /// What was allowed.
    pub tolerance: Tolerance,
    /// Why it failed or was not run.
    pub story: Option<String>,
    /// The tensors of a wrong answer: what was given, got, and wanted.
    pub evidence: Option<Box<Evidence>>,
}

/// The tensors of a wrong answer.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The operands.
    pub inputs: Vec<Tensor>,
    /// The outputs of the kernel; empty where it gave none.
    pub got: Vec<Tensor>,
    /// The outputs of the reference.
    pub want: Vec<Tensor<f64>>,
}

/// Asks a device all cases; `told` hears of each outcome as it is known. Answers them in the order of the cases.
pub fn ask(device: &Device, cases: &[Case], settings: &Settings, told: impl Fn(&Outcome) + Sync) -> Vec<Outcome> {
    let stop = AtomicBool::new(false);
    let specials = match device {
        Device::Gpu(gpu) => keeps_specials(gpu),
        Device::Cpu(_) => Ok(true),
    };
    let asked = cases.par_iter().map(|case| {
        if stop.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let outcomes = match device {
            Device::Gpu(gpu) => on_adapter(gpu, case, settings, &specials),
            Device::Cpu(_) => on_cpu(case, settings),
        };
        for outcome in &outcomes {
            if settings.fail_fast && outcome.verdict == Verdict::Failed {
                stop.store(true, Ordering::Relaxed);
            }
            told(outcome);
        }
        outcomes
    });
    asked.flatten().collect()
}

/// Whether NaN and infinities come through a kernel's addition as they are: WGSL does not promise it.
fn keeps_specials(gpu: &Gpu) -> Result<bool> {
    gpu.remember("NaN and infinities come through an addition", || {
        let given = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0];
        let inputs = [Tensor::float([4], given.to_vec()), Tensor::float([4], vec![0.5; 4])];
        let got = run_node(gpu, &Op::from(Add), &inputs, BASELINE)?;
        let [nan, infinite, minus_infinite, number] = [0, 1, 2, 3].map(|i| got[0].floats()[i]);
        Ok(nan.is_nan() && infinite == f32::INFINITY && minus_infinite == f32::NEG_INFINITY && number == 1.5)
    })
}

impl Outcome {
    fn new(case: &Case, variant: &'static str, verdict: Verdict) -> Self {
        let (operator, direction) = split(case.op.name());
        let (operator, direction, variant) = (operator.to_owned(), direction.to_owned(), variant.to_owned());
        let (case, tolerance) = (case.name.clone(), FLOAT32);
        Self { operator, direction, variant, case, verdict, worst: None, tolerance, story: None, evidence: None }
    }

    /// The failure of a device as a whole.
    pub fn of_device(story: String) -> Self {
        Self {
            operator: "device".into(),
            direction: "–".into(),
            variant: "–".into(),
            case: "lost".into(),
            verdict: Verdict::Failed,
            worst: None,
            tolerance: FLOAT32,
            story: Some(story),
            evidence: None,
        }
    }

    fn not_run(case: &Case, variant: &'static str, why: impl Into<String>) -> Self {
        Self { story: Some(why.into()), ..Self::new(case, variant, Verdict::NotRun) }
    }

    fn failed(case: &Case, variant: &'static str, story: impl Into<String>) -> Self {
        Self { story: Some(story.into()), ..Self::new(case, variant, Verdict::Failed) }
    }

    /// Judges outputs: the first wrong one tells the story.
    fn judge(case: &Case, variant: &'static str, got: Vec<Tensor>, asked: &Asked) -> Self {
        let differences: Vec<Difference> = got
            .iter()
            .zip(&asked.want)
            .map(|(got, want)| named_axes(case, compare_outputs(got, want, FLOAT32)))
            .collect();
        let wrong = differences.iter().position(|difference| !difference.passes());
        let mut outcome = Self::new(case, variant, Verdict::Passed);
        outcome.worst = differences.iter().cloned().reduce(|a, b| worse(a, &b));
        if got.len() != asked.want.len() {
            outcome.verdict = Verdict::Failed;
            outcome.story = Some(format!("{} outputs where {} are wanted", got.len(), asked.want.len()));
        } else if let Some(number) = wrong {
            let difference = &differences[number];
            outcome.verdict = Verdict::Failed;
            let shape = &asked.want[number].shape;
            outcome.story = Some(format!("output {number} of shape {shape:?}: {difference}"));
            outcome.worst = Some(difference.clone());
        }
        if outcome.verdict == Verdict::Failed {
            let (inputs, want) = (asked.inputs.clone(), asked.want.clone());
            outcome.evidence = Some(Box::new(Evidence { inputs, got, want }));
        }
        outcome
    }
}

/// The larger of two errors in each measure.
fn worse(mut a: Difference, b: &Difference) -> Difference {
    a.relative_l2 = a.relative_l2.max(b.relative_l2);
    a.max_error = a.max_error.max(b.max_error);
    a.max_absolute = a.max_absolute.max(b.max_absolute);
    a
}

/// The weights of a convolution have other axes than images.
fn named_axes(case: &Case, difference: Difference) -> Difference {
    match case.op {
        Op::Conv2dGradWeight(_) => Difference { axes: "(k_h, k_w, c_in, c_out)", ..difference },
        _ => difference,
    }
}

/// A case with its operands and the right answer.
struct Asked {
    inputs: Vec<Tensor>,
    specs: [Vec<Spec>; 2],
    want: Vec<Tensor<f64>>,
}

impl Asked {
    fn new(case: &Case, seed: u32) -> Result<Self> {
        let inputs = case.inputs(seed)?;
        let want = case.answer(&inputs)?;
        let specs = [inputs.iter().map(Tensor::spec).collect(), want.iter().map(Tensor::spec).collect()];
        Ok(Self { inputs, specs, want })
    }
}

fn on_cpu(case: &Case, settings: &Settings) -> Vec<Outcome> {
    const NAME: &str = "reference_f32";
    if case.variant.is_some_and(|variant| variant != BASELINE) || settings.variant.as_ref().is_some_and(|v| v != NAME) {
        return Vec::new();
    }
    let answer = Asked::new(case, settings.seed)
        .and_then(|asked| Ok((case.op.evaluate(&asked.inputs.iter().collect::<Vec<_>>())?, asked)));
    vec![match answer {
        Ok((got, asked)) => Outcome::judge(case, NAME, got, &asked),
        Err(error) => Outcome::failed(case, NAME, error.to_string()),
    }]
}

fn on_adapter(gpu: &Gpu, case: &Case, settings: &Settings, specials: &Result<bool>) -> Vec<Outcome> {
    let wanted = |variant: &&Variant| {
        case.asks(variant.name) && settings.variant.as_ref().is_none_or(|only| only == variant.name)
    };
    let mut outcomes = Vec::new();
    let mut asked: Option<Result<Asked>> = None;
    for variant in known(&case.op).iter().filter(wanted) {
        let name = variant.name;
        if let Some(why) = variant.limits.refuse(gpu.caps()) {
            outcomes.push(Outcome::not_run(case, name, why));
            continue;
        }
        match specials {
            Ok(false) if case.special => {
                let why = "a probe shows that this adapter does not keep NaN and infinities, which WGSL allows";
                outcomes.push(Outcome::not_run(case, name, why));
                continue;
            }
            Err(error) if case.special => {
                outcomes.push(Outcome::failed(case, name, format!("the probe for NaN and infinities: {error}")));
                continue;
            }
            _ => {}
        }
        let asked = match asked.get_or_insert_with(|| Asked::new(case, settings.seed)) {
            Ok(asked) => asked,
            Err(error) => {
                outcomes.push(Outcome::failed(case, name, format!("the reference refuses the case: {error}")));
                continue;
            }
        };
        let caps = case.caps(gpu.caps());
        let problem = Problem { inputs: &asked.specs[0], outputs: &asked.specs[1], caps: &caps };
        // A variant need not serve every problem: none but the baseline knows groups.
        if variants(&case.op, &problem).contains(&name) {
            outcomes.push(run(gpu, case, name, asked, passes(case, name, &problem, settings)));
        }
    }
    outcomes
}

/// The passes in which a case is asked: with the checks alone where one of its programs never runs without them.
fn passes(case: &Case, variant: &'static str, problem: &Problem, settings: &Settings) -> &'static [Checks] {
    let all = settings.passes.list();
    let Some(programs) = settings.unchecked.as_ref().filter(|_| settings.passes == Passes::Both) else { return all };
    // What cannot be lowered says so when it is run.
    let Ok(lowered) = lower(&case.op, problem, variant) else { return all };
    let unchecked = lowered.dispatches.iter().all(|dispatch| programs.contains(&dispatch.module));
    if unchecked { all } else { Passes::Checked.list() }
}

/// Runs a case in each of these passes, each result judged, and the last one twice.
fn run(gpu: &Gpu, case: &Case, variant: &'static str, asked: &Asked, passes: &[Checks]) -> Outcome {
    let mut worst: Option<Outcome> = None;
    for (number, &checks) in passes.iter().enumerate() {
        let twice = number + 1 == passes.len();
        let outcome = match answers(gpu, case, variant, asked, checks, twice) {
            Ok(answer) => verdict(case, variant, answer, asked, checks),
            // The plan says beforehand what this device cannot hold, or that its loops are too short.
            Err(error @ (Error::Shape { .. } | Error::Device(_))) => Outcome::not_run(case, variant, error.to_string()),
            Err(error) => Outcome::failed(case, variant, error.to_string()),
        };
        if outcome.verdict != Verdict::Passed {
            return outcome;
        }
        match (&mut worst, outcome.worst) {
            (Some(known), Some(new)) => known.worst = known.worst.take().map(|known| worse(known, &new)),
            (known, new) => *known = Some(Outcome { worst: new, ..Outcome::new(case, variant, Verdict::Passed) }),
        }
    }
    worst.unwrap_or_else(|| Outcome::not_run(case, variant, "no pass was asked for"))
}

/// What a kernel gave: its outputs, once more, and how many words it wrote where it must not.
struct Answer {
    outputs: Vec<Tensor>,
    again: Option<Vec<Tensor>>,
    trespasses: usize,
}

fn answers(
    gpu: &Gpu,
    case: &Case,
    variant: &'static str,
    asked: &Asked,
    checks: Checks,
    twice: bool,
) -> Result<Answer> {
    let trial = Trial { caps: Some(case.caps(gpu.caps())), checks, canaries: true };
    let mut session = trial_session(gpu, &case.op, &asked.specs[0], variant, &trial)?;
    let mut once = |poison: Poison| -> Result<(Vec<Tensor>, usize)> {
        session.poison(poison);
        for (index, tensor) in asked.inputs.iter().enumerate() {
            session.write(&format!("input{index}"), tensor)?;
        }
        pollster::block_on(session.run(0, 1, &[])?.wait())?;
        let outputs = pollster::block_on(session.values(0))?.into_iter().map(|(_, tensor)| tensor).collect();
        Ok((outputs, pollster::block_on(session.trespasses(poison))?))
    };
    let (outputs, trespasses) = once(Poison::Nan)?;
    if !twice {
        return Ok(Answer { outputs, again: None, trespasses });
    }
    let (again, more) = once(Poison::Number)?;
    Ok(Answer { outputs, again: Some(again), trespasses: trespasses.max(more) })
}

fn verdict(case: &Case, variant: &'static str, answer: Answer, asked: &Asked, checks: Checks) -> Outcome {
    let Answer { outputs, again, trespasses } = answer;
    let twice_the_same = again.is_none_or(|again| outputs.iter().zip(&again).all(|(a, b)| a.same_bits(b)));
    let mut outcome = Outcome::judge(case, variant, outputs, asked);
    let mut stories: Vec<String> = outcome.story.take().into_iter().collect();
    if trespasses > 0 {
        stories.push(format!("{trespasses} words outside of the kernel's buffers were written"));
    }
    if !twice_the_same {
        stories.push("two runs gave different bits".into());
    }
    if !stories.is_empty() {
        if checks == Checks::Dropped {
            stories.push("(without wgpu's run-time checks)".into());
        }
        outcome.verdict = Verdict::Failed;
        outcome.story = Some(stories.join("\n"));
    }
    outcome
}
