//! What does watching cost? The same training, watched in one step of 50 and not watched at all, alternately in one process:
//! A B A B. The first round of each is not counted: it is the one whose kernels a driver may have yet to compile.
//!
//! ```text
//! cargo bench --bench watching                 100 rounds of 50 steps each
//! cargo bench --bench watching -- 10           10 rounds
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wgrad::bench::sample::quantile;
use wgrad::data;
use wgrad::gpu::device::BackendChoice;
use wgrad::nn::{Network, shipped};
use wgrad::session::Device;
use wgrad::train::flow::Watch;
use wgrad::train::{Event, TrainConfig, Trainer};

/// Steps of a round that are counted, the last of which the default watches.
const STEPS: u64 = 50;

/// The time of all steps of a round but the first.
fn round(trainer: &mut Trainer) -> Result<Duration> {
    let (mut begun, mut ended) = (None, Instant::now());
    pollster::block_on(trainer.fit(|event| {
        if let Event::Progress(_) = event {
            ended = Instant::now();
            begun.get_or_insert(ended);
        }
    }))?;
    Ok(ended - begun.context("a round without steps")?)
}

fn measure(device: &Device, network: &Network, rounds: usize) -> Result<()> {
    let data = data::load("builtin", &data::LoadOptions::default())?;
    let trainer = |every| {
        let watch = Watch { every, ..Watch::default() };
        let config = TrainConfig { epochs: 1, steps: Some(STEPS + 1), watch, ..TrainConfig::default() };
        Trainer::new(device, network, &data, &config)
    };
    let mut both = [trainer(0)?, trainer(Watch::default().every)?];
    both.iter_mut().try_for_each(|trainer| round(trainer).map(drop))?;
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..rounds {
        // Who comes first changes: the second one finds a warmer machine.
        let order = if number % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            times[which].push(round(&mut both[which])?.as_secs_f64());
        }
    }
    let mut ratios: Vec<f64> = times[1].iter().zip(&times[0]).map(|(watched, plain)| watched / plain).collect();
    times.iter_mut().chain([&mut ratios]).for_each(|numbers| numbers.sort_by(f64::total_cmp));
    let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(&ratios, part));
    // A machine that does other things besides makes rounds longer and never shorter.
    let quiet = times.each_ref().map(|times| quantile(times, 0.1));
    println!(
        "{:12} {:8.2} ms a step · watched {middle:.3} times as long ({low:.3} to {high:.3}), {:.3} in quiet rounds",
        network.name,
        quantile(&times[0], 0.5) * 1e3 / STEPS as f64,
        quiet[1] / quiet[0],
    );
    Ok(())
}

fn main() -> Result<()> {
    // Cargo adds options of its own.
    let rounds = match std::env::args().skip(1).find(|argument| !argument.starts_with("--")) {
        Some(rounds) => rounds.parse().ok().filter(|&rounds| rounds > 0),
        None => Some(100),
    };
    let rounds = rounds.context("the only argument is a number of rounds, 1 or more")?;
    let device = pollster::block_on(Device::open("auto", BackendChoice::Auto))?;
    println!("{rounds} rounds of {STEPS} steps each, alternately; medians, the middle half, and the fastest tenth");
    for network in [shipped::reference([28, 28, 1], 10)?, shipped::residual_bn([28, 28, 1], 10)?] {
        measure(&device, &network, rounds)?;
    }
    Ok(())
}
