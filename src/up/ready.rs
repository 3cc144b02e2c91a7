//! Waits, by a watch, until every node of the cluster is Ready.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::kube::Api;
use client::kube::runtime::watcher::{self, Event};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;

use super::layout::{Cluster, Files};
use super::start::tail;
use crate::host::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// Returns when each node has the condition Ready=True.
pub fn wait(files: &Files, cluster: &Cluster) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = connect(files, cluster)?;
        let wanted: BTreeSet<String> = cluster.node_hosts().map(|node| node.name).collect();
        let mut ready = BTreeSet::new();
        let outcome = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                outcome = until_ready(client, &wanted, &mut ready) => outcome,
                ended = until_one_ends(files, &wanted) => Err(ended),
            }
        });
        match outcome.await {
            Ok(result) => result,
            Err(_) => {
                let missing: Vec<&String> = wanted.difference(&ready).collect();
                bail!(
                    "not Ready after {} s: {missing:?}. See {}",
                    PATIENCE.as_secs(),
                    files.log(missing[0]).display()
                )
            }
        }
    })
}

/// Returns when the process of one of the nodes has ended: it will not become ready.
async fn until_one_ends(files: &Files, nodes: &BTreeSet<String>) -> anyhow::Error {
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        // One that is dying and does not come to an end is as good as ended.
        let ended = |name: &&String| !matches!(Process::find(&files.process(name)), Ok(Some(_)));
        if let Some(name) = nodes.iter().find(ended) {
            let log = files.log(name);
            return anyhow::anyhow!(
                "{name} ended while it started. The end of {}:\n{}",
                log.display(),
                tail(&log)
            );
        }
    }
}

async fn until_ready(
    client: kube::Client,
    wanted: &BTreeSet<String>,
    ready: &mut BTreeSet<String>,
) -> Result<()> {
    let nodes: Api<Node> = Api::all(client);
    let mut events = watcher::watcher(nodes, watcher::Config::default()).boxed();
    while !wanted.is_subset(ready) {
        let event = match events.try_next().await {
            Ok(event) => event.context("the watch of the nodes ended")?,
            // The watcher begins again by itself.
            Err(error) => {
                tracing::debug!(%error, "watch of the nodes");
                continue;
            }
        };
        if let Event::Apply(node) | Event::InitApply(node) = event {
            let name = node.metadata.name.clone().unwrap_or_default();
            if is_ready(&node) {
                ready.insert(name)
            } else {
                ready.remove(&name)
            };
        }
    }
    Ok(())
}

/// Whether the node's condition Ready is True.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A client of the administrator, through the balancer.
pub fn connect(files: &Files, cluster: &Cluster) -> Result<kube::Client> {
    let pki = crate::server::any_pki(files, cluster)?;
    let admin = pki.issue_client("kubernetes-admin", &["system:masters"])?;
    let endpoints = client::Endpoints {
        urls: vec![format!("https://127.0.0.1:{}", cluster.port)],
        ca_pem: pki.ca_pem().to_owned(),
        identity: Some((admin.cert_pem, admin.key_pem)),
        token: None,
    };
    Ok(client::connect(endpoints)?)
}
