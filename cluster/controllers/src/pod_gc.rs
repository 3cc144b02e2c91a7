//! Removes pods that nobody else will: of nodes that do not exist any more, of agents that never
//! knew them, and ended ones when there are too many.

use crate::{
    Acting,
    caches::BY_NODE,
    drive::{Controller, drive, is_code, on},
    node::{eviction::disrupt, lifecycle::force_delete},
    objects::{api_in, created, namespace},
    pods::{is_deleting, is_terminal, node_name},
};
use async_trait::async_trait;
use client::{ObjectKey, placement::taints};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use std::{sync::Arc, time::Duration};

/// So many ended pods may stay.
const ENDED_LIMIT: usize = 12_500;
/// The taint with which people say that a node is switched off.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

pub(crate) async fn run(acting: Acting) {
    let pods = on(&acting.caches.pods, |change| {
        let mut keys = vec![change.key.clone()];
        let ended = |pod: &Option<Arc<Pod>>| pod.as_deref().is_some_and(is_terminal);
        if ended(&change.new) && !ended(&change.old) {
            keys.push(all_ended());
        }
        keys
    });
    let all = acting.caches.pods.clone();
    let nodes = on(&acting.caches.nodes, move |change| {
        let alarming = change.new.as_deref().is_none_or(is_out_of_service);
        let pods = if alarming { all.by_index(BY_NODE, &change.key.name) } else { Vec::new() };
        pods.iter().map(|pod| ObjectKey::of(&**pod)).collect::<Vec<_>>()
    });
    drive(acting.clone(), Runner { acting }, vec![pods, nodes]).await;
}

/// The key that stands for all pods that have ended.
fn all_ended() -> ObjectKey {
    ObjectKey::new("", "")
}

fn is_out_of_service(node: &Node) -> bool {
    let ready = crate::node::is_ready(node);
    !ready && taints(node).iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

/// Why a pod is to go.
#[derive(Debug, PartialEq)]
enum Verdict {
    Stays,
    /// Its node does not exist, as far as the cache knows.
    Orphaned,
    /// It was deleted before it had a node, or its node is switched off: no agent will confirm it.
    Unconfirmed,
}

fn plan(pod: &Pod, node: Option<&Node>) -> Verdict {
    match (node_name(pod), node) {
        (Some(_), None) => Verdict::Orphaned,
        (Some(_), Some(node)) if is_deleting(pod) && is_out_of_service(node) => Verdict::Unconfirmed,
        (None, _) if is_deleting(pod) => Verdict::Unconfirmed,
        _ => Verdict::Stays,
    }
}

struct Runner {
    acting: Acting,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "pod_gc"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        if *key == all_ended() {
            return self.trim().await;
        }
        let Some(pod) = caches.pods.get(&key.namespace, &key.name) else { return Ok(None) };
        let node = node_name(&pod).and_then(|node| caches.nodes.get("", node));
        match plan(&pod, node.as_deref()) {
            Verdict::Stays => {}
            Verdict::Unconfirmed => force_delete(&self.acting, &pod).await?,
            Verdict::Orphaned => self.bury(&pod).await?,
        }
        Ok(None)
    }
}

impl Runner {
    /// Ends a pod whose node is gone, after making sure that it is.
    async fn bury(&self, pod: &Pod) -> Result<(), kube::Error> {
        let nodes: Api<Node> = Api::all(self.acting.client.clone());
        match nodes.get_metadata(node_name(pod).unwrap_or("")).await {
            Ok(_) => return Ok(()),
            Err(error) if is_code(&error, 404) => {}
            Err(error) => return Err(error),
        }
        if !is_terminal(pod) {
            let api: Api<Pod> = api_in(&self.acting.client, namespace(&pod.metadata));
            disrupt(&api, pod, "DeletionByPodGC", "PodGC: node no longer exists", Some("Failed")).await?;
        }
        force_delete(&self.acting, pod).await
    }

    /// Deletes the oldest ended pods beyond the limit.
    async fn trim(&self) -> Result<Option<Duration>, kube::Error> {
        let mut ended = self.acting.caches.pods.list();
        ended.retain(|pod| is_terminal(pod) && !is_deleting(pod));
        ended.sort_by_key(|pod| created(&pod.metadata));
        let surplus = ended.len().saturating_sub(ENDED_LIMIT);
        for pod in &ended[..surplus] {
            force_delete(&self.acting, pod).await?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{object, pod};
    use serde_json::json;

    #[test]
    fn which_pods_go() {
        let node = |ready: &str, taint: &str| -> Node {
            object(
                json!({ "metadata": { "name": "n1" }, "spec": { "taints": [{ "key": taint, "effect": "NoExecute" }] },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] } }),
            )
        };
        let fine = node("True", "a");
        let off = node("Unknown", OUT_OF_SERVICE);
        for (has, node, expected) in [
            (json!({ "node": "n1" }), Some(&fine), Verdict::Stays),
            (json!({ "node": "n1" }), None, Verdict::Orphaned),
            (json!({}), None, Verdict::Stays),
            (json!({ "deleting": true }), None, Verdict::Unconfirmed),
            (json!({ "deleting": true, "node": "n1" }), Some(&fine), Verdict::Stays),
            (json!({ "deleting": true, "node": "n1" }), Some(&off), Verdict::Unconfirmed),
            (json!({ "node": "n1" }), Some(&off), Verdict::Stays),
        ] {
            assert_eq!(plan(&pod("a", has.clone()), node), expected, "{has}");
        }
    }
}
