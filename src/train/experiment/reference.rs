//! The first step of a version in float64 on the CPU, which the device's gradients are held against.

use super::Version;
use crate::data::Dataset;
use crate::error::Result;
use crate::nn::{PARAMETERS, STATISTICS};
use crate::session::cpu::CpuSession;
use crate::tensor::Tensor;
use crate::train::evaluation::{check_fit, parts};
use crate::train::flow::{self, Facts, Watcher};
use crate::train::program::{self, Resident, names};

/// The norm of the first layer's gradient over that of the last one's in the version's first step, from the reference operators in
/// float64, unfused, from the weights that it begins with. None where the network has fewer than two such layers.
///
/// # Errors
/// Whatever makes a version impossible to train on these images.
pub fn first_over_last(version: &Version, data: &Dataset) -> Result<Option<f64>> {
    let Version { network, config, .. } = version;
    config.check(data.train.len())?;
    check_fit(network, data.train.shape, data.classes.len())?;
    let layout = network.layout()?;
    let train = Resident::new("train", data.train.len(), data.train.shape, u64::MAX);
    let (mut graph, values) = program::train_with_values(network, &layout, &train, config)?;
    let dead_images = config.watch.thresholds.dead_images;
    let mut watcher = Watcher::attach(&mut graph, network, &layout, &values, u64::MAX, dead_images)?;
    let mut session = CpuSession::<f64>::new(vec![graph], true);
    parts(&train, &data.train, |name, tensor| session.write(name, &tensor.cast(f64::from)))?;
    let [parameters, mut statistics] = layout.draw(config.seed);
    statistics.resize(statistics.len().max(1), 0.0);
    for (name, flat) in [(PARAMETERS, parameters), (STATISTICS, statistics)] {
        // A network without normalisation has no statistics to write.
        if session.read(name).is_ok() {
            session.write(name, &Tensor::float([flat.len()], flat.into_iter().map(f64::from).collect()))?;
        }
    }
    let steps = data.train.len() / config.batch;
    let rates: Vec<f64> = config.rates(steps as u64, 1, config.lr).into_iter().flatten().map(f64::from).collect();
    session.write(names::RATES, &Tensor::float([steps, rates.len() / steps], rates))?;
    let read = session.run_watched(0, 1, &flow::READ)?;
    let first = watcher.flow(&read, config.batch as u64);
    Ok(flow::first_over_last(&Facts::new(network, config, data.classes.len()), &[first]))
}
