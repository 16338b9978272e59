//! One operator on its own: proven on the very shape, then timed.

use std::time::Instant;

use super::sample::submissions;
use super::workload::{Task, Workload};
use super::{Bench, Row};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kernels::{Problem, known, lower, variants};
use crate::ops::{Op, Operator};
use crate::session::Device;
use crate::session::gpu::{GpuSession, Poison, Trial, agrees, checks, kernel_name, trial_session};
use crate::tensor::{Spec, Tensor};
use crate::verify::compare::{FLOAT32, compare_outputs};
use crate::verify::trust;

/// An operator's operands, and the right answer to them.
pub struct Question {
    task: Task,
    specs: [Vec<Spec>; 2],
    inputs: Vec<Tensor>,
    wide: Vec<Tensor<f64>>,
    /// Where single elements can be asked for, a few hundred of them are; else all outputs are known.
    whole: Option<Vec<Tensor<f64>>>,
}

/// Whether the reference answers single elements of it.
fn has_elements(op: &Op) -> bool {
    use Op::*;
    matches!(
        op,
        Conv2d(_) | Conv2dGradInput(_) | Conv2dGradWeight(_) | Linear(_) | LinearGradInput(_) | LinearGradWeight(_)
    )
}

impl Question {
    /// Draws the operands and asks the float64 reference.
    pub fn new(task: &Task) -> Result<Self> {
        let inputs: Vec<Tensor> = task.operands.iter().map(|operand| operand.draw(0)).collect::<Result<_>>()?;
        let wide: Vec<Tensor<f64>> = inputs.iter().map(Tensor::widen).collect();
        let whole = match has_elements(&task.op) {
            true => None,
            false => Some(task.op.evaluate(&wide.iter().collect::<Vec<_>>())?),
        };
        Ok(Self { specs: task.specs()?, task: task.clone(), inputs, wide, whole })
    }

    /// What is wrong with these outputs, if anything.
    fn judge(&self, gpu: &Gpu, got: &[Tensor]) -> Option<String> {
        let Some(whole) = &self.whole else {
            let problem = Problem { inputs: &self.specs[0], outputs: &self.specs[1], caps: gpu.caps() };
            let right = agrees(&self.task.op, &problem, &self.wide.iter().collect::<Vec<_>>(), got);
            return (!right).then(|| "a few hundred elements differ from the float64 reference".to_owned());
        };
        let wrong = got.iter().zip(whole).enumerate().find_map(|(number, (got, want))| {
            let difference = compare_outputs(got, want, FLOAT32);
            (!difference.passes()).then(|| format!("output {number} of shape {:?}: {difference}", want.shape))
        });
        wrong.or_else(|| (got.len() != whole.len()).then(|| format!("it has {} outputs", got.len())))
    }

    /// A session of the operator in this variant that gave the right answer, and the seconds in which it did; an error where it
    /// does not run, the story where it is wrong.
    pub fn right(&self, gpu: &Gpu, variant: &'static str) -> Result<Result<(GpuSession, f64), String>> {
        let op = &self.task.op;
        let problem = Problem { inputs: &self.specs[0], outputs: &self.specs[1], caps: gpu.caps() };
        let trial = Trial { checks: checks(gpu, &lower(op, &problem, variant)?), ..Trial::default() };
        let mut session = trial_session(gpu, op, &self.specs[0], variant, &trial)?;
        session.poison(Poison::Nan);
        for (index, tensor) in self.inputs.iter().enumerate() {
            session.write(&format!("input{index}"), tensor)?;
        }
        gpu.wait()?;
        let started = Instant::now();
        replay(gpu, &mut session, 1)?;
        let seconds = started.elapsed().as_secs_f64();
        let got: Vec<Tensor> = pollster::block_on(session.values(0))?.into_iter().map(|(_, tensor)| tensor).collect();
        Ok(match self.judge(gpu, &got) {
            None => Ok((session, seconds)),
            Some(story) => Err(story),
        })
    }
}

/// Replays a session's only graph so many times, and waits.
pub fn replay(gpu: &Gpu, session: &mut GpuSession, times: usize) -> Result<()> {
    for count in submissions(times, gpu.caps().cpu) {
        session.run(0, count, &[])?;
    }
    gpu.wait()
}

/// How many rows there will be of a workload, before any is measured.
pub fn count(bench: &Bench, workload: &Workload) -> usize {
    let tasks = workload.tasks().unwrap_or_default();
    tasks.iter().map(|task| known(&task.op).iter().filter(|variant| bench.wants(variant.name)).count()).sum()
}

/// Times every direction and variant of a workload.
pub fn measure(bench: &mut Bench, workload: &Workload, told: &mut dyn FnMut(Row)) -> Result<()> {
    for task in workload.tasks()? {
        let Device::Gpu(gpu) = bench.device.clone() else {
            let why = "single operators are timed on adapters; the CPU reference runs whole networks";
            told(bench.row(&workload.name, task.direction, "reference").not_run(why));
            continue;
        };
        direction(bench, &gpu, &workload.name, &task, told)?;
    }
    Ok(())
}

fn direction(bench: &mut Bench, gpu: &Gpu, name: &str, task: &Task, told: &mut dyn FnMut(Row)) -> Result<()> {
    let [inputs, outputs] = task.specs()?;
    let problem = Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() };
    let (flops, bytes) = (task.op.flops(&inputs, &outputs), task.op.bytes(&inputs, &outputs));
    let able = variants(&task.op, &problem);
    let mut question = None;
    for variant in known(&task.op) {
        if !bench.wants(variant.name) {
            continue;
        }
        let mut row = bench.row(name, task.direction, variant.name).costs(flops, bytes);
        row.guess = able.first() == Some(&variant.name);
        if let Some(why) = variant.limits.refuse(gpu.caps()) {
            told(row.not_run(why));
            continue;
        }
        if !able.contains(&variant.name) {
            told(row.not_run("this variant does not serve this shape"));
            continue;
        }
        let kernel = kernel_name(task.op.name(), variant.name);
        let predicted = bench.predict(&kernel, flops, bytes);
        let longest = bench.settings.longest();
        if predicted > longest {
            told(row.not_run(bench.too_long("would take about", predicted, longest)));
            continue;
        }
        match one(gpu, task, variant.name, &mut question) {
            // The prediction was a guess; this is known.
            Ok(Ok((_, seconds))) if seconds > 4.0 * longest => {
                bench.learn(&kernel, seconds, flops, bytes);
                told(row.not_run(bench.too_long("took", seconds, longest)));
            }
            Ok(Ok((mut session, _))) => {
                let sample = super::sample::sample(bench.settings.seconds, |times| replay(gpu, &mut session, times))?;
                bench.learn(&kernel, sample.median, flops, bytes);
                told(row.timed(&sample, bench.roofs.as_ref()));
            }
            Ok(Err(story)) => told(row.wrong(story)),
            // The plan says beforehand what this device cannot hold, or that its loops are too short.
            Err(error @ (Error::Shape { .. } | Error::Device(_))) => told(row.not_run(error.to_string())),
            Err(error @ Error::Shader { .. }) => told(row.wrong(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// [`Question::right`] of a kernel whose quick cases passed, and that is right on this shape too.
fn one(
    gpu: &Gpu,
    task: &Task,
    variant: &'static str,
    question: &mut Option<Question>,
) -> Result<Result<(GpuSession, f64), String>> {
    trust::certify_kernel(gpu, &task.op, variant)?;
    if gpu.proof(&kernel_name(task.op.name(), variant)).is_some_and(|proof| !proof.right) {
        return Ok(Err("its quick cases fail on this adapter; `wgrad verify` tells more".into()));
    }
    let question = match question {
        Some(known) => known,
        None => question.insert(Question::new(task)?),
    };
    question.right(gpu, variant)
}
