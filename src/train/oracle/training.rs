//! Whole trainings that PyTorch answered: gradients, logits, losses and weights, and the norms that watching a step tells.

use std::ops::Range;

use super::{Differences, NOT_SERVED, needed, number, text, unknown, want};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::{DeepPlain, Layer, Layout, Network, PARAMETERS, STATISTICS, deep_plain, shipped};
use crate::ops::control;
use crate::session::Session;
use crate::session::cpu::CpuSession;
use crate::tensor::{Spec, Tensor};
use crate::train::config::{OptimizerConfig, TrainConfig};
use crate::train::flow::{self, Watcher};
use crate::train::micro_batch::{depends_on_the_batch, micro_batches};
use crate::train::program::{self, Fed, Place, names};
use crate::verify::compare::{REFERENCE, Tolerance, compare};
use crate::verify::oracle::{OracleCase, from_pytorch};

/// What weights may be off after a whole run in float32 (L2 only): its errors feed back into it.
const AFTER_A_RUN: Tolerance = Tolerance { relative_l2: 2e-3, max_error: f64::INFINITY };
/// What the norm of a parameter's gradient may be off that a watched step tells in float32.
const NORM: Tolerance = Tolerance { relative_l2: 1e-4, max_error: 1e-4 };

/// A session in float32 or in float64, spoken to in float64.
pub(super) enum Machine {
    Narrow(Session),
    Wide(Box<CpuSession<f64>>),
}

impl Machine {
    pub fn wide(graph: Graph) -> Self {
        Self::Wide(Box::new(CpuSession::new(vec![graph], true)))
    }

    fn write(&mut self, name: &str, tensor: Tensor<f64>) -> Result<()> {
        match self {
            Self::Wide(session) => session.write(name, &tensor),
            Self::Narrow(session) => session.write(name, &tensor.narrow()),
        }
    }

    pub fn step(&mut self) -> Result<()> {
        match self {
            Self::Wide(session) => session.run(0, 1, &[]).map(drop),
            Self::Narrow(session) => session.run(0, 1, &[]).map(drop),
        }
    }

    /// A watched step, and what it leaves.
    fn watched(&mut self) -> Result<Vec<Tensor<f64>>> {
        match self {
            Self::Wide(session) => session.run_watched(0, 1, &flow::READ),
            Self::Narrow(session) => {
                let read = pollster::block_on(session.run_watched(0, 1, &flow::READ)?.wait())?;
                Ok(read.iter().map(Tensor::widen).collect())
            }
        }
    }

    pub fn read(&mut self, name: &str) -> Result<Tensor<f64>> {
        match self {
            Self::Wide(session) => session.read(name).cloned(),
            Self::Narrow(session) => Ok(pollster::block_on(session.read(&[name]))?[0].widen()),
        }
    }
}

/// A whole run of a few steps.
pub(super) struct Training<'a> {
    pub case: &'a OracleCase,
    pub network: Network,
    pub layout: Layout,
    pub config: TrainConfig,
    pub steps: usize,
    pub batch: usize,
    pub image: [usize; 3],
    pub classes: usize,
    /// Whether every pass changes the graph of a step.
    pub fused: bool,
}

/// The network that PyTorch trained, by the name that the cases give it.
fn network(case: &OracleCase, [h, w, c]: [usize; 3], classes: usize) -> Result<Network> {
    let deep_plain = |activation: Layer| {
        let options = DeepPlain { depth: 12, width: 8, activation, pool: 1, ..DeepPlain::default() };
        deep_plain::deep_plain([h, w, c], classes, &options)
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
    pub fn read(case: &'a OracleCase) -> Result<Self> {
        let classes = want(case, "logits0")?.shape.last().copied().unwrap_or(0);
        Self::of(case, classes, |image| network(case, image, classes))
    }

    /// The training of a case that tells `classes` apart, of the network that `build` makes for its images `[h, w, c]`.
    pub fn of(case: &'a OracleCase, classes: usize, build: impl FnOnce([usize; 3]) -> Result<Network>) -> Result<Self> {
        let &[steps, batch, c, h, w] = case.input("x_u8")?.shape.as_slice() else {
            return Err(unknown(case, "`x_u8` must be [steps, n, c, h, w]".into()));
        };
        let (image, network) = ([h, w, c], build([h, w, c])?);
        let [weight_decay, momentum] = ["weight_decay", "momentum"].map(|key| number(case, key).unwrap_or(0.0));
        let optimizer = match text(case, "optimizer")? {
            "sgd" => OptimizerConfig::Sgd { momentum, nesterov: false, weight_decay },
            name => OptimizerConfig::named(name)?.with_weight_decay(weight_decay),
        };
        let clip_norm = number(case, "clip_grad_norm");
        let config = TrainConfig { batch, lr: needed(case, "lr")?, optimizer, clip_norm, ..TrainConfig::default() };
        Ok(Self { layout: network.layout()?, case, network, config, steps, batch, image, classes, fused: false })
    }

    /// The same run with so many images at a time.
    ///
    /// # Errors
    /// Where that is another run: batch normalisation takes its statistics from the images beside an image.
    pub fn in_micro_batches(mut self, images: usize) -> Result<Self> {
        if depends_on_the_batch(&self.network) {
            return Err(Error::shape(NOT_SERVED, "batch normalisation takes its statistics from a micro-batch"));
        }
        self.config.micro_batch = Some(images);
        Ok(self)
    }

    /// A step, and what watches it.
    pub fn graph(&self, config: &TrainConfig) -> Result<(Graph, Watcher)> {
        let mut g = Graph::new();
        let [h, w, c] = self.image;
        let control = g.persistent(names::CONTROL, Spec::u32([control::LEN]));
        let gather = |g: &mut Graph, rows: Range<usize>| {
            let images = g.persistent(&format!("x.{}", rows.start), Spec::f32([rows.len(), h, w, c]));
            let labels = g.persistent(&format!("labels.{}", rows.start), Spec::u32([rows.len()]));
            Ok(Fed { images, labels, mixed: None })
        };
        let place = Place { control, steps: self.steps };
        let values = program::step(&mut g, (&self.network, &self.layout), place, config, gather)?;
        for (rows, logits) in self.parts().into_iter().zip(values.logits.clone()) {
            let kept = g.persistent(&format!("logits.{}", rows.start), Spec::f32([rows.len(), self.classes]));
            g.place(logits, kept, 0)?;
        }
        if self.fused {
            g = g.fuse(&[])?.0;
        }
        let watcher = Watcher::attach(&mut g, &self.network, &self.layout, &values, u64::MAX, 1)?;
        Ok((g, watcher))
    }

    /// The rows of each micro-batch.
    fn parts(&self) -> Vec<Range<usize>> {
        micro_batches(self.batch, self.config.micro_batch)
    }

    /// The initial weights and running statistics that the case holds.
    fn initial(&self) -> Result<[Vec<f64>; 2]> {
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
        Ok(flat)
    }

    /// Makes ready for the first step from these weights and running statistics.
    pub fn begin(&self, machine: &mut Machine, initial: &[Vec<f64>; 2]) -> Result<()> {
        for (name, flat) in [PARAMETERS, STATISTICS].into_iter().zip(initial) {
            machine.write(name, Tensor::float([flat.len()], flat.clone()))?;
        }
        let operator = self.config.optimizer.operator();
        let rates: Vec<f64> =
            (0..self.steps).flat_map(|step| operator.rates(self.config.lr, step as u64 + 1)).collect();
        machine.write(names::RATES, Tensor::float([self.steps, rates.len() / self.steps.max(1)], rates))
    }

    /// Gives the machine the batch of a step.
    pub fn feed(&self, machine: &mut Machine, step: usize) -> Result<()> {
        let ([h, w, c], images) = (self.image, self.case.input("x_u8")?.u8s());
        let labels = self.case.input("labels")?.u32s();
        for rows in self.parts() {
            let (first, count) = (step * self.batch + rows.start, rows.len());
            let image = &images[first * h * w * c..][..count * h * w * c];
            let image = image.iter().map(|&byte| f64::from(byte) / 255.0).collect();
            // From PyTorch's channels first to last.
            let image = from_pytorch::<f64>("x", &Tensor::float([count, c, h, w], image));
            machine.write(&format!("x.{}", rows.start), image)?;
            let labels = Tensor::u32([count], labels[first..][..count].to_vec());
            machine.write(&format!("labels.{}", rows.start), labels)?;
        }
        Ok(())
    }

    /// Compares the norms of the gradients of a watched first step with those of PyTorch's gradients.
    fn compare_norms(&self, read: &[Tensor<f64>], watcher: &mut Watcher, tolerance: Tolerance) -> Result<Differences> {
        let flow = watcher.flow(read, self.batch as u64);
        let compared = flow.parameters.iter().map(|parameter| {
            let gradient = want(self.case, &format!("grad0.{}", parameter.name))?.floats();
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let difference = compare(&[parameter.gradient.norm], &[norm], &[1], tolerance);
            Ok((format!("norm of grad0.{}", parameter.name), difference))
        });
        compared.collect()
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

    pub fn check(
        &self,
        machine: &mut dyn FnMut(Graph) -> Result<Machine>,
        tolerance: Tolerance,
    ) -> Result<Differences> {
        let last = if tolerance == REFERENCE { REFERENCE } else { AFTER_A_RUN };
        let mut all = Differences::new();
        // Gradients are compared before clipping, so the first step runs once without.
        let unclipped = TrainConfig { clip_norm: None, ..self.config.clone() };
        let (graph, mut watcher) = self.graph(&unclipped)?;
        let mut first = machine(graph)?;
        let initial = self.initial()?;
        self.begin(&mut first, &initial)?;
        self.feed(&mut first, 0)?;
        let read = first.watched()?;
        let norms = if tolerance == REFERENCE { REFERENCE } else { NORM };
        all.extend(self.compare_norms(&read, &mut watcher, norms)?);
        let mut logits = Vec::new();
        for rows in self.parts() {
            logits.extend_from_slice(first.read(&format!("logits.{}", rows.start))?.floats());
        }
        self.compare("logits0", &logits, tolerance, &mut all)?;
        self.compare_flat(&first.read(names::GRADIENTS)?, (names::GRADIENTS, "grad0"), tolerance, &mut all)?;
        let mut whole = machine(self.graph(&self.config)?.0)?;
        self.begin(&mut whole, &initial)?;
        for step in 0..self.steps {
            self.feed(&mut whole, step)?;
            whole.step()?;
        }
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
