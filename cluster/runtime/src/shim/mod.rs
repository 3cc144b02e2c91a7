//! The shim: one process per pod sandbox, with one thread.
//!
//! It holds the pod's namespaces (no process and no mount of the machine does), forks the containers, copies
//! their output to log files and attached clients, reaps them and keeps their exit codes. It answers the agent
//! on a unix socket in the sandbox's directory, and lives until it is told to shut down.
//!
//! Map: `birth` from the command line to a detached process with namespaces, `event_loop` what wakes it,
//! `connection` the agent's side, `commands` what it can be asked, `container` one container's life,
//! `streams` its input and output, `log` the CRI log file.

mod birth;
mod commands;
mod connection;
mod container;
mod event_loop;
mod log;
mod streams;

use std::ffi::OsString;
use std::path::PathBuf;

/// Runs the shim; `args` are those after the `shim` subcommand: the sandbox's directory. Must be called
/// before any thread exists.
pub fn main(args: Vec<OsString>) -> ! {
    let code = match args.first() {
        Some(dir) if args.len() == 1 => match birth::detach(&PathBuf::from(dir)) {
            Ok(birth::Side::Parent) => 0,
            Ok(birth::Side::Shim(born)) => event_loop::run(*born),
            Err(e) => {
                eprintln!("{e}");
                1
            }
        },
        _ => {
            eprintln!("usage: shim SANDBOX-DIRECTORY");
            2
        }
    };
    std::process::exit(code)
}
