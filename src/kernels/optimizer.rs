//! The end of a step on the GPU: norms, clips and optimisers over flat buffers, in ranges where a buffer is larger than a
//! binding may be.

use std::ops::Range;

use super::reduce::{fold_splits, scratch, split_sum_trips, vector_splits, vector_trips};
use super::{BLOCK, Dispatch, Lowered, Operand, Problem};
use crate::error::Result;
use crate::gpu::Caps;
use crate::ops::{ClipGradNorm, ClipValue, ClippedOptimizer, GradNorm, Optimizer};
use crate::tensor::Spec;

use Operand::{Input, Output};

/// Uniforms of `optimizer.wgsl` that are not sizes.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    nesterov: bool,
    weight_decay: f64,
    momentum: f64,
    beta1: f64,
    share2: f64,
    eps: f64,
}

impl Numbers {
    /// Sets every uniform of the file but those that say what is clipped; four elements an invocation where they come out even.
    fn dispatch(self, entry: &'static str, steps: usize, len: usize) -> Dispatch {
        let dispatch = Dispatch::new("optimizer.wgsl", entry)
            .set("steps", steps)
            .set("nesterov", u32::from(self.nesterov))
            .set("weight_decay", self.weight_decay)
            .set("momentum", self.momentum)
            .set("rest1", 1.0 - self.beta1)
            .set("share2", self.share2)
            .set("rest2", 1.0 - self.share2)
            .set("eps", self.eps);
        if len.is_multiple_of(4) {
            dispatch.link("elements1", "shared/elements4.wgsl").set("len", len / 4).invocations(len / 4)
        } else {
            dispatch.set("len", len).invocations(len)
        }
    }
}

/// A kernel of `optimizer_clip.wgsl` over a range of `len` elements.
fn clip_dispatch(entry: &'static str, len: usize, splits: usize, first_split: usize, limit: f64) -> Dispatch {
    Dispatch::new("optimizer_clip.wgsl", entry)
        .set("len", len)
        .set("splits", splits)
        .set("first_split", first_split)
        .set("limit", limit)
        .invocations(len)
}

/// Cuts `0..len` floats into ranges that fit a binding, each starting at a multiple of 64 elements.
pub(super) fn ranges(len: usize, caps: &Caps) -> Vec<Range<usize>> {
    let most = usize::try_from(caps.max_binding_bytes / 4).unwrap_or(usize::MAX);
    let each = (most / 64 * 64).max(64);
    (0..len).step_by(each).map(|start| start..(start + each).min(len)).collect()
}

/// The entry point and its numbers.
fn entry(op: &Optimizer) -> (&'static str, Numbers) {
    let numbers = Numbers::default();
    match *op {
        Optimizer::Sgd { momentum, nesterov, weight_decay } => {
            let entry = if momentum > 0.0 { "momentum" } else { "sgd" };
            (entry, Numbers { momentum, nesterov, weight_decay, ..numbers })
        }
        Optimizer::Adam { beta1, beta2, eps, weight_decay } => {
            ("adam", Numbers { beta1, share2: beta2, eps, weight_decay, ..numbers })
        }
        Optimizer::AdamW { beta1, beta2, eps, weight_decay } => {
            ("adamw", Numbers { beta1, share2: beta2, eps, weight_decay, ..numbers })
        }
        Optimizer::RmsProp { alpha, eps, momentum, weight_decay } => {
            let entry = if momentum > 0.0 { "rmsprop_momentum" } else { "rmsprop" };
            (entry, Numbers { share2: alpha, eps, momentum, weight_decay, ..numbers })
        }
    }
}

/// A limit as the shader takes it, where 0 is none.
fn limit(limit: Option<f64>) -> f64 {
    limit.map_or(0.0, |limit| limit.max(f64::from(f32::MIN_POSITIVE)))
}

pub(super) fn step(op: &ClippedOptimizer, problem: &Problem) -> Result<Lowered> {
    let (entry, numbers) = entry(&op.optimizer);
    let steps = problem.inputs[2].shape[0];
    // Something must be bound, which is not read.
    let norm = op.norm_operand().map_or(Input(2), Input);
    let dispatch = |range: Range<usize>| {
        let moments = ["moment", "moment2"].into_iter().zip(1..problem.outputs.len());
        let dispatch = numbers
            .dispatch(entry, steps, range.len())
            .set("clip_value", limit(op.value))
            .set("max_norm", limit(op.norm))
            .set("clip_parameters", limit(op.parameters))
            .bind("norm", norm)
            .bind("rates", Input(2))
            .bind("control", Input(3))
            .bind_range("grad", Input(1), range.clone())
            .bind_range("param", Output(0), range.clone());
        moments.fold(dispatch, |dispatch, (name, number)| dispatch.bind_range(name, Output(number), range.clone()))
    };
    Ok(Lowered::baseline(ranges(problem.inputs[0].len(), problem.caps).into_iter().map(dispatch).collect()))
}

/// Into how many interleaved splits so many terms of a norm are cut: enough invocations to keep a device busy.
fn norm_splits(terms: usize) -> usize {
    const FEWEST_TERMS: usize = 16;
    vector_splits(terms).max(terms.div_ceil(FEWEST_TERMS).min(BLOCK))
}

/// A range of a flat buffer, and the splits of the sum of its squares among all of them.
#[derive(Debug, Clone)]
struct NormPart {
    /// Elements.
    range: Range<usize>,
    /// The first of the splits.
    first: usize,
    /// How many there are.
    splits: usize,
}

/// How a buffer of so many elements is cut for a norm; where four divides that, elements come in fours.
fn norm_parts(len: usize, caps: &Caps) -> Vec<NormPart> {
    let ranges = ranges(len, caps);
    // Ranges begin at multiples of four, so if one has a length of fours, all of them have.
    let each = if len.is_multiple_of(4) { 4 } else { 1 };
    let several = ranges.len() > 1;
    let mut first = 0;
    let part = |range: Range<usize>| {
        let splits = norm_splits(range.len() / each);
        // Together they must be a multiple of what folding leaves; empty splits sum to 0.
        let splits = if several { splits.next_multiple_of(BLOCK) } else { splits };
        first += splits;
        NormPart { range, first: first - splits, splits }
    };
    ranges.into_iter().map(part).collect()
}

pub(super) fn grad_norm(_op: &GradNorm, problem: &Problem) -> Result<Lowered> {
    let each = if problem.inputs[0].len().is_multiple_of(4) { 4 } else { 1 };
    let parts = norm_parts(problem.inputs[0].len(), problem.caps);
    let splits: usize = parts.iter().map(|part| part.splits).sum();
    let mut workspaces = Vec::new();
    let part = scratch(&mut workspaces, Spec::f32([splits, 2]));
    let mut dispatches = Vec::new();
    for NormPart { range, first, splits } in parts {
        let len = range.len() / each;
        let dispatch = clip_dispatch("square_part", len, splits, first, 0.0);
        let dispatch = if each == 4 { dispatch.link("elements1", "shared/elements4.wgsl") } else { dispatch };
        let dispatch = dispatch.bind_range("grad", Input(0), range).bind("part_out", part);
        dispatches.push(dispatch.invocations(splits).trips(vector_trips(len, splits)));
    }
    let (part, few, fold) = fold_splits(part, splits, 2, &mut workspaces);
    dispatches.extend(fold);
    let finish = clip_dispatch("norm_finish", 2, few, 0, 0.0);
    dispatches.push(finish.bind("part", part).bind("norm_out", Output(0)).trips(split_sum_trips(few)));
    Ok(Lowered { workspaces, ..Lowered::baseline(dispatches) })
}

/// A kernel that changes output 0 in place, range by range.
fn clip(
    entry: &'static str,
    limit: f64,
    (name, operand): (&'static str, Operand),
    problem: &Problem,
) -> Result<Lowered> {
    let dispatch = |range: Range<usize>| {
        clip_dispatch(entry, range.len(), 0, 0, limit).bind_range("values", Output(0), range).bind(name, operand)
    };
    Ok(Lowered::baseline(ranges(problem.outputs[0].len(), problem.caps).into_iter().map(dispatch).collect()))
}

pub(super) fn accumulate(problem: &Problem) -> Result<Lowered> {
    let dispatch = |range: Range<usize>| {
        let dispatch = clip_dispatch("accumulate", range.len(), 0, 0, 0.0);
        dispatch.bind_range("values", Output(0), range.clone()).bind_range("added", Input(1), range)
    };
    Ok(Lowered::baseline(ranges(problem.outputs[0].len(), problem.caps).into_iter().map(dispatch).collect()))
}

pub(super) fn clip_grad_norm(op: &ClipGradNorm, problem: &Problem) -> Result<Lowered> {
    clip("clip_norm", op.max_norm, ("norm", Input(1)), problem)
}

pub(super) fn clip_value(op: &ClipValue, problem: &Problem) -> Result<Lowered> {
    clip("clip_value", op.limit, ("control", Input(1)), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_larger_than_a_binding_comes_in_aligned_ranges_without_gaps() {
        let caps = Caps { max_binding_bytes: 1000, ..Caps::DEFAULT };
        let ranges = ranges(1000, &caps);
        assert_eq!(ranges, [0..192, 192..384, 384..576, 576..768, 768..960, 960..1000]);
    }

    #[test]
    fn the_norm_of_a_gradient_in_ranges_gives_each_range_its_own_splits() {
        let caps = Caps { max_binding_bytes: 4 << 20, ..Caps::DEFAULT };
        let (inputs, outputs) = ([Spec::f32([3 << 20])], [Spec::f32([2])]);
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps: &caps };
        let lowered = grad_norm(&GradNorm, &problem).unwrap();
        let uniform = |dispatch: &Dispatch, wanted: &str| {
            dispatch.uniforms.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
        };
        let firsts: Vec<_> = lowered.dispatches[..3].iter().map(|d| uniform(d, "first_split")).collect();
        assert_eq!(firsts, [0u32, 1024, 2048].map(|first| Some(first.into())));
        assert_eq!(lowered.workspaces[0], Spec::f32([3072, 2]));
    }
}
