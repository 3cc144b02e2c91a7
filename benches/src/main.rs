//! The benches: one row of `README.md` each; those of the store, and the load generator of the API (`api/`).
//!
//! `cargo run --release -p trireme-benches -- all`, or the name of one row. Every row starts three
//! processes on loopback with fsync on, and where etcd is compared, three of etcd's beside them:
//! the two are measured in turns, so that what else the machine does hits both alike.
//!
//! | file | what |
//! |---|---|
//! | `rows/` | the rows |
//! | `load.rs`, `grpc.rs`, `frames.rs`, `wire.rs`, `values.rs` | the clients, the same for both sides |
//! | `cluster.rs`, `member.rs`, `tls.rs` | the processes |
//! | `measure.rs` | percentiles, CPU and memory |

mod api;
mod cluster;
mod frames;
mod grpc;
mod load;
mod measure;
mod member;
mod rows;
mod tls;
mod values;
mod wire;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use tokio::runtime::Builder;

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures the store and the API against their targets and their peers")]
enum Command {
    /// Runs a row, or all.
    #[command(flatten)]
    Row(rows::Row),
    /// Loads a Kubernetes API server.
    Api(api::Args),
    /// One of our members; started by the rows.
    #[command(hide = true)]
    Member(member::Args),
}

/// How much, and where.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Seconds instead of minutes, to see that the rows run; the figures mean nothing.
    #[arg(long)]
    toy: bool,
    /// Where the data goes: the disk that is measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Pairs of slices (ours, etcd's).
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Without etcd.
    #[arg(long)]
    alone: bool,
}

impl Options {
    /// A size for the real run, and one for a toy run.
    fn size<T>(&self, real: T, toy: T) -> T {
        if self.toy { toy } else { real }
    }
}

fn main() -> Result<()> {
    match Command::parse() {
        // A member's many small steps wait for each other: on one thread none wakes another core.
        Command::Member(args) => runtime(Builder::new_current_thread())?.block_on(member::run(args)),
        Command::Api(args) => runtime(Builder::new_multi_thread())?.block_on(api::run(args)),
        Command::Row(row) => runtime(Builder::new_multi_thread())?.block_on(rows::run(row)),
    }
}

fn runtime(mut builder: Builder) -> std::io::Result<tokio::runtime::Runtime> {
    builder.enable_all().build()
}
