//! What does watching cost? The same training, watched in one step of 50 and not watched at all, alternately in one process:
//! A B A B. The first round of each is not counted: it is the one whose kernels a driver may have yet to compile.
//!
//! On a software driver the processor time of the process tells it too, and is disturbed less by what else the machine does; on a
//! GPU that is the host's part alone.
//!
//! ```text
//! cargo bench --bench watching                      100 rounds of 50 steps each
//! cargo bench --bench watching -- 10                10 rounds
//! cargo bench --bench watching -- 10 reference      of this network alone
//! ```

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use wgrad::bench::sample::quantile;
use wgrad::data;
use wgrad::gpu::BackendChoice;
use wgrad::gpu::timing::process_seconds;
use wgrad::nn::{Network, shipped};
use wgrad::session::Device;
use wgrad::train::flow::Watch;
use wgrad::train::{Event, TrainConfig, Trainer};

/// Steps of a round that are counted, the last of which the default watches.
const STEPS: u64 = 50;

/// Seconds of all steps of a round but the first: on the clock, and of all processors where the system tells.
fn round(trainer: &mut Trainer) -> Result<[f64; 2]> {
    let (mut begun, mut ended) = (None, None);
    pollster::block_on(trainer.fit(|event| {
        if let Event::Progress(_) = event {
            let now = (Instant::now(), process_seconds().unwrap_or(f64::NAN));
            begun.get_or_insert(now);
            ended = Some(now);
        }
    }))?;
    let (begun, ended) = begun.zip(ended).context("a round without steps")?;
    Ok([(ended.0 - begun.0).as_secs_f64(), ended.1 - begun.1])
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
            times[which].push(round(&mut both[which])?);
        }
    }
    println!(
        "{:12} {:8.2} ms a step",
        network.name,
        spread(times[0].iter().map(|[clock, _]| clock * 1e3 / STEPS as f64))[1]
    );
    for (of, name) in ["on the clock", "of processors"].into_iter().enumerate() {
        let ratios = times[1].iter().zip(&times[0]).map(|(watched, plain)| watched[of] / plain[of]);
        let [low, middle, high] = spread(ratios);
        println!("    {name:13}  watched {middle:.3} times as long ({low:.3} to {high:.3})");
    }
    Ok(())
}

/// The quartiles.
fn spread(numbers: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|part| quantile(&numbers, part))
}

fn main() -> Result<()> {
    // Cargo adds options of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let rounds = match arguments.first() {
        Some(rounds) => rounds.parse().ok().filter(|&rounds| rounds > 0),
        None => Some(100),
    };
    let rounds = rounds.context("the first argument is a number of rounds, 1 or more")?;
    let mut networks = vec![shipped::reference([28, 28, 1], 10)?, shipped::residual_bn([28, 28, 1], 10)?];
    if let Some(name) = arguments.get(1) {
        networks.retain(|network| network.name == *name);
        ensure!(!networks.is_empty(), "the second argument is reference or residual_bn, not {name}");
    }
    let device = pollster::block_on(Device::open("auto", BackendChoice::Auto))?;
    println!("{rounds} rounds of {STEPS} steps each, alternately; medians, and the middle half");
    networks.iter().try_for_each(|network| measure(&device, network, rounds))
}
