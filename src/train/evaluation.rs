//! Scoring a network on labelled images: loss, accuracy, confusion matrix.

use super::micro_batch;
use super::program::{Resident, evaluate};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::{Layout, Network, PARAMETERS, STATISTICS};
use crate::ops::control;
use crate::session::{Device, Options, Session};
use crate::tensor::Tensor;
use crate::verify::trust;

/// Images that are scored at a time where the device can.
const BATCH: usize = 250;

/// How a network did on a set of images.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// Mean cross-entropy over all images, without label smoothing.
    pub loss: f64,
    /// Share of images whose largest logit is their label's.
    pub accuracy: f64,
    /// Row: the label; column: the network's answer; images counted.
    pub confusion: Vec<Vec<u64>>,
    /// The network's answer to each image.
    pub classes: Vec<u32>,
    /// The cross-entropy of each image.
    pub losses: Vec<f32>,
}

impl Evaluation {
    fn new(labels: &[u32], losses: Vec<f32>, classes: Vec<u32>, count: usize) -> Self {
        let mut confusion = vec![vec![0; count]; count];
        let mut right = 0u64;
        for (&label, &class) in labels.iter().zip(&classes) {
            right += u64::from(label == class);
            if let Some(cell) = confusion.get_mut(label as usize).and_then(|row| row.get_mut(class as usize)) {
                *cell += 1;
            }
        }
        let images = labels.len().max(1) as f64;
        let loss = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / images;
        Self { loss, accuracy: right as f64 / images, confusion, classes, losses }
    }
}

/// A set of images inside a session, ready to be scored.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The images.
    pub resident: Resident,
    /// Which graph of the session scores them.
    pub graph: usize,
    batch: usize,
    labels: Vec<u32>,
    classes: usize,
}

impl Scored {
    /// Images `split` under the name `name`, scored by graph number `graph`, as many at a time as the device can bind and at most
    /// so many; answers that graph too.
    pub fn new(
        name: &str,
        split: &Split,
        classes: usize,
        network: (&Network, &Layout),
        (device, most): (&Device, usize),
        graph: usize,
    ) -> Result<(Self, Graph)> {
        let resident = Resident::new(name, split.len(), split.shape, device.max_binding_bytes());
        let graph_of = |batch| evaluate(network.0, network.1, &resident, batch);
        let most = most.min(BATCH).min(split.len());
        let batch = micro_batch::largest(device, most, |batch| Ok(device.fuse(graph_of(batch)?, &[])?.0))?;
        let built = graph_of(batch)?;
        Ok((Self { resident, graph, batch, labels: split.labels.clone(), classes }, built))
    }

    /// Brings the images to the device.
    pub fn upload(&self, session: &mut Session, split: &Split) -> Result<()> {
        upload(session, &self.resident, split)
    }

    /// Scores the session's current parameters.
    pub async fn run(&self, session: &mut Session) -> Result<Evaluation> {
        let name = &self.resident.name;
        session.write(&format!("{name}.control"), &Tensor::u32([control::LEN], vec![0; control::LEN]))?;
        let (losses, classes) = (format!("{name}.losses"), format!("{name}.classes"));
        let steps = self.resident.len.div_ceil(self.batch);
        // Some batches a submission: long ones are reset by some drivers.
        const TOGETHER: usize = 8;
        for done in (0..steps).step_by(TOGETHER) {
            session.run(self.graph, TOGETHER.min(steps - done), &[])?;
        }
        let read = session.read(&[&losses, &classes]).await?;
        Ok(Evaluation::new(&self.labels, read[0].floats().to_vec(), read[1].u32s().to_vec(), self.classes))
    }
}

/// Brings a set of images to the device.
pub fn upload(session: &mut Session, resident: &Resident, split: &Split) -> Result<()> {
    parts(resident, split, |name, tensor| session.write(name, &tensor))
}

/// Gives the values that make up a set of images to `put`, one after the other.
pub(super) fn parts(resident: &Resident, split: &Split, mut put: impl FnMut(&str, Tensor) -> Result<()>) -> Result<()> {
    put(&resident.labels(), Tensor::u32([split.len()], split.labels.clone()))?;
    let [h, w, c] = resident.image;
    for (name, rows) in resident.shards() {
        let bytes = split.images[rows.start * h * w * c..rows.end * h * w * c].to_vec();
        put(&name, Tensor::u8([rows.len(), h, w, c], bytes))?;
    }
    Ok(())
}

/// A trained network on a device, without an optimiser: what `evaluate` and `predict` use.
pub struct Evaluator {
    session: Session,
    scored: Scored,
}

impl Evaluator {
    /// Prepares to score `split`. The parameters are the flat buffers of the network's layout.
    pub fn new(
        device: &Device,
        network: &Network,
        split: &Split,
        classes: usize,
        state: &[Vec<f32>; 2],
    ) -> Result<Self> {
        let layout = network.layout()?;
        check_fit(network, split.shape, classes)?;
        let mut most = BATCH;
        let (scored, mut session) = loop {
            let (scored, graph) = Scored::new("test", split, classes, (network, &layout), (device, most), 0)?;
            match trust::session(device, vec![device.fuse(graph, &[])?.0], Options::default()) {
                Err(Error::Memory(_)) if most > 1 => most = most.div_ceil(2),
                session => break (scored, session?),
            }
        };
        scored.upload(&mut session, split)?;
        write_state(&mut session, state)?;
        Ok(Self { session, scored })
    }

    /// Scores the images.
    pub async fn run(&mut self) -> Result<Evaluation> {
        self.scored.run(&mut self.session).await
    }
}

/// Brings flat parameters and running statistics to the device.
pub fn write_state(session: &mut Session, [parameters, statistics]: &[Vec<f32>; 2]) -> Result<()> {
    let mut statistics = statistics.clone();
    statistics.resize(statistics.len().max(1), 0.0);
    session.write(PARAMETERS, &Tensor::float([parameters.len()], parameters.clone()))?;
    session.write(STATISTICS, &Tensor::float([statistics.len()], statistics))
}

/// Height, width and channels of the one input of a network that can be trained.
pub fn image_of(network: &Network) -> Result<[usize; 3]> {
    let image = match network.inputs.as_slice() {
        [input] => <[usize; 3]>::try_from(input.shape.clone()).ok(),
        _ => None,
    };
    image.ok_or_else(|| {
        Error::Invalid(format!("network {} has not one input of images: it cannot be trained", network.name))
    })
}

/// Whether a network takes such images and tells so many classes apart.
pub fn check_fit(network: &Network, image: [usize; 3], classes: usize) -> Result<()> {
    let [input] = network.inputs.as_slice() else {
        let count = network.inputs.len();
        return Err(Error::Invalid(format!(
            "network {} has {count} inputs; a data set of images feeds one",
            network.name
        )));
    };
    if input.shape != image {
        return Err(Error::Invalid(format!(
            "network {} takes images of shape {:?} (h, w, c) and the data has {image:?}",
            network.name, input.shape
        )));
    }
    let summary = network.summary(1)?;
    let output = summary.rows.last().map(|row| row.output.clone()).unwrap_or_default();
    if output != [1, classes] {
        return Err(Error::Invalid(format!(
            "network {} ends in shape {output:?} for one image and the data has {classes} classes; it must end in [1, {classes}]",
            network.name
        )));
    }
    Ok(())
}
