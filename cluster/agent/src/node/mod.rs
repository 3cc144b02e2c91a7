//! The Node object: registration, status, and the heartbeats by which the cluster knows that the node lives.
//!
//! - `object`: what the Node says (pure); `heartbeat`: the Lease and the contact with the servers

mod heartbeat;
mod object;

use std::sync::Arc;
use std::time::Duration;

use client::Cache;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::host::Host;
pub use heartbeat::{Contact, keep};

const RETRY: Duration = Duration::from_millis(300);
/// While the node is not ready, whether it became so is looked at this often.
const UNREADY_CHECK: Duration = Duration::from_millis(100);
const READY_CHECK: Duration = Duration::from_secs(1);

/// Registers the node and writes its status whenever it changed, or somebody else changed it, and at least every
/// `status_refresh`.
pub async fn run(host: Arc<Host>, registered: watch::Sender<Option<Node>>, shutdown: CancellationToken) {
    tokio::select! {
        () = report(host, registered) => {}
        () = shutdown.cancelled() => {}
    }
}

async fn report(host: Arc<Host>, registered: watch::Sender<Option<Node>>) {
    let api: Api<Node> = Api::all(host.client.clone());
    let node = register(&api, &host).await;
    let own = Cache::builder(api.clone()).fields(&format!("metadata.name={}", host.cfg.node_name)).start();
    let mut changes = own.changes();
    let mut written = node.status.clone().unwrap_or_default();
    registered.send_replace(Some(node));
    let mut written_at: Option<(tokio::time::Instant, u64)> = None;
    loop {
        let now = jiff::Timestamp::now();
        // The cluster has called the node silent while it could not be heard.
        let overruled = written_at.and_then(|(_, revision)| {
            let node = own.get("", &host.cfg.node_name).filter(|node| object::revision(node) > revision)?;
            node.status.clone().filter(|status| object::contradicts(status, &written))
        });
        let status = object::status(&host, overruled.as_ref().unwrap_or(&written), now);
        let old = written_at.is_none_or(|(at, _)| at.elapsed() >= host.cfg.timings.status_refresh);
        if old || overruled.is_some() || object::differs(&status, &written) {
            match write(&api, &host, &status).await {
                Ok(node) => {
                    written = status;
                    written_at = Some((tokio::time::Instant::now(), object::revision(&node)));
                }
                Err(kube::Error::Api(e)) if e.code == 404 => {
                    let node = register(&api, &host).await;
                    registered.send_replace(Some(node));
                    written_at = None;
                }
                Err(error) => tracing::warn!(%error, "node status not written"),
            }
        }
        let ready = written_at.is_some() && object::is_ready(&written);
        // A change that comes while this waits is looked at in the next round, a failure is not repeated at once.
        tokio::time::sleep(UNREADY_CHECK).await;
        if ready {
            tokio::select! {
                () = tokio::time::sleep(READY_CHECK) => {}
                _ = changes.next() => {}
            }
        }
    }
}

/// Creates the Node, or brings the labels of an existing one up to date.
async fn register(api: &Api<Node>, host: &Host) -> Node {
    loop {
        match try_register(api, host).await {
            Ok(node) => {
                tracing::info!(node = %host.cfg.node_name, "node registered");
                return node;
            }
            Err(error) => tracing::warn!(%error, "node not registered yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn try_register(api: &Api<Node>, host: &Host) -> kube::Result<Node> {
    let wanted = object::registration(host);
    match api.create(&PostParams::default(), &wanted).await {
        Ok(node) => return Ok(node),
        Err(kube::Error::Api(e)) if e.code == 409 => {}
        Err(error) => return Err(error),
    }
    let labels = json!({"metadata": {"labels": wanted.metadata.labels}});
    api.patch(&host.cfg.node_name, &PatchParams::default(), &Patch::Merge(labels)).await
}

async fn write(api: &Api<Node>, host: &Host, status: &NodeStatus) -> kube::Result<Node> {
    let patch = Patch::Strategic(json!({"status": status}));
    api.patch_status(&host.cfg.node_name, &PatchParams::default(), &patch).await
}
