//! The rows of the table.

mod failover;
mod large;
mod pairs;
mod steady;
mod watch;

use std::time::Duration;

use anyhow::Result;

use crate::Options;
use crate::cluster::etcd_version;

/// A row.
#[derive(clap::Subcommand)]
pub enum Row {
    /// Every row.
    All(Options),
    /// Puts per second with 256 clients, against etcd.
    Puts(Options),
    /// Latency of one client's puts, against etcd and against fsyncs of the same disk.
    Single(Options),
    /// Linearizable reads per second with 256 clients, against etcd.
    Reads(Options),
    /// 1,000 watchers of everything, 100 writes per second.
    WatchAll(Options),
    /// 10,000 watchers of one node each, 1,000 writes per second.
    WatchNode(Options),
    /// Memory per object.
    Memory(Options),
    /// Restart with 1,000,000 objects.
    Restart(Options),
    /// A new member catches up while writes go on.
    CatchUp(Options),
    /// Kills of the leader, and planned transfers.
    Failover(Options),
    /// A steady run: memory and disk over 24 hours.
    Steady(SteadyOptions),
    /// 10,000 node heartbeats per second.
    Heartbeats(Options),
}

#[derive(clap::Args, Clone)]
pub struct SteadyOptions {
    #[command(flatten)]
    pub common: Options,
    /// Seconds of the measured part.
    #[arg(long, default_value_t = 50)]
    pub seconds: u64,
    /// Writes per second.
    #[arg(long, default_value_t = 8_000)]
    pub rate: u64,
}

/// Runs a row and prints what it showed.
pub async fn run(row: Row) -> Result<()> {
    println!("{}", about());
    match row {
        Row::All(options) => all(&options).await,
        Row::Puts(options) => pairs::run(&options, &[pairs::PUTS]).await,
        Row::Single(options) => pairs::run(&options, &[pairs::SINGLE]).await,
        Row::Reads(options) => pairs::run(&options, &[pairs::READS]).await,
        Row::WatchAll(options) => watch::everything(&options).await,
        Row::WatchNode(options) => watch::by_node(&options).await,
        Row::Memory(options) => large::memory(&options).await,
        Row::Restart(options) => large::run(&options, large::Parts { restart: true, catch_up: false }).await,
        Row::CatchUp(options) => large::run(&options, large::Parts { restart: false, catch_up: true }).await,
        Row::Failover(options) => failover::run(&options).await,
        Row::Steady(options) => steady::run(&options).await,
        Row::Heartbeats(options) => steady::heartbeats(&options).await,
    }
}

async fn all(options: &Options) -> Result<()> {
    pairs::run(options, &[pairs::PUTS, pairs::SINGLE, pairs::READS]).await?;
    watch::everything(options).await?;
    watch::by_node(options).await?;
    failover::run(options).await?;
    steady::heartbeats(options).await?;
    steady::run(&SteadyOptions { common: options.clone(), seconds: 50, rate: 8_000 }).await?;
    large::run(options, large::Parts { restart: true, catch_up: true }).await
}

fn about() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let peer =
        etcd_version().unwrap_or_else(|| "no etcd here (Debian: apt-get install etcd-server)".to_owned());
    format!("{}; {cores} cores, load {load}; {peer}", date(now.as_secs()))
}

/// The day of a moment (seconds since the Unix epoch), by the civil calendar.
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// Prints one figure against its target.
fn verdict(what: &str, figure: f64, unit: &str, target: f64, least: bool) {
    let reached = if least { figure >= target } else { figure <= target };
    let sign = if least { ">=" } else { "<=" };
    let mark = if reached { "reached" } else { "MISSED" };
    println!("  {what}: {figure:.2}{unit} (target {sign} {target}{unit}): {mark}");
}
