//! Oracle cases of every kind, operators, schedules and whole trainings, through the references and through a device.
//!
//! Here and not in [`crate::verify`], since a training case runs the graph that `train` runs.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::config::{OptimizerConfig, TrainConfig};
use super::program::{self, Batch, names};
use super::schedule::Schedule;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernels::{BASELINE, Problem, known, variants};
use crate::nn::{Conv2dLayer, Layer, Layout, LinearLayer, Network, PARAMETERS, STATISTICS, Sequential, shipped};
use crate::ops::{Conv2d, Op, Operator, control};
use crate::session::cpu::CpuSession;
use crate::session::gpu::run_node;
use crate::session::{Device, Options, Session};
use crate::tensor::{Spec, Tensor};
use crate::verify::compare::{Difference, FLOAT32, REFERENCE, Tolerance, compare};
use crate::verify::oracle::{OracleCase, from_pytorch, run_case};
use crate::verify::trial::{Outcome, Verdict};
use crate::verify::trust;

/// What weights may be off after a whole run in float32 (L2 only): its errors feed back into it.
const AFTER_A_RUN: Tolerance = Tolerance { relative_l2: 2e-3, max_error: f64::INFINITY };
/// The name of the float64 reference among the variants.
const FLOAT64: &str = "reference_f64";
/// The name of the reference in the float32 of the CPU session.
const FLOAT32_CPU: &str = "reference_f32";

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
        (Device::Cpu(_), _) => ways.push((FLOAT32_CPU, FLOAT32)),
        (Device::Gpu(_), "training") => ways.extend([("preferred", FLOAT32), (BASELINE, FLOAT32)]),
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
        ("training", _, FLOAT64) => Training::read(case)?.check(&mut |graph| Ok(Machine::wide(graph)), REFERENCE),
        ("training", device, way) => {
            let options = Options { baseline: way == BASELINE, suspects: true, ..Options::default() };
            let make = &mut |graph| Ok(Machine::Narrow(trust::session(device, vec![graph], options)?));
            Training::read(case)?.check(make, FLOAT32)
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

/// A session in float32 or in float64, spoken to in float64.
enum Machine {
    Narrow(Session),
    Wide(Box<CpuSession<f64>>),
}

impl Machine {
    fn wide(graph: Graph) -> Self {
        Self::Wide(Box::new(CpuSession::new(vec![graph], true)))
    }

    fn write(&mut self, name: &str, tensor: Tensor<f64>) -> Result<()> {
        match self {
            Self::Wide(session) => session.write(name, &tensor),
            Self::Narrow(session) => session.write(name, &tensor.narrow()),
        }
    }

    fn step(&mut self) -> Result<()> {
        match self {
            Self::Wide(session) => session.run(0, 1, &[]).map(drop),
            Self::Narrow(session) => session.run(0, 1, &[]).map(drop),
        }
    }

    fn read(&mut self, name: &str) -> Result<Tensor<f64>> {
        match self {
            Self::Wide(session) => session.read(name).cloned(),
            Self::Narrow(session) => Ok(pollster::block_on(session.read(&[name]))?[0].widen()),
        }
    }
}

/// A whole run of a few steps.
struct Training<'a> {
    case: &'a OracleCase,
    network: Network,
    layout: Layout,
    config: TrainConfig,
    steps: usize,
    batch: usize,
    image: [usize; 3],
    classes: usize,
}

/// The network that PyTorch trained, by the name that the cases give it.
fn network(case: &OracleCase, [h, w, c]: [usize; 3], classes: usize) -> Result<Network> {
    let deep_plain = |activation: Layer| {
        let mut net = Sequential::new("deep_plain", &[h, w, c]);
        for _ in 0..12 {
            net = net.layer(Layer::Conv2d(Conv2dLayer::new(8, 3).padding(1))).layer(activation);
        }
        let head = Layer::Linear(LinearLayer { units: classes, bias: true });
        net.layer(Layer::GlobalAvgPool2d).named("head", head).build()
    };
    match text(case, "model")? {
        "residual_bn_adamw" => shipped::residual_bn([h, w, c], classes),
        "seed_cnn_adam" | "seed_cnn_sgd_momentum" => shipped::reference([h, w, c], classes),
        "deep_plain_sigmoid" => deep_plain(Layer::Sigmoid),
        "deep_plain_relu" => deep_plain(Layer::Relu),
        other => Err(unknown(case, format!("this crate knows no model `{other}`"))),
    }
}

impl<'a> Training<'a> {
    fn read(case: &'a OracleCase) -> Result<Self> {
        let &[steps, batch, c, h, w] = case.input("x_u8")?.shape.as_slice() else {
            return Err(unknown(case, "`x_u8` must be [steps, n, c, h, w]".into()));
        };
        let classes = want(case, "logits0")?.shape.last().copied().unwrap_or(0);
        let network = network(case, [h, w, c], classes)?;
        let [weight_decay, momentum] = ["weight_decay", "momentum"].map(|key| number(case, key).unwrap_or(0.0));
        let optimizer = match text(case, "optimizer")? {
            "sgd" => OptimizerConfig::Sgd { momentum, nesterov: false, weight_decay },
            name => OptimizerConfig::named(name)?.with_weight_decay(weight_decay),
        };
        let clip_norm = number(case, "clip_grad_norm");
        let config = TrainConfig { lr: needed(case, "lr")?, optimizer, clip_norm, ..TrainConfig::default() };
        Ok(Self { layout: network.layout()?, case, network, config, steps, batch, image: [h, w, c], classes })
    }

    fn graph(&self, config: &TrainConfig) -> Result<Graph> {
        let mut g = Graph::new();
        let [h, w, c] = self.image;
        let control = g.persistent(names::CONTROL, Spec::u32([control::LEN]));
        let images = g.persistent("x", Spec::f32([self.batch, h, w, c]));
        let labels = g.persistent("labels", Spec::u32([self.batch]));
        let batch = Batch { control, images, labels, steps: self.steps };
        let logits = program::step(&mut g, &self.network, &self.layout, batch, config)?.logits;
        let kept = g.persistent("logits", Spec::f32([self.batch, self.classes]));
        g.place(logits, kept, 0)?;
        Ok(g)
    }

    /// Runs `steps` steps from the initial weights.
    fn go(&self, machine: &mut Machine, steps: usize) -> Result<()> {
        let mut flat = [vec![0.0; self.layout.len], vec![0.0; self.layout.statistics_len.max(1)]];
        for (list, flat) in [&self.layout.parameters, &self.layout.statistics].into_iter().zip(&mut flat) {
            for placed in list {
                let name = format!("init.{}", placed.parameter.name);
                let values = from_pytorch::<f64>(&name, self.case.input(&name)?);
                let here = flat.get_mut(placed.offset..placed.offset + values.len());
                let here = here.ok_or_else(|| unknown(self.case, format!("`{name}` has another shape")))?;
                here.copy_from_slice(values.floats());
            }
        }
        for (name, flat) in [PARAMETERS, STATISTICS].into_iter().zip(flat) {
            machine.write(name, Tensor::float([flat.len()], flat))?;
        }
        let operator = self.config.optimizer.operator();
        let rates: Vec<f64> =
            (0..self.steps).flat_map(|step| operator.rates(self.config.lr, step as u64 + 1)).collect();
        machine.write(names::RATES, Tensor::float([self.steps, rates.len() / self.steps.max(1)], rates))?;
        let ([h, w, c], images) = (self.image, self.case.input("x_u8")?.u8s());
        let labels = self.case.input("labels")?.u32s();
        for step in 0..steps {
            let image = &images[step * self.batch * h * w * c..][..self.batch * h * w * c];
            let image = image.iter().map(|&byte| f64::from(byte) / 255.0).collect();
            // From PyTorch's channels first to last.
            let image = from_pytorch::<f64>("x", &Tensor::float([self.batch, c, h, w], image));
            machine.write("x", image)?;
            machine.write("labels", Tensor::u32([self.batch], labels[step * self.batch..][..self.batch].to_vec()))?;
            machine.step()?;
        }
        Ok(())
    }

    fn compare(&self, name: &str, got: &[f64], tolerance: Tolerance, all: &mut Differences) -> Result<()> {
        let want = from_pytorch::<f64>(name, want(self.case, name)?);
        all.push((name.to_owned(), compare(got, want.floats(), &want.shape, tolerance)));
        Ok(())
    }

    /// Compares what the flat buffer `name` holds with the wanted tensors `prefix.*`.
    fn compare_flat(
        &self,
        flat: &Tensor<f64>,
        (name, prefix): (&str, &str),
        tolerance: Tolerance,
        all: &mut Differences,
    ) -> Result<()> {
        let list = if name == STATISTICS { &self.layout.statistics } else { &self.layout.parameters };
        for placed in list {
            let got = &flat.floats()[placed.offset..placed.offset + placed.parameter.len()];
            self.compare(&format!("{prefix}.{}", placed.parameter.name), got, tolerance, all)?;
        }
        Ok(())
    }

    fn check(&self, machine: &mut dyn FnMut(Graph) -> Result<Machine>, tolerance: Tolerance) -> Result<Differences> {
        let last = if tolerance == REFERENCE { REFERENCE } else { AFTER_A_RUN };
        let mut all = Differences::new();
        // Gradients are compared before clipping, so the first step runs once without.
        let unclipped = TrainConfig { clip_norm: None, ..self.config.clone() };
        let mut first = machine(self.graph(&unclipped)?)?;
        self.go(&mut first, 1)?;
        self.compare("logits0", first.read("logits")?.floats(), tolerance, &mut all)?;
        self.compare_flat(&first.read(names::GRADIENTS)?, (names::GRADIENTS, "grad0"), tolerance, &mut all)?;
        let mut whole = machine(self.graph(&self.config)?)?;
        self.go(&mut whole, self.steps)?;
        self.compare("losses", whole.read(names::LOSSES)?.floats(), tolerance, &mut all)?;
        for name in [PARAMETERS, STATISTICS] {
            self.compare_flat(&whole.read(name)?, (name, "final"), last, &mut all)?;
        }
        // Whatever else the case wants was not computed, and so fails.
        let computed: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
        let missing = self.case.check::<f64>(&[], tolerance).into_iter().filter(|(name, _)| !computed.contains(name));
        all.extend(missing);
        Ok(all)
    }
}
