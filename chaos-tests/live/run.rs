//! One run: a cluster, a workload, faults one after the other, the verdict.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, SERVERS};
use super::inject;
use super::plan::{Fault, Plan, Step, Victim};
use super::stop::Stop;
use super::summary::{BEGINS, Summary};
use super::workload::{self, Door, Shared};
use crate::history::{self, Record, What};
use crate::invariants::{self, Violation};
use crate::sim::dice::Dice;

/// How long a healed cluster may take until every server answers.
const RECOVERY: Duration = Duration::from_secs(60);
/// Without faults: at the beginning, and between two faults.
const CALM: Duration = Duration::from_millis(1_000);
/// Faults of one run.
const MOST_FAULTS: usize = 10_000;

/// What to do.
pub struct Options {
    pub seconds: u64,
    /// Those wanted; all of them when none is named.
    pub faults: Vec<Fault>,
    pub seed: u64,
    pub program: PathBuf,
    /// Each server's data is on a file system of its own: the faults of disks need it.
    pub disks: bool,
    /// Where the history is written; when none is given, it is kept only after a violation.
    pub history: Option<PathBuf>,
}

/// What came out.
pub struct Verdict {
    pub summary: Summary,
    pub violations: Vec<Violation>,
}

/// Runs, and prints what happened.
///
/// # Errors
/// The run could not be made.
pub fn run(options: &Options) -> Result<Verdict, String> {
    let seed = options.seed;
    println!("seed {seed}");
    let stop = Stop::on_signals().map_err(|e| e.to_string())?;
    let folder = std::env::temp_dir().join(format!("trireme-chaos-{}", std::process::id()));
    let cluster = Cluster::start(&options.program, &folder, options.disks)?;
    let shared = Arc::new(Shared::default());
    let done = disturb(options, &cluster, &shared, &stop);
    if let Err(error) = &done {
        shared.recorder.record(What::Problem { text: error.clone() });
    }
    let records = shared.recorder.take();
    let violations = invariants::check(&records);
    let summary = Summary::of(&records);
    for (fault, gap_ms) in &summary.gaps {
        println!("{fault}: longest time without an acknowledged write {gap_ms} ms");
    }
    for violation in &violations {
        println!("VIOLATION {}: {}", violation.invariant, violation.text);
    }
    if !violations.is_empty() {
        println!("{}", cluster.logs());
    }
    if options.history.is_some() || !violations.is_empty() {
        let kept = options.history.clone();
        let path = kept.unwrap_or_else(|| std::env::temp_dir().join(format!("trireme-live-{seed}.jsonl")));
        save(&records, &path)?;
        println!("history in {}; `chaos-tests check` judges it again", path.display());
    }
    drop(cluster);
    let not_judged = invariants::not_judged(&violations);
    println!(
        "seed {seed}, {summary}, {not_judged} groups of keys not judged, {} violations",
        violations.len()
    );
    Ok(Verdict { summary, violations })
}

fn save(records: &[Record], path: &Path) -> Result<(), String> {
    let say = |e: std::io::Error| format!("{}: {e}", path.display());
    history::write(records, BufWriter::new(File::create(path).map_err(say)?)).map_err(say)
}

/// The workload and the faults, until the time is over.
fn disturb(options: &Options, cluster: &Cluster, shared: &Arc<Shared>, stop: &Stop) -> Result<(), String> {
    let door = cluster.door()?;
    door.ask(workload::prepare)??;
    let (working, seed) = (shared.clone(), options.seed);
    let work = door.inside(move |door| workload::run(door, seed, working));
    let faults = faults(options, cluster, &door, shared, stop);
    shared.stop();
    work.join().map_err(|_| "the workload panicked".to_owned())??;
    faults?;
    let shared = shared.clone();
    door.ask(move |door| workload::finals(door, shared))
}

fn faults(
    options: &Options,
    cluster: &Cluster,
    door: &Door,
    shared: &Arc<Shared>,
    stop: &Stop,
) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut plan = Plan::new(options.seed, &options.faults, SERVERS);
    let mut dice = Dice::new(options.seed, "live stutter");
    stop.wait(CALM);
    for _ in 0..MOST_FAULTS {
        if Instant::now() >= end || stop.is_asked() {
            break;
        }
        let Step { fault, victim, hold_ms } = plan.next_step();
        let leader = leader(door, stop)?;
        let victim = match victim {
            Victim::Leader => leader,
            Victim::Server(server) => server,
        };
        let role = if victim == leader { "leader" } else { "follower" };
        let name = format!("{fault:?} of server-{victim} ({role}) for {hold_ms} ms");
        shared.recorder.record(What::Fault { text: format!("{BEGINS}{name}") });
        shared.round.fetch_add(1, Ordering::Relaxed);
        let struck = inject::strike(cluster, fault, victim, Duration::from_millis(hold_ms), &mut dice, stop);
        shared.recorder.record(What::Fault { text: format!("healed: {name}") });
        struck.map_err(|error| format!("{name}: {error}"))?;
        let healed = Instant::now();
        recovered(door, stop).map_err(|error| format!("after {name}: {error}"))?;
        println!("{name}: all servers answer {} ms after it was healed", healed.elapsed().as_millis());
        shared.round.fetch_add(1, Ordering::Relaxed);
        stop.wait(CALM);
    }
    Ok(())
}

/// Who leads; waits for it while an election is under way.
fn leader(door: &Door, stop: &Stop) -> Result<u64, String> {
    let deadline = Instant::now() + RECOVERY;
    loop {
        match door.ask(workload::leader)? {
            Some(leader) => return Ok(leader),
            None if Instant::now() > deadline => return Err("no server knows a leader".to_owned()),
            None => stop.wait(Duration::from_millis(100)),
        }
    }
}

/// Waits until every server answers confirmed reads.
fn recovered(door: &Door, stop: &Stop) -> Result<(), String> {
    let deadline = Instant::now() + RECOVERY;
    for at in 0..SERVERS as usize {
        while let Err(error) = door.ask(move |door| async move { workload::is_ready(&door, at).await })? {
            if Instant::now() > deadline {
                return Err(format!("not healed within {} s: {error}", RECOVERY.as_secs()));
            }
            stop.wait(Duration::from_millis(100));
        }
    }
    Ok(())
}
