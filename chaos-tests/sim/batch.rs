//! Many seeds, each in a process of its own, as many at a time as there are cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::run;
use crate::history;
use crate::invariants::{self, Violation};

/// A run that takes longer is stopped, and counts as a violation.
const HANGS: Duration = Duration::from_secs(120);

/// What the process of one seed prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub seed: u64,
    /// A checksum over every step, and their number.
    pub hash: u64,
    pub steps: u64,
    /// Operations of clients.
    pub operations: u64,
    pub violations: Vec<Violation>,
}

/// Which seeds, and how.
#[derive(Debug, Clone)]
pub struct Batch {
    pub first_seed: u64,
    pub seeds: u64,
    pub seconds: u64,
    pub sabotage: Option<String>,
    pub jobs: usize,
    /// Ends at the first violation.
    pub stop_early: bool,
    /// Says which seed had which hash.
    pub verbose: bool,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Summary {
    pub runs: u64,
    pub operations: u64,
    pub steps: u64,
    /// The hashes of all runs, together.
    pub hash: u64,
    /// By seed.
    pub failed: BTreeMap<u64, Vec<Violation>>,
}

/// Runs one seed in this process.
///
/// # Errors
/// The fault is not known, or the history can not be written.
pub fn one(
    seed: u64,
    seconds: u64,
    sabotage: Option<&str>,
    history_file: Option<&Path>,
) -> Result<Verdict, String> {
    let fault = match sabotage {
        None => None,
        Some(name) => {
            let known = store::SABOTAGES.iter().find(|(known, _)| *known == name);
            Some(known.ok_or_else(|| format!("no sabotage has the name {name}"))?.1)
        }
    };
    store::choose_sabotage(fault);
    // A new thread: its hash maps get their keys from the seed.
    let finished = std::thread::spawn(move || run::run(seed, seconds))
        .join()
        .map_err(|_| "the simulation panicked".to_owned())?;
    if let Some(path) = history_file {
        let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
        history::write(&finished.history, BufWriter::new(file)).map_err(|e| e.to_string())?;
    }
    let invoked = |record: &&history::Record| matches!(record.what, history::What::Invoke { .. });
    Ok(Verdict {
        seed,
        hash: finished.hash,
        steps: finished.steps,
        operations: finished.history.iter().filter(invoked).count() as u64,
        violations: invariants::check(&finished.history),
    })
}

impl Batch {
    /// Runs them all.
    ///
    /// # Errors
    /// A process can not be started.
    pub fn run(&self) -> Result<Summary, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        self.run_with(&program)
    }

    /// [`Batch::run`] with this program as the one that runs a seed.
    ///
    /// # Errors
    /// A process can not be started.
    pub fn run_with(&self, program: &Path) -> Result<Summary, String> {
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let summary = Mutex::new((Summary::default(), None::<String>));
        let work = || {
            while !stop.load(Ordering::SeqCst) {
                let place = next.fetch_add(1, Ordering::SeqCst);
                if place >= self.seeds {
                    return;
                }
                let seed = self.first_seed + place;
                let verdict = self.process(program, seed);
                let mut kept = summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match verdict {
                    Ok(verdict) => {
                        let failed = !verdict.violations.is_empty();
                        self.add(&mut kept.0, verdict);
                        stop.fetch_or(failed && self.stop_early, Ordering::SeqCst);
                    }
                    Err(error) => {
                        kept.1 = Some(error);
                        stop.store(true, Ordering::SeqCst);
                    }
                }
            }
        };
        std::thread::scope(|scope| (0..self.jobs.max(1)).for_each(|_| drop(scope.spawn(work))));
        let (summary, error) = summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        error.map_or(Ok(summary), Err)
    }

    fn add(&self, summary: &mut Summary, verdict: Verdict) {
        summary.runs += 1;
        summary.operations += verdict.operations;
        summary.steps += verdict.steps;
        // In whatever order the processes end.
        summary.hash ^= verdict.hash.rotate_left((verdict.seed % 64) as u32);
        if self.verbose {
            println!("seed {} hash {:016x} steps {}", verdict.seed, verdict.hash, verdict.steps);
        }
        if !verdict.violations.is_empty() {
            if self.sabotage.is_none() {
                for violation in verdict.violations.iter().take(5) {
                    println!("seed {}: {}: {}", verdict.seed, violation.invariant, violation.text);
                }
                println!("  again with: {}", self.again(verdict.seed));
            }
            summary.failed.insert(verdict.seed, verdict.violations);
        }
    }

    /// The command that runs a seed again.
    #[must_use]
    pub fn again(&self, seed: u64) -> String {
        let mut command = format!("cargo run --release -p chaos-tests -- sim --seeds 1 --seed {seed}");
        if self.seconds != super::SECONDS {
            command += &format!(" --seconds {}", self.seconds);
        }
        if let Some(name) = &self.sabotage {
            command += &format!(" --sabotage {name}");
        }
        command
    }

    fn process(&self, program: &Path, seed: u64) -> Result<Verdict, String> {
        let mut command = Command::new(program);
        command.arg("seed").arg(seed.to_string()).arg("--seconds").arg(self.seconds.to_string());
        if let Some(name) = &self.sabotage {
            command.arg("--sabotage").arg(name);
        }
        let log = if std::env::var_os("RUST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() };
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.map_err(|e| format!("{}: {e}", program.display()))?;
        let started = Instant::now();
        let output = std::thread::scope(|scope| {
            let out = child.stdout.take();
            let reader = scope.spawn(move || {
                let mut text = String::new();
                // A process that was killed has said nothing: that is seen below.
                drop(out.map(|mut out| std::io::Read::read_to_string(&mut out, &mut text)));
                text
            });
            while !reader.is_finished() && started.elapsed() < HANGS {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if !reader.is_finished() {
                // It may have ended just now.
                drop(child.kill());
            }
            reader.join().unwrap_or_default()
        });
        let status = child.wait().map_err(|e| e.to_string())?;
        let verdict = output.lines().last().and_then(|line| serde_json::from_str(line).ok());
        Ok(verdict.unwrap_or_else(|| {
            let text = format!("the run gave no verdict ({status}) after {:?}", started.elapsed());
            let violations = vec![Violation { invariant: "runs to its end".to_owned(), text }];
            Verdict { seed, hash: 0, steps: 0, operations: 0, violations }
        }))
    }
}

/// Where the history of a seed goes when it is asked for.
#[must_use]
pub fn history_path(dir: &Path, seed: u64) -> PathBuf {
    dir.join(format!("history-{seed}.jsonl"))
}
