//! When each node was last heard of, by our own clock. Kept also while another server leads, so that
//! a new leader does not give a dead node more time.

use crate::caches::Caches;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Moments by name of node. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Heartbeats(Arc<Mutex<HashMap<String, Timestamp>>>);

impl Heartbeats {
    /// Listens until `stop`.
    pub fn start(caches: &Caches, stop: CancellationToken) -> Self {
        let heartbeats = Self::default();
        let (told, mut leases, mut nodes) =
            (heartbeats.clone(), caches.node_leases.changes(), caches.nodes.changes());
        let listen = async move {
            loop {
                tokio::select! {
                    Some(change) = leases.next() => {
                        if change.new.as_deref().and_then(renewed) != change.old.as_deref().and_then(renewed) {
                            told.hear(&change.key.name);
                        }
                    }
                    Some(change) = nodes.next() => match &change.new {
                        Some(node) if posted(node) != change.old.as_deref().and_then(posted) => told.hear(&change.key.name),
                        Some(_) => {}
                        None => {
                            told.0.lock().remove(&*change.key.name);
                        }
                    },
                    else => break,
                }
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(listen).await });
        heartbeats
    }

    fn hear(&self, node: &str) {
        self.0.lock().insert(node.to_owned(), Timestamp::now());
    }

    /// When the node was last heard of; from now on, if it never was.
    pub fn last(&self, node: &str, now: Timestamp) -> Timestamp {
        *self.0.lock().entry(node.to_owned()).or_insert(now)
    }
}

fn renewed(lease: &Lease) -> Option<Timestamp> {
    lease.spec.as_ref()?.renew_time.as_ref().map(|t| t.0)
}

/// When the node itself last wrote its state.
fn posted(node: &Node) -> Option<Timestamp> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == "Ready")?.last_heartbeat_time.as_ref().map(|t| t.0)
}
