//! The Lease of the node, renewed every second: it shows the cluster that the node lives, and the node that the cluster
//! does.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::host::Host;

const NAMESPACE: &str = "kube-node-lease";
/// What the Lease promises: readers must not wait longer than the cluster's own limit for a node.
const LEASE_S: i32 = 5;

/// Whether servers can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    Good,
    /// Not for so long that the cluster may start this node's pods elsewhere.
    Lost,
}

/// Renews the Lease for ever, and tells `contact` when the servers are lost and found.
pub async fn keep(host: Arc<Host>, contact: watch::Sender<Contact>, node: watch::Receiver<Option<Node>>) {
    let api: Api<Lease> = Api::namespaced(host.client.clone(), NAMESPACE);
    let timings = &host.cfg.timings;
    let mut ticks = tokio::time::interval(timings.heartbeat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last_good = Instant::now();
    loop {
        let lost_at = last_good + timings.fence_after;
        let beat = async {
            ticks.tick().await;
            timeout(timings.heartbeat * 2, renew(&api, &host, &node)).await
        };
        let lost = *contact.borrow() == Contact::Lost;
        tokio::select! {
            answer = beat => match answer {
                Ok(Ok(())) => {
                    last_good = Instant::now();
                    contact.send_if_modified(|c| std::mem::replace(c, Contact::Good) == Contact::Lost);
                }
                Ok(Err(error)) => tracing::debug!(%error, "heartbeat failed"),
                Err(_) => tracing::debug!("heartbeat timed out"),
            },
            () = tokio::time::sleep_until(lost_at), if !lost => {
                contact.send_replace(Contact::Lost);
            }
        }
    }
}

async fn renew(api: &Api<Lease>, host: &Host, node: &watch::Receiver<Option<Node>>) -> kube::Result<()> {
    let name = &host.cfg.node_name;
    let now = MicroTime(jiff::Timestamp::now());
    let patch = json!({"spec": {"renewTime": now, "holderIdentity": name, "leaseDurationSeconds": LEASE_S}});
    match api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(kube::Error::Api(e)) if e.code == 404 => {}
        other => return other.map(drop),
    }
    let owner = node.borrow().as_ref().and_then(|n| n.metadata.uid.clone()).map(|uid| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: name.clone(),
        uid,
        ..OwnerReference::default()
    });
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(NAMESPACE.to_owned()),
            owner_references: owner.map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(LEASE_S),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    };
    api.create(&PostParams::default(), &lease).await.map(drop)
}
