//! The commands of the chaos tests.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use chaos::live::plan::Fault;
use chaos::live::run;
use chaos::sim::batch::{self, Batch};
use chaos::{history, invariants, sim};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Proves that the store keeps its contract.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulates whole clusters, each under a seed.
    Sim(SimArgs),
    /// Simulates one seed in this process and prints the verdict as JSON.
    #[command(hide = true)]
    Seed {
        seed: u64,
        #[arg(long, default_value_t = sim::SECONDS)]
        seconds: u64,
        #[arg(long)]
        sabotage: Option<String>,
        #[arg(long)]
        history: Option<PathBuf>,
    },
    /// Breaks a cluster of real processes while clients work. Needs root.
    Live(LiveArgs),
    /// Judges a recorded history.
    Check {
        /// A file of JSON lines.
        history: PathBuf,
    },
}

#[derive(clap::Args)]
struct SimArgs {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Simulated seconds of each.
    #[arg(long, default_value_t = sim::SECONDS)]
    seconds: u64,
    /// Runs a store that is broken on purpose until that is found; `all` for each of them.
    #[arg(long)]
    sabotage: Option<String>,
    /// Names the ways in which the store can be broken.
    #[arg(long)]
    list_sabotage: bool,
    /// Processes at a time; by default one per core.
    #[arg(long)]
    jobs: Option<usize>,
    /// Prints the hash of each run.
    #[arg(long)]
    verbose: bool,
    /// Writes the history of the only seed to this file.
    #[arg(long)]
    history: Option<PathBuf>,
}

#[derive(clap::Args)]
struct LiveArgs {
    /// Seconds in which faults begin.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// No other fault than this one.
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// Chooses the order of faults and calls; by default the time.
    #[arg(long)]
    seed: Option<u64>,
    /// The program; by default `trireme` beside this one (`cargo build --release` makes it).
    #[arg(long)]
    program: Option<PathBuf>,
    /// Writes the history to this file, whatever the verdict.
    #[arg(long)]
    history: Option<PathBuf>,
}

fn main() -> ExitCode {
    drop(
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
            .with_writer(std::io::stderr)
            .without_time()
            .try_init(),
    );
    let done = match Args::parse().command {
        Command::Sim(args) => simulate(&args),
        Command::Seed { seed, seconds, sabotage, history } => {
            batch::one(seed, seconds, sabotage.as_deref(), history.as_deref()).and_then(|verdict| {
                println!("{}", serde_json::to_string(&verdict).map_err(|e| e.to_string())?);
                Ok(verdict.violations.is_empty())
            })
        }
        Command::Live(args) => live(args),
        Command::Check { history } => check(&history),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos-tests: {error}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(args: &SimArgs) -> Result<bool, String> {
    if args.list_sabotage {
        store::SABOTAGES.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(true);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let batch = Batch {
        first_seed: args.seed,
        seeds: args.seeds,
        seconds: args.seconds,
        sabotage: args.sabotage.clone(),
        jobs: args.jobs.unwrap_or(cores),
        stop_early: args.sabotage.is_some(),
        verbose: args.verbose,
    };
    if let Some(path) = &args.history {
        let verdict = batch::one(args.seed, args.seconds, args.sabotage.as_deref(), Some(path))?;
        println!("{} operations, history in {}", verdict.operations, path.display());
    }
    match args.sabotage.as_deref() {
        None => healthy(&batch),
        Some("all") => {
            let mut missed = 0;
            for (name, _) in store::SABOTAGES {
                let batch = Batch { sabotage: Some((*name).to_owned()), ..batch.clone() };
                missed += u64::from(!sabotaged(&batch, name)?);
            }
            let all = store::SABOTAGES.len() as u64;
            println!("{} of {all} sabotages caught", all - missed);
            Ok(missed == 0)
        }
        // One that is chosen by name is a store with a violation: the exit code says so.
        Some(name) => sabotaged(&batch, name).map(|caught| !caught),
    }
}

fn healthy(batch: &Batch) -> Result<bool, String> {
    let started = Instant::now();
    let summary = batch.run()?;
    println!(
        "{} seeds of {} s, {} operations, {} steps, hash {:016x}, {:.1} s: {}",
        summary.runs,
        batch.seconds,
        summary.operations,
        summary.steps,
        summary.hash,
        started.elapsed().as_secs_f64(),
        if summary.failed.is_empty() {
            "no violation".to_owned()
        } else {
            let not_judged: usize = summary.failed.values().map(|found| invariants::not_judged(found)).sum();
            format!("{} seeds with violations, {not_judged} groups of keys not judged", summary.failed.len())
        }
    );
    Ok(summary.failed.is_empty())
}

/// Whether the sabotage was found.
fn sabotaged(batch: &Batch, name: &str) -> Result<bool, String> {
    let started = Instant::now();
    let summary = batch.run()?;
    let first = summary.failed.first_key_value();
    let found = first.and_then(|(seed, violations)| Some((seed, violations.first()?)));
    let seconds = started.elapsed().as_secs_f64();
    match found {
        Some((seed, violation)) => println!(
            "| {name} | {} | {} | {} |",
            violation.invariant,
            seed - batch.first_seed + 1,
            violation.text.chars().take(140).collect::<String>()
        ),
        None => println!("{name}: NOT caught after {} seeds ({seconds:.1} s)", summary.runs),
    }
    Ok(found.is_some())
}

fn live(args: LiveArgs) -> Result<bool, String> {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("trireme"));
    let program = args.program.or_else(beside).filter(|program| program.exists());
    let program = program.ok_or("no program to test: `cargo build --release` makes it, or give --program")?;
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(|e| e.to_string())?;
    let seed = args.seed.unwrap_or(now.as_secs());
    let (seconds, faults, history) = (args.seconds, args.fault.into_iter().collect(), args.history);
    let options = run::Options { seconds, faults, seed, program, disks: true, history };
    run::run(&options).map(|verdict| verdict.violations.is_empty())
}

fn check(path: &PathBuf) -> Result<bool, String> {
    let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let records = history::read(BufReader::new(file)).map_err(|e| format!("{}: {e}", path.display()))?;
    let violations = invariants::check(&records);
    for violation in &violations {
        println!("{}: {}", violation.invariant, violation.text);
    }
    let not_judged = invariants::not_judged(&violations);
    println!(
        "{} records, {not_judged} groups of keys not judged, {} violations",
        records.len(),
        violations.len()
    );
    Ok(violations.is_empty())
}
