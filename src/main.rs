//! `trireme`: Kubernetes, rowed by three. One file per subcommand; this one only chooses.

mod admin;
mod agent;
mod balancer;
mod config;
mod down;
mod host;
mod image;
mod node;
mod progress;
mod secret_file;
mod server;
mod status;
mod stop;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Kubernetes, rowed by three: a Kubernetes-compatible cluster in one binary.
#[derive(Parser, Debug)]
#[command(name = "trireme", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Makes, or repairs, a multi-host cluster on this machine.
    Up(up::Options),
    /// Ends the cluster of this machine.
    Down(down::Options),
    /// Shows the parts of the cluster of this machine.
    Status(status::Options),
    /// Enters a server or node of the cluster of this machine.
    #[command(subcommand)]
    Node(node::Action),
    /// Imports, lists and removes images.
    #[command(subcommand)]
    Image(image::Action),
    /// Runs an API server replica.
    Server(Box<server::Options>),
    /// Runs a node.
    Agent(Box<agent::Options>),
    /// Members, snapshots and recovery of the store.
    #[command(subcommand)]
    Admin(admin::Action),
    /// Carries connections from the host into a local cluster.
    #[command(hide = true)]
    Balancer(balancer::Options),
    /// Prints the completion script of a shell.
    Completion { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    // The shim must start before any thread exists, and is nobody's to call but the agent's.
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|first| first == "shim") {
        runtime::shim::main(arguments.collect());
    }
    use_small_pages();
    die_on_panic();
    let arguments = Arguments::parse();
    start_log();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trireme: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    match command {
        Command::Up(options) => up::run(&options),
        Command::Down(options) => down::run(&options),
        Command::Status(options) => status::run(&options),
        Command::Node(action) => node::run(action),
        Command::Image(action) => image::run(action),
        Command::Server(options) => server::run(&options),
        Command::Agent(options) => agent::run(&options),
        Command::Admin(action) => admin::run(action),
        Command::Balancer(options) => balancer::run(options),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "trireme", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// The log goes to standard error; `TRIREME_LOG` chooses what (`debug`, `store=debug,info`, ...).
fn start_log() {
    let filter =
        EnvFilter::try_from_env("TRIREME_LOG").unwrap_or_else(|_| EnvFilter::new("info,openraft=error"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_target(false).with_ansi(colours).init();
}

/// The heap in pages of 4 KiB: a server whose memory is made of huge ones holds twice as much of it, for
/// nothing (what is used and what is free lie too close together). Containers do not inherit it.
fn use_small_pages() {
    // SAFETY: changes how later page faults of this process are served, nothing else.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } != 0 {
        eprintln!("trireme: huge pages stay on: {}", std::io::Error::last_os_error());
    }
}

/// A broken invariant ends the process: no component dies silently beside the others.
fn die_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
