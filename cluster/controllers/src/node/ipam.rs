//! Every node gets a range of pod addresses of its own.

use crate::{
    Acting,
    drive::{Controller, drive, on, on_self},
    objects::name,
};
use async_trait::async_trait;
use client::{EventType, ObjectKey, Recorder};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// The length of the prefix of a node's range: 254 pods each.
const NODE_PREFIX_V4: u8 = 24;
const NODE_PREFIX_V6: u8 = 64;

pub(crate) async fn run(acting: Acting) {
    let nodes = acting.caches.nodes.clone();
    // A range that becomes free serves those that wait for one.
    let waiting = nodes.clone();
    let freed = on(&nodes, move |change| match change.new {
        Some(_) => Vec::new(),
        None => {
            waiting.list().iter().filter(|n| range_of(n).is_none()).map(|n| ObjectKey::of(&**n)).collect()
        }
    });
    let recorder = acting.recorder("cidrAllocator");
    let runner = Runner { acting: acting.clone(), recorder, one_at_a_time: Mutex::new(()) };
    drive(acting, runner, vec![on_self(&nodes), freed]).await;
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
    /// Two nodes at a time would find the same range free.
    one_at_a_time: Mutex<()>,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "node-ipam"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let nodes = &self.acting.caches.nodes;
        let _turn = self.one_at_a_time.lock().await;
        let Some(node) = nodes.get("", &key.name).filter(|n| range_of(n).is_none()) else { return Ok(None) };
        let Some(range) = plan(self.acting.options.cluster_cidr, &nodes.list()) else {
            let message = format!("Node {} has no pod addresses: all ranges are in use", key.name);
            self.recorder.about(&*node, EventType::Warning, "CIDRNotAvailable", message);
            return Ok(None);
        };
        let range = range.to_string();
        let patch = serde_json::json!({ "metadata": { "uid": node.metadata.uid },
            "spec": { "podCIDR": range, "podCIDRs": [range] } });
        let api: Api<Node> = Api::all(self.acting.client.clone());
        let patched = api.patch(name(&node.metadata), &PatchParams::default(), &Patch::Merge(patch)).await?;
        tracing::info!(node = %key.name, %range, "pod addresses");
        nodes.note(patched);
        Ok(None)
    }
}

fn range_of(node: &Node) -> Option<IpNet> {
    node.spec.as_ref()?.pod_cidr.as_deref()?.parse().ok()
}

/// The first range of the cluster that no node has.
fn plan(cluster: IpNet, nodes: &[Arc<Node>]) -> Option<IpNet> {
    let used: HashSet<IpNet> = nodes.iter().filter_map(|node| range_of(node)).collect();
    let length = if cluster.addr().is_ipv4() { NODE_PREFIX_V4 } else { NODE_PREFIX_V6 };
    cluster.subnets(length.max(cluster.prefix_len())).ok()?.find(|range| !used.contains(range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;
    use serde_json::json;

    #[test]
    fn the_first_free_range() {
        let node = |range: &str| {
            Arc::new(object::<Node>(json!({ "metadata": { "name": "n" }, "spec": { "podCIDR": range } })))
        };
        let cluster: IpNet = "10.244.0.0/16".parse().unwrap();
        let next = |nodes: &[Arc<Node>]| plan(cluster, nodes).map(|r| r.to_string());
        assert_eq!(next(&[]).as_deref(), Some("10.244.0.0/24"));
        assert_eq!(next(&[node("10.244.0.0/24"), node("10.244.2.0/24")]).as_deref(), Some("10.244.1.0/24"));
        let all: Vec<_> = (0..256).map(|n| node(&format!("10.244.{n}.0/24"))).collect();
        assert_eq!(next(&all), None);
        assert_eq!(next(&all[1..]).as_deref(), Some("10.244.0.0/24"));
    }
}
