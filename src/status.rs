//! `trireme status`: the parts of a local cluster, with their state and memory.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use client::kube::{Api, api::ListParams};
use k8s_openapi::api::core::v1::Node;

use crate::host::process::Process;
use crate::up::layout::{Cluster, Files, Host, Role};
use crate::up::{self, DATA_DIR};

/// How long the API may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Options of `trireme status`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Folder of the cluster.
    #[arg(long, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// What the API says of the parts.
#[derive(Default)]
struct Told {
    members: Vec<Member>,
    nodes: Vec<Node>,
}

/// A Raft member as `/trireme/v1/members` shows it.
#[derive(Debug, serde::Deserialize)]
struct Member {
    addr: String,
    #[serde(default)]
    voter: bool,
    #[serde(default)]
    leader: bool,
}

#[derive(Debug, serde::Deserialize)]
struct Members {
    members: Vec<Member>,
}

/// Prints a table of all parts.
pub fn run(options: &Options) -> Result<()> {
    let (files, cluster) = up::load(&options.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(&files, &cluster)).await });
    let (told, trouble) = match told {
        Ok(Ok(told)) => (told, None),
        Ok(Err(error)) => (Told::default(), Some(format!("{error:#}"))),
        Err(_) => (Told::default(), Some(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["NAME", "PROCESS", "ADDRESS", "STATE", "MEMORY"]);
    for host in cluster.hosts() {
        let state = state(&host, &told);
        table.add_row(row(&files, &host.name, &host.address.to_string(), &state));
    }
    table.add_row(row(&files, "balancer", &format!("127.0.0.1:{}", cluster.port), ""));
    println!("{table}");
    println!("\nKUBECONFIG={}", files.kubeconfig().display());
    if let Some(trouble) = trouble {
        println!(
            "The API does not answer: {trouble}. `trireme up --data-dir {}` repairs the cluster.",
            files.root.display()
        );
    }
    Ok(())
}

async fn ask(files: &Files, cluster: &Cluster) -> Result<Told> {
    let client = up::connect(files, cluster)?;
    let request = http::Request::get("/trireme/v1/members").body(Vec::new())?;
    let members: Members = client.request(request).await?;
    let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?;
    Ok(Told { members: members.members, nodes: nodes.items })
}

fn state(host: &Host, told: &Told) -> String {
    match host.role {
        Role::Server => {
            let address = format!("{}:", host.address);
            let member = told.members.iter().find(|member| member.addr.starts_with(&address));
            let text = match member {
                Some(member) if member.leader => "leader",
                Some(member) if member.voter => "follower",
                Some(_) => "learner",
                None => "unknown",
            };
            text.to_owned()
        }
        Role::Node => {
            let node = told.nodes.iter().find(|node| node.metadata.name.as_deref() == Some(&host.name));
            let ready = node.map(up::is_ready);
            let text = match ready {
                Some(true) => "Ready",
                Some(false) => "NotReady",
                None => "unknown",
            };
            text.to_owned()
        }
    }
}

fn row(files: &Files, name: &str, address: &str, state: &str) -> [String; 5] {
    let process = Process::find(&files.process(name));
    let pid = match &process {
        Ok(Some(process)) => process.pid.to_string(),
        Ok(None) => "stopped".to_owned(),
        Err(_) => "dying".to_owned(),
    };
    let memory = process.ok().flatten().and_then(|process| process.resident_bytes());
    let memory = memory.map_or(String::new(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6));
    [name.to_owned(), pid, address.to_owned(), state.to_owned(), memory]
}
