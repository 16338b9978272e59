//! Whole networks: a training step as training runs it, with its data set on the device and several steps a submission;
//! inference; and the time from opening a device to the end of its first step.

use std::time::Instant;

use super::sample::{Sample, sample, submissions};
use super::{Bench, Row};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernels::BASELINE;
use crate::nn::{Network, classics, shipped};
use crate::ops::{control, fill, random::random};
use crate::session::{Device, Options, Reading, Session};
use crate::tensor::Tensor;
use crate::train::TrainConfig;
use crate::train::evaluation::{upload, write_state};
use crate::train::program::{self, Resident, names};
use crate::verify::trust;

/// What is done with a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Forward, backward, optimiser.
    Step,
    /// Forward alone.
    Inference,
    /// From opening the device to the end of the first step.
    StartUp,
}

impl Work {
    /// Its direction in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Inference => "inference",
            Self::StartUp => "start_up",
        }
    }
}

/// A network, and what is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    network: &'static str,
    /// What is done.
    pub work: Work,
}

/// The networks, and whether their start-up is timed.
const NETWORKS: [(&str, bool); 4] = [("reference", true), ("resnet20", true), ("vgg11", false), ("resnet18", false)];
/// Classes of all of them.
const CLASSES: usize = 10;
/// Batches in the data set on the device.
const BATCHES: usize = 8;

/// Every network's work.
pub fn all() -> Vec<Whole> {
    let works = |(network, starts): (&'static str, bool)| {
        let all = [Work::Step, Work::Inference, Work::StartUp].into_iter();
        all.filter(move |work| starts || *work != Work::StartUp).map(move |work| Whole { network, work })
    };
    NETWORKS.into_iter().flat_map(works).collect()
}

impl Whole {
    /// `reference` for its training step, `reference/inference` for the rest.
    pub fn name(&self) -> String {
        match self.work {
            Work::Step => self.network.to_owned(),
            work => format!("{}/{}", self.network, work.name()),
        }
    }

    fn image(&self) -> [usize; 3] {
        if self.network == "reference" { [28, 28, 1] } else { [32, 32, 3] }
    }

    fn network(&self) -> Result<Network> {
        match self.network {
            "vgg11" => classics::vgg11(self.image(), CLASSES),
            name => shipped::network(name, self.image(), CLASSES),
        }
    }

    /// Images of a batch where nobody asks for another number: 64 for the reference network, else 128, or 16 where a processor
    /// computes.
    pub fn batch(&self, device: &Device) -> usize {
        match self.network {
            "reference" => 64,
            _ if device.is_processor() => 16,
            _ => 128,
        }
    }

    /// What it does, in a line.
    pub fn description(&self) -> String {
        let [h, w, c] = self.image();
        let batch = if self.network == "reference" { "batch 64" } else { "batch 128, on processors 16" };
        let work = match self.work {
            Work::Step => "training step",
            Work::Inference => "inference",
            Work::StartUp => "from opening the device to the end of the first step",
        };
        format!("{work}, images of {h}×{w}×{c}, {batch}")
    }
}

/// A network in a session, ready to be run.
struct Ready {
    session: Session,
    /// Whether a processor computes.
    processor: bool,
    /// Read after each submission.
    control: String,
}

impl Ready {
    /// The graph of the work.
    fn graph(
        device: &Device,
        (network, work): (&Network, Work),
        image: [usize; 3],
        batch: usize,
    ) -> Result<(Graph, Resident)> {
        let layout = network.layout()?;
        let count = if work == Work::Inference { batch } else { batch * BATCHES };
        let data = Resident { name: "train".into(), len: count, image, shard: count };
        let graph = match work {
            Work::Inference => program::predict(network, &layout, &data)?,
            _ => program::train(network, &layout, &data, &TrainConfig { batch, ..TrainConfig::default() })?,
        };
        Ok((device.fuse(graph, &[])?.0, data))
    }

    /// Plans, proves, compiles, uploads.
    fn new(device: &Device, network: &Network, graph: Graph, data: &Resident, options: Options) -> Result<Self> {
        let is_training = graph.nodes().iter().any(|node| node.name == "optimizer");
        let mut session = trust::session(device, vec![graph], options)?;
        let pixels = data.len * data.image.iter().product::<usize>();
        let images = fill(pixels, |i| (random(1, 0, i as u32) & 255) as u8);
        let labels = fill(data.len, |i| random(2, 0, i as u32) % CLASSES as u32);
        upload(&mut session, data, &Split::new(images, labels, data.image)?)?;
        write_state(&mut session, &network.layout()?.draw(0))?;
        let mut control = format!("{}.control", data.name);
        if is_training {
            let rates = TrainConfig::default().rates(BATCHES as u64, 1, TrainConfig::default().lr);
            let table: Vec<f32> = rates.iter().flatten().copied().collect();
            session.write(names::RATES, &Tensor::float([BATCHES, rates[0].len()], table))?;
            control = names::CONTROL.to_owned();
        }
        session.write(&control, &Tensor::u32([control::LEN], vec![0; control::LEN]))?;
        Ok(Self { session, processor: device.is_processor(), control })
    }

    /// Runs so many steps as training does, a submission recorded while a GPU works on the one before, and waits until the step counter
    /// of the last one arrives.
    fn run(&mut self, steps: usize) -> Result<()> {
        let mut before: Option<Reading> = None;
        for count in submissions(steps, self.processor) {
            let reading = self.session.run(0, count, &[&self.control])?;
            if let Some(before) = before.replace(reading) {
                pollster::block_on(before.wait())?;
            }
        }
        before.map_or(Ok(()), |last| pollster::block_on(last.wait()).map(drop))
    }

    /// What went wrong in the steps, if anything: a value that is not finite stops them.
    fn trouble(&mut self, work: Work) -> Result<Option<String>> {
        if work == Work::Inference {
            let logits = pollster::block_on(self.session.read(&["train.logits"]))?;
            let finite = logits[0].floats().iter().all(|value| value.is_finite());
            return Ok((!finite).then(|| "the network's answers are not finite".into()));
        }
        let read = pollster::block_on(self.session.read(&[names::CONTROL, names::LOSSES]))?;
        let (flag, losses) = (read[0].u32s()[control::FLAG], read[1].floats());
        let sound = flag == 0 && losses.iter().all(|loss| loss.is_finite());
        Ok((!sound).then(|| format!("the loss or its gradient is not finite (losses {losses:?})")))
    }
}

/// Times the work with a network.
pub fn measure(bench: &mut Bench, whole: &Whole, told: &mut dyn FnMut(Row)) -> Result<()> {
    for (variant, baseline) in [("chosen", false), (BASELINE, true)] {
        // All nodes in the baseline variant, where only that is asked for.
        if bench.settings.variant.as_deref().map_or(!baseline, |wanted| wanted == variant) {
            variant_of(bench, whole, variant, Options { baseline, ..Options::default() }, told)?;
        }
    }
    Ok(())
}

fn variant_of(
    bench: &mut Bench,
    whole: &Whole,
    variant: &str,
    options: Options,
    told: &mut dyn FnMut(Row),
) -> Result<()> {
    let batch = bench.settings.batch.unwrap_or_else(|| whole.batch(&bench.device));
    let network = whole.network()?;
    let row = bench.row(&whole.name(), whole.work.name(), variant);
    let row = Row { batch: Some(batch), ..row };
    let (graph, data) = match Ready::graph(&bench.device, (&network, whole.work), whole.image(), batch) {
        Ok(made) => made,
        Err(error @ Error::Shape { .. }) => {
            told(row.not_run(error.to_string()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let (flops, bytes) = (graph.flops(), graph.bytes());
    // What comes before the first step is no matter of operations.
    let row = if whole.work == Work::StartUp { row } else { row.costs(flops, bytes) };
    let (kind, longest) = (format!("network {variant}"), bench.settings.longest() * super::NETWORK_STEP);
    let predicted = bench.predict(&kind, flops, bytes);
    if predicted > longest {
        told(row.not_run(bench.too_long("would take about", predicted, longest)));
        return Ok(());
    }
    let measured = match whole.work {
        Work::StartUp => start_up(bench, &network, &graph, &data, options).map(Ok),
        _ => repeated(bench, whole.work, &network, &graph, &data, options),
    };
    match measured {
        Ok(Ok(sample)) if whole.work == Work::StartUp => {
            let timed = row.timed(&sample, None);
            told(Row { gflops: None, gb_s: None, ..timed });
        }
        Ok(Ok(sample)) => {
            bench.learn(&kind, sample.median, flops, bytes);
            told(row.timed(&sample, bench.roofs.as_ref()).step(batch));
        }
        Ok(Err(story)) => told(row.wrong(story)),
        Err(error @ (Error::Shape { .. } | Error::Device(_) | Error::Memory(_))) => {
            told(row.not_run(error.to_string()))
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Many steps in one session.
fn repeated(
    bench: &Bench,
    work: Work,
    network: &Network,
    graph: &Graph,
    data: &Resident,
    options: Options,
) -> Result<Result<Sample, String>> {
    let mut ready = Ready::new(&bench.device, network, graph.clone(), data, options)?;
    ready.run(1)?;
    if let Some(trouble) = ready.trouble(work)? {
        return Ok(Err(trouble));
    }
    let seconds = bench.settings.seconds * super::NETWORK_SECONDS;
    let sample = sample(seconds, |steps| ready.run(steps))?;
    Ok(ready.trouble(work)?.map_or(Ok(sample), Err))
}

/// Starts anew a few times. The driver's cache of compiled shaders and what was proven before are warm.
fn start_up(bench: &Bench, network: &Network, graph: &Graph, data: &Resident, options: Options) -> Result<Sample> {
    const STARTS: usize = 3;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let device = bench.reopen()?;
        Ready::new(&device, network, graph.clone(), data, options)?.run(1)?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(Sample::of(times, 1))
}
