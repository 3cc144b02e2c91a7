//! `trireme node`: enters the network of a server or node of a local cluster.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::host::netns;
use crate::up::{self, DATA_DIR};

#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Runs a command, or a shell, in the network namespace of NAME.
    Shell {
        /// A server or node of the cluster, as `trireme status` shows it.
        name: String,
        /// Folder of the cluster.
        #[arg(long, default_value = DATA_DIR)]
        data_dir: PathBuf,
        /// The command; none: $SHELL.
        #[arg(last = true)]
        command: Vec<String>,
    },
}

/// Becomes the command.
pub fn run(action: Action) -> Result<()> {
    let Action::Shell { name, data_dir, command } = action;
    crate::host::privilege::check()?;
    let (_, cluster) = up::load(&data_dir)?;
    let names: Vec<String> = cluster.hosts().into_iter().map(|host| host.name).collect();
    if name != "switch" && !names.contains(&name) {
        bail!("there is no {name:?} in this cluster: choose one of {}", names.join(", "));
    }
    let path = cluster.netns_path(&name);
    if !netns::is_namespace(&path) {
        bail!("{name} has no network: start the cluster with `trireme up`");
    }
    let namespace = std::fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
    netns::enter(namespace.as_fd()).context("enter the network namespace")?;
    let command = if command.is_empty() { vec![shell()] } else { command };
    let failed = Command::new(&command[0]).args(&command[1..]).env("TRIREME_NODE", &name).exec();
    Err(failed).with_context(|| format!("run {}", command[0]))
}

fn shell() -> String {
    std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned())
}
