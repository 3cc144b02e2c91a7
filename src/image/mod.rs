//! `trireme image`: images of a node, or of all nodes of a local cluster at once.

mod ask;
mod serve;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::up::{self, DATA_DIR};

pub use serve::serve;

#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Imports a docker-save or OCI-layout archive (plain or gzip) into every node.
    Import {
        /// The archive.
        archive: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Lists the images of every node.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Removes an image, by name or id, from every node.
    Rm {
        image: String,
        /// Also when containers use it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        target: Target,
    },
}

/// Whose images are meant.
#[derive(clap::Args, Debug)]
pub struct Target {
    /// Folder of a local cluster, or of one agent.
    #[arg(long, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// One image as the agent tells it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Listed {
    id: String,
    names: Vec<String>,
    size: u64,
}

/// What the agent answers instead of a result.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    error: String,
}

/// Talks to the agents through their sockets.
pub fn run(action: Action) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match action {
            Action::Import { archive, target } => import(&archive, &target).await,
            Action::List { target } => list(&target).await,
            Action::Rm { image, force, target } => remove(&image, force, &target).await,
        }
    })
}

/// Names and sockets of the agents that are meant.
fn agents(target: &Target) -> Result<Vec<(String, PathBuf)>> {
    let own = target.data_dir.join(crate::agent::SOCKET_FILE);
    if own.exists() {
        return Ok(vec![("this node".to_owned(), own)]);
    }
    let (files, cluster) = up::load(&target.data_dir)?;
    let nodes = cluster.node_hosts();
    Ok(nodes
        .map(|node| (node.name.clone(), files.host(&node.name).join(crate::agent::SOCKET_FILE)))
        .collect())
}

async fn import(archive: &Path, target: &Target) -> Result<()> {
    let archive = archive.canonicalize().with_context(|| format!("open {}", archive.display()))?;
    for (node, socket) in agents(target)? {
        let images: Vec<Listed> = ask::ask(&socket, "POST", &[("path", &archive.to_string_lossy())])
            .await
            .with_context(|| format!("import into {node}"))?;
        for image in images {
            println!("{node}: {} ({})", image.names.join(", "), short(&image.id));
        }
    }
    Ok(())
}

async fn list(target: &Target) -> Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(["NODE", "IMAGE", "ID", "SIZE"]);
    for (node, socket) in agents(target)? {
        let images: Vec<Listed> =
            ask::ask(&socket, "GET", &[]).await.with_context(|| format!("list the images of {node}"))?;
        for image in images {
            let names = if image.names.is_empty() { "<none>".to_owned() } else { image.names.join(", ") };
            let size = format!("{:.1} MB", image.size as f64 / 1e6);
            table.add_row([node.clone(), names, short(&image.id), size]);
        }
    }
    println!("{table}");
    Ok(())
}

async fn remove(image: &str, force: bool, target: &Target) -> Result<()> {
    let mut failures = Vec::new();
    for (node, socket) in agents(target)? {
        let force = if force { "true" } else { "false" };
        let removed: Result<Vec<Listed>> =
            ask::ask(&socket, "DELETE", &[("image", image), ("force", force)]).await;
        match removed {
            Ok(_) => println!("{node}: removed {image}"),
            Err(error) => failures.push(format!("{node}: {error:#}")),
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("; ")) }
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}
