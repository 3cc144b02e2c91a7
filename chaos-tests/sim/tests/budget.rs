//! The simulation as part of the test command: the same seed is the same run, no seed breaks an
//! invariant, and every sabotage is caught.

use std::path::Path;

use chaos::sim::SECONDS;
use chaos::sim::batch::Batch;

/// Seeds of the budget; `CHAOS_SEEDS` says another number.
const SEEDS: u64 = 2_000;

/// Seeds in which each sabotage must be caught.
const SABOTAGE_SEEDS: u64 = 300;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_chaos-tests"))
}

fn batch(first_seed: u64, seeds: u64) -> Batch {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    Batch { first_seed, seeds, seconds: SECONDS, sabotage: None, jobs, stop_early: false, verbose: false }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let runs = [(); 2].map(|()| batch(1, 10).run_with(program()).expect("runs"));
    assert_eq!((runs[0].hash, runs[0].steps), (runs[1].hash, runs[1].steps));
    let other = batch(2, 10).run_with(program()).expect("runs");
    assert_ne!(runs[0].hash, other.hash, "other seeds are other runs");
}

#[test]
fn no_seed_breaks_an_invariant() {
    let seeds = std::env::var("CHAOS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let summary = batch(1, seeds).run_with(program()).expect("runs");
    assert_eq!(summary.runs, seeds);
    assert!(summary.operations > seeds * 100, "the clients did little: {} operations", summary.operations);
    assert!(summary.failed.is_empty(), "{:#?}", summary.failed);
}

#[test]
fn every_sabotage_is_caught() {
    let mut missed = Vec::new();
    for (name, _) in store::SABOTAGES {
        let sabotage = Some((*name).to_owned());
        let batch = Batch { sabotage, stop_early: true, ..batch(1, SABOTAGE_SEEDS) };
        if batch.run_with(program()).expect("runs").failed.is_empty() {
            missed.push(*name);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
