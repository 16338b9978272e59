//! The bottom of the chain: central differences in float64 against the gradient rules and the references that they name.
//!
//! Each operator stands in the middle of a graph: its operands are variables times random numbers, its output is multiplied by
//! random numbers before it is summed to a loss. So an operator whose gradient ignores what arrives from above is found out,
//! and so is a rule that gives a gradient to the wrong operand.

use super::compare::{Difference, Tolerance, compare};
use super::trial::{Outcome, Verdict};
use crate::error::Result;
use crate::ops::*;
use crate::tensor::{Elements, Spec, Tensor};

/// What central differences of this step can tell: truncation and rounding leave about 1e-9.
const TOLERANCE: Tolerance = Tolerance { relative_l2: 1e-7, max_error: 2e-7 };
/// Half the distance between the two losses of a difference.
const STEP: f64 = 1e-5;
/// Elements of a gradient that are looked at.
const ELEMENTS: usize = 60;

/// An operator with operands away from its kinks: there a difference would lie.
#[derive(Debug, Clone)]
pub struct Check {
    /// What is special about it, in snake case.
    pub name: String,
    /// The operator.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Tensor<f64>>,
    /// Operands that are constants to the gradient: labels, running statistics.
    pub constants: Vec<usize>,
}

/// Numbers evenly between −1 and 1.
fn noise(seed: u32, shape: &[usize]) -> Tensor<f64> {
    let unit = |i: usize| f64::from(random::random(seed, 0, i as u32)) / 2f64.powi(31) - 1.0;
    Tensor::float(shape, (0..shape.iter().product()).map(unit).collect())
}

/// Distinct values at least 2/len apart in a random order, none of them 0: no ties and no kink within a step's reach.
fn distinct(seed: u32, shape: &[usize]) -> Tensor<f64> {
    let len: usize = shape.iter().product();
    let place = |i: usize| f64::from(random::permute(seed, 0, i as u32, len as u32));
    Tensor::float(shape, (0..len).map(|i| (2.0 * place(i) + 1.0) / len as f64 - 1.0 + 0.3 / len as f64).collect())
}

fn map(tensor: &Tensor<f64>, f: impl Fn(f64) -> f64) -> Tensor<f64> {
    Tensor::float(tensor.shape.clone(), tensor.floats().iter().map(|&v| f(v)).collect())
}

fn times(a: &Tensor<f64>, b: &Tensor<f64>) -> Tensor<f64> {
    Tensor::float(a.shape.clone(), a.floats().iter().zip(b.floats()).map(|(a, b)| a * b).collect())
}

/// Every differentiable operator, in several settings.
pub fn checks() -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |name: String, op: Op, operands: Vec<Tensor<f64>>, constants: &[usize]| {
        checks.push(Check { name, op, operands, constants: constants.to_vec() });
    };
    let (x, b) = (noise(1, &[2, 6, 5, 4]), noise(3, &[6]));
    let plain = Conv2d { padding: [1, 0, 2, 1], ..Conv2d::default() };
    let strided = Conv2d { stride: [2, 1], dilation: [1, 2], groups: 2, ..plain };
    add("padded".into(), plain.into(), vec![x.clone(), noise(2, &[3, 2, 4, 6]), b.clone()], &[]);
    add("strided_dilated_groups".into(), strided.into(), vec![x.clone(), noise(2, &[3, 2, 2, 6]), b], &[]);
    add("depthwise".into(), Conv2d { groups: 4, ..plain }.into(), vec![x, noise(2, &[2, 3, 1, 4])], &[]);
    add("bias".into(), Linear.into(), vec![noise(1, &[3, 5]), noise(2, &[4, 5]), noise(3, &[4])], &[]);
    add("plain".into(), Linear.into(), vec![noise(1, &[1, 5]), noise(2, &[4, 5])], &[]);
    let windows = [
        ("2x2", [2, 2], [2, 2], [0; 4]),
        ("3x2", [3, 2], [2, 1], [1, 0, 1, 1]),
        ("3x3", [3, 3], [1, 3], [1; 4]),
        ("2x3", [2, 3], [3, 2], [1, 1, 0, 0]),
    ];
    for (name, kernel, stride, padding) in windows {
        for (ceil_mode, ending) in [(false, ""), (true, "_ceil")] {
            let (pool, x) = (Pool2d { kernel, stride, padding, ceil_mode }, distinct(1, &[2, 7, 6, 3]));
            add(format!("window_{name}{ending}"), MaxPool2d(pool).into(), vec![x.clone()], &[]);
            for (count_include_pad, border) in [(false, ""), (true, "_border_counts")] {
                let op = AvgPool2d { pool, count_include_pad };
                add(format!("window_{name}{ending}{border}"), op.into(), vec![x.clone()], &[]);
            }
        }
    }
    add("image".into(), GlobalAvgPool2d.into(), vec![noise(1, &[2, 7, 6, 3])], &[]);
    for activation in Activation::all(0.1, 1.3) {
        for (name, scale) in [("narrow", 0.9), ("wide", 5.03)] {
            add(name.into(), activation.into(), vec![map(&distinct(4, &[5, 11]), |v| v * scale)], &[]);
        }
    }
    for axis in 0..3 {
        let x = map(&noise(1, &[3, 4, 5]), |v| 3.0 * v);
        add(format!("axis_{axis}"), Softmax { axis }.into(), vec![x.clone()], &[]);
        add(format!("axis_{axis}"), LogSoftmax { axis }.into(), vec![x], &[]);
    }
    let (x, weight, bias) = (map(&noise(1, &[3, 4, 2, 6]), |v| 2.0 * v + 0.7), noise(2, &[6]), noise(3, &[6]));
    let (operands, eps) = (vec![x.clone(), weight.clone(), bias.clone()], 1e-3);
    let running = vec![x, weight, bias, noise(4, &[6]), map(&noise(5, &[6]), |v| 1.0 + v / 2.0)];
    add("training".into(), BatchNorm2d { eps }.into(), operands.clone(), &[]);
    add("evaluation".into(), BatchNorm2dEval { eps }.into(), running, &[3, 4]);
    for groups in [1, 2, 3, 6] {
        add(format!("groups_{groups}"), GroupNorm { groups, eps }.into(), operands.clone(), &[]);
    }
    add("last_axis".into(), LayerNorm { eps }.into(), operands, &[]);
    let control = Tensor::u32([control::LEN], vec![9, 0, 0, 0]);
    add("rate_400".into(), Dropout { rate: 0.4, seed: 3, first: 9 }.into(), vec![noise(1, &[4, 30]), control], &[1]);
    let (a, b) = (noise(1, &[2, 3, 4, 5]), noise(2, &[2, 3, 4, 5]));
    add("image".into(), Add.into(), vec![a.clone(), b.clone()], &[]);
    add("image".into(), Mul.into(), vec![a.clone(), b], &[]);
    add("image".into(), Copy.into(), vec![a.clone()], &[]);
    add("image".into(), Flatten.into(), vec![a.clone()], &[]);
    for axis in 0..4 {
        let (mut second, mut third) = (a.shape.clone(), a.shape.clone());
        (second[axis], third[axis]) = (2, 1);
        let parts = vec![a.clone(), noise(3, &second), noise(4, &third)];
        add(format!("axis_{axis}"), Concat { axis }.into(), parts, &[]);
    }
    let (logits, labels) = (map(&noise(1, &[6, 5]), |v| 4.0 * v), Tensor::u32([6], vec![0, 4, 2, 2, 1, 3]));
    for (label_smoothing, name) in [(0.0, "plain"), (0.1, "smoothed")] {
        let op = SoftmaxCrossEntropy { label_smoothing };
        add(name.into(), op.into(), vec![logits.clone(), labels.clone()], &[1]);
        let others = Tensor::u32([6], vec![1, 4, 0, 2, 3, 4]);
        let shares = Tensor::float([6], vec![0.3, 0.25, 0.0, 0.5, 1.0, 0.125]);
        let operands = vec![logits.clone(), labels.clone(), others, shares];
        add(name.into(), MixupCrossEntropy { label_smoothing }.into(), operands, &[1, 2, 3]);
    }
    add("rows".into(), MseLoss.into(), vec![noise(1, &[4, 7]), noise(2, &[4, 7])], &[]);
    checks
}

/// The operator in the middle: loss = Σ after · op(before · variables).
struct Graph<'a> {
    op: &'a Op,
    /// A factor for each element of a differentiable operand; `None` for constants.
    before: Vec<Option<Tensor<f64>>>,
    after: Tensor<f64>,
}

impl Graph<'_> {
    fn operands(&self, variables: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
        let scaled = |(v, b): (&Tensor<f64>, &Option<Tensor<f64>>)| b.as_ref().map_or(v.clone(), |b| times(v, b));
        variables.iter().zip(&self.before).map(scaled).collect()
    }

    fn forward(&self, variables: &[Tensor<f64>]) -> Result<Vec<Tensor<f64>>> {
        self.op.evaluate(&self.operands(variables).iter().collect::<Vec<_>>())
    }

    fn loss(&self, variables: &[Tensor<f64>]) -> Result<f64> {
        Ok(times(&self.forward(variables)?[0], &self.after).floats().iter().sum())
    }

    /// The gradient of the loss by each variable, through the gradient rule; several gradients of one operand are an error of
    /// the rule, as is the gradient of a constant, and both show as too many elements.
    fn gradient(&self, variables: &[Tensor<f64>]) -> Result<Vec<Vec<f64>>> {
        let (operands, outputs) = (self.operands(variables), self.forward(variables)?);
        let specs: Vec<Spec> = operands.iter().map(Tensor::spec).collect();
        let mut gradients = vec![Vec::new(); variables.len()];
        for node in self.op.gradient(&specs) {
            let pick = |source: &Source| match *source {
                Source::Input(i) => &operands[i],
                Source::Output(i) => &outputs[i],
                Source::Upstream(_) => &self.after,
            };
            let picked: Vec<&Tensor<f64>> = node.operands.iter().map(pick).collect();
            for (gradient, &input) in node.op.evaluate(&picked)?.iter().zip(&node.gives) {
                match &self.before[input] {
                    Some(before) => gradients[input].extend_from_slice(times(gradient, before).floats()),
                    None => gradients[input].extend_from_slice(gradient.floats()),
                }
            }
        }
        Ok(gradients)
    }
}

/// Holds up to 60 elements of every gradient of a check against central differences; the worst comes last.
pub fn differences(check: &Check) -> Result<Vec<Difference>> {
    let fixed = |i: usize| check.constants.contains(&i);
    let factor = |i: usize, shape: &[usize]| map(&noise(90 + i as u32, shape), |v| 1.0 + v / 2.0);
    let before: Vec<Option<Tensor<f64>>> =
        check.operands.iter().enumerate().map(|(i, v)| (!fixed(i)).then(|| factor(i, &v.shape))).collect();
    // Variables such that the operands are the given values: what was chosen away from kinks stays there.
    let undo = |(v, b): (&Tensor<f64>, &Option<Tensor<f64>>)| {
        b.as_ref().map_or(v.clone(), |b| times(v, &map(b, |factor| 1.0 / factor)))
    };
    let variables: Vec<Tensor<f64>> = check.operands.iter().zip(&before).map(undo).collect();
    let mut graph = Graph { op: &check.op, before, after: Tensor::float([0], vec![]) };
    let output = check.op.evaluate(&check.operands.iter().collect::<Vec<_>>())?.swap_remove(0);
    graph.after = noise(77, &output.shape);
    let mut all = Vec::new();
    for (input, gradient) in graph.gradient(&variables)?.iter().enumerate() {
        let shape = &variables[input].shape;
        let wanted = if fixed(input) { 0 } else { variables[input].len() };
        if gradient.len() != wanted {
            let mut difference = compare::<f64>(&[], &[], &[0], TOLERANCE);
            difference.relative_l2 = f64::INFINITY;
            difference.problem = Some(format!(
                "the gradient of operand {input} has {} elements where {wanted} are wanted",
                gradient.len()
            ));
            all.push(difference);
            continue;
        }
        let places: Vec<usize> = (0..wanted).step_by(wanted.div_ceil(ELEMENTS).max(1)).collect();
        let moved = |place: usize, by: f64| {
            let mut moved = variables.clone();
            if let Elements::Float(values) = &mut moved[input].elements {
                values[place] += by;
            }
            graph.loss(&moved)
        };
        let want: Vec<f64> = places
            .iter()
            .map(|&at| Ok((moved(at, STEP)? - moved(at, -STEP)?) / (2.0 * STEP)))
            .collect::<Result<_>>()?;
        let got: Vec<f64> = places.iter().map(|&at| gradient[at]).collect();
        let shape: &[usize] = if places.len() == wanted { shape } else { &[places.len()] };
        all.push(compare(&got, &want, shape, TOLERANCE));
    }
    Ok(all)
}

/// Asks every check whose operator passes `wanted`.
pub fn ask(wanted: impl Fn(&Op) -> bool) -> Vec<Outcome> {
    checks().iter().filter(|check| wanted(&check.op)).map(outcome).collect()
}

fn outcome(check: &Check) -> Outcome {
    let mut outcome = Outcome {
        operator: check.op.name().to_owned(),
        direction: "gradient_rule".into(),
        variant: "reference_f64".into(),
        case: check.name.clone(),
        verdict: Verdict::Passed,
        worst: None,
        tolerance: TOLERANCE,
        story: None,
        evidence: None,
    };
    match differences(check) {
        Err(error) => {
            outcome.verdict = Verdict::Failed;
            outcome.story = Some(error.to_string());
        }
        Ok(all) => {
            if let Some((input, wrong)) = all.iter().enumerate().find(|(_, difference)| !difference.passes()) {
                outcome.verdict = Verdict::Failed;
                outcome.story = Some(format!("the gradient of operand {input} against central differences: {wrong}"));
            }
            outcome.worst = all.into_iter().max_by(|a, b| a.relative_l2.total_cmp(&b.relative_l2));
        }
    }
    outcome
}
