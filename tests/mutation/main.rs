//! The proof that the proof bites: shaders are made wrong in every way that one changed token can, and `wgrad verify` must
//! find each of them. `scripts/mutation.sh` runs it all; a dozen mutants are asked with every run of the tests.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../common/adapter.rs"]
mod adapter;
mod dozen;
mod equivalent;
mod operators;
mod report;
mod runner;
mod stages;
mod tokens;

use std::sync::Mutex;
use std::time::Instant;

use runner::{Fate, Memory, ask, folder, text};
use wgrad::gpu::compose::files;

/// The files that the environment asks for, or all, operators first.
fn wanted() -> Vec<&'static str> {
    let mut all: Vec<&str> = files().collect();
    all.sort_by_key(|file| (file.starts_with("shared/"), file.starts_with("conv2d_")));
    let Ok(named) = std::env::var("MUTATION_FILES") else { return all };
    let named: Vec<&str> = named.split([',', ' ']).map(|name| name.trim_start_matches("shaders/")).collect();
    let unknown: Vec<_> = named.iter().filter(|name| !all.contains(name)).collect();
    assert!(unknown.is_empty(), "there is no shader {unknown:?}");
    all.retain(|file| named.contains(file));
    all
}

#[test]
#[ignore = "takes long: scripts/mutation.sh"]
fn every_mutant_is_killed() {
    let (memory, list, mut report) = (Mutex::new(Memory::open()), equivalent::list(), report::Report::default());
    // Every SHARD-th mutant of COUNT: `MUTATION_SHARD=0/4`.
    let shard = std::env::var("MUTATION_SHARD").unwrap_or("0/1".into());
    let (own, count) =
        shard.split_once('/').map(|(own, count)| (own.parse().unwrap(), count.parse().unwrap())).unwrap();
    for file in wanted() {
        let started = Instant::now();
        let mutants: Vec<_> = operators::mutants(file, text(file)).into_iter().skip(own).step_by(count).collect();
        // `MUTATION_KNOWN=1` asks nothing, and reports what is known; who survived another program still counts as survivor.
        if std::env::var_os("MUTATION_KNOWN").is_none() {
            ask(file, &mutants, &memory);
        }
        let verdicts: Vec<_> = mutants.iter().map(|mutant| memory.lock().unwrap().last(mutant)).collect();
        mutants.iter().zip(&verdicts).for_each(|(mutant, verdict)| report.add(mutant, verdict.as_ref(), &list));
        let survived = verdicts.iter().flatten().filter(|verdict| verdict.fate == Fate::Survived).count();
        println!("{file}: {} mutants, {survived} not found, {:.0} s", mutants.len(), started.elapsed().as_secs_f64());
        std::fs::write(folder().join("report.md"), report.page()).unwrap();
    }
    println!("\n{}", report.table());
    let total = report.total();
    assert!(total.unasked == 0, "{} mutants are not asked yet", total.unasked);
    assert!(total.survived == 0, "{} survivors, in {}", total.survived, folder().join("report.md").display());
    assert!(report.stale.is_empty(), "{} mutants are listed as equivalent, but killed", report.stale.len());
}
