//! The API load generator: the rows of the API's speed, against any Kubernetes-compatible server.
//!
//! | file | what |
//! |---|---|
//! | `target.rs` | the servers and the keys of a kubeconfig |
//! | `client.rs` | one connection of one client (HTTP/1.1 over TLS) |
//! | `objects.rs` | what is written |
//! | `loops.rs` | clients with one request at a time: create, get, read-modify-write, list |
//! | `watch.rs` | watchers and a steady writer |
//! | `pods.rs` | the list of very many pods, and what it costs in memory |

mod client;
mod loops;
mod objects;
mod pods;
mod target;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use self::target::Target;
use crate::measure::resident;

/// What to run, and against what.
#[derive(clap::Args, Clone)]
pub struct Args {
    /// Whose server, and with whose keys.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: PathBuf,
    /// Servers to spread the clients over, instead of the kubeconfig's (https://HOST:PORT).
    #[arg(long)]
    server: Vec<String>,
    /// The server processes on this machine: for memory and CPU.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    /// Rows to run; all but `pods` when none is named.
    #[arg(value_enum)]
    rows: Vec<Row>,
    /// Seconds of each row.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Clients of the rows that have many.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    #[arg(long, default_value_t = 500)]
    watchers: usize,
    /// Writes per second that are watched.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    /// Pods of the row `pods`.
    #[arg(long, default_value_t = 100_000)]
    pods: usize,
    /// Ask for protobuf.
    #[arg(long)]
    protobuf: bool,
}

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Row {
    /// Creates of 1 KiB with many clients.
    Create,
    /// Creates of 1 KiB with one client.
    CreateOne,
    /// Reads of one object with many clients.
    Get,
    /// Reads of an object and writes of what was read, with many clients over 1,000 keys.
    Update,
    /// Lists of 5,000 objects of 1 KiB.
    List,
    /// Many watchers, few writes.
    Watch,
    /// Resident memory of the servers.
    Memory,
    /// The list of very many pods of 2 KiB, and the memory that it takes.
    Pods,
}

const USUAL: [Row; 7] =
    [Row::Create, Row::CreateOne, Row::Get, Row::Update, Row::List, Row::Watch, Row::Memory];

/// What rows share.
struct Bench {
    target: Target,
    args: Args,
}

impl Bench {
    fn time(&self) -> Duration {
        Duration::from_secs(self.args.seconds)
    }
}

/// Runs the rows and prints what they showed.
pub async fn run(args: Args) -> Result<()> {
    let target = Target::from_kubeconfig(&args.kubeconfig, &args.server, args.protobuf)?;
    let rows = if args.rows.is_empty() { USUAL.to_vec() } else { args.rows.clone() };
    let bench = Bench { target, args };
    objects::make_namespace(&bench.target).await.context("the namespace of the bench")?;
    for row in rows {
        match row {
            Row::Create => loops::create(&bench, bench.args.clients).await?,
            Row::CreateOne => loops::create(&bench, 1).await?,
            Row::Get => loops::get(&bench).await?,
            Row::Update => loops::update(&bench).await?,
            Row::List => loops::list(&bench).await?,
            Row::Watch => watch::run(&bench).await?,
            Row::Memory => memory(&bench)?,
            Row::Pods => pods::run(&bench).await?,
        }
    }
    objects::clean(&bench.target).await.context("cleaning up")
}

fn memory(bench: &Bench) -> Result<()> {
    let each = bench.args.pids.iter().map(|pid| resident(*pid)).collect::<Result<Vec<_>>>()?;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let shown: Vec<String> = each.iter().map(|bytes| format!("{:.0}", mebibytes(*bytes))).collect();
    println!("resident memory: {:.0} MiB ({})", mebibytes(each.iter().sum()), shown.join(" + "));
    Ok(())
}
