//! Notices that a node has died, says so, and lets its pods go once they surely do not run any more.

use super::{
    heartbeats::Heartbeats,
    taints::{condition, wanted},
};
use crate::{
    Acting,
    caches::BY_NODE,
    drive::{Controller, drive, gone_is_fine, on},
    objects::{api_in, created, name, namespace, only, remaining, time},
    pods::{is_deleting, is_ready, node_name},
};
use async_trait::async_trait;
use client::{EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use std::{sync::Arc, time::Duration};

/// A node of which nothing was heard for so long is unreachable.
const GRACE: Duration = Duration::from_secs(5);
/// After so long without contact an agent has stopped every pod that may be replaced.
const FENCED: Duration = Duration::from_secs(10);
/// How long a new node may take to say anything at all.
const STARTUP_GRACE: Duration = Duration::from_secs(60);
/// Conditions of which nobody knows when the node is silent.
const SILENT: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

pub(crate) async fn run(acting: Acting) {
    let caches = &acting.caches;
    // Whether there is a place for the pods of one node depends on the others.
    let all = caches.nodes.clone();
    let nodes = on(&caches.nodes, move |change| {
        let ready = |node: &Option<Arc<Node>>| {
            node.as_deref().is_some_and(|node| condition(node, "Ready") == Some("True"))
        };
        if ready(&change.old) == ready(&change.new) {
            return vec![change.key.clone()];
        }
        let mut keys: Vec<ObjectKey> = all.list().iter().map(|node| ObjectKey::of(&**node)).collect();
        keys.push(change.key.clone());
        keys
    });
    let leaving = on(&caches.pods, |change| {
        let pod = change.new.as_ref().filter(|pod| is_deleting(pod))?;
        node_name(pod).map(|node| ObjectKey::new("", node))
    });
    let recorder = acting.recorder("node-controller");
    let runner = Runner { acting: acting.clone(), recorder, heartbeats: acting.heartbeats.clone() };
    drive(acting, runner, vec![nodes, leaving]).await;
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
    heartbeats: Heartbeats,
}

/// What to do about one node.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    /// Conditions to set, because the node does not.
    conditions: Vec<NodeCondition>,
    taints: Option<Vec<Taint>>,
    /// Its pods are not to be sent traffic any more.
    unready_pods: bool,
    /// Pods that are to go are gone: their agent has stopped them.
    release_pods: bool,
    again_after: Option<Duration>,
}

fn plan(node: &Node, last_heard: Timestamp, elsewhere: bool, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let posted = condition(node, "Ready");
    let grace = if posted.is_some() { GRACE } else { STARTUP_GRACE };
    let last_heard = if posted.is_some() { last_heard } else { created(&node.metadata) };
    let left = remaining(last_heard, grace, now);
    let mut ready = posted.unwrap_or("");
    if left.is_none() {
        plan.conditions = SILENT.iter().filter_map(|kind| unknown(node, kind, now)).collect();
        ready = "Unknown";
        plan.unready_pods = true;
        let until_fenced = remaining(last_heard, FENCED, now);
        plan.release_pods = until_fenced.is_none();
        plan.again_after = until_fenced;
    } else {
        plan.again_after = left;
    }
    // A node that has not said anything yet keeps the taint it was made with.
    if !ready.is_empty() {
        let taints = wanted(node, ready, elsewhere, now);
        let found = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        plan.taints = (taints != found).then_some(taints);
    }
    plan
}

fn unknown(node: &Node, kind: &str, now: Timestamp) -> Option<NodeCondition> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let found = conditions.into_iter().flatten().find(|c| c.type_ == kind);
    let (reason, message) = match found {
        Some(c) if c.status == "Unknown" => return None,
        Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
        None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
    };
    Some(NodeCondition {
        type_: kind.into(),
        status: "Unknown".into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_heartbeat_time: found
            .and_then(|c| c.last_heartbeat_time.clone())
            .or_else(|| node.metadata.creation_timestamp.clone()),
        last_transition_time: time(now),
    })
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "node_lifecycle"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let nodes = &self.acting.caches.nodes;
        let Some(node) = nodes.get("", &key.name) else { return Ok(None) };
        let now = Timestamp::now();
        let elsewhere = nodes.list().iter().any(|other| {
            other.metadata.name != node.metadata.name && condition(other, "Ready") == Some("True")
        });
        let plan = plan(&node, self.heartbeats.last(&key.name, now), elsewhere, now);
        self.act(&node, &plan).await?;
        Ok(plan.again_after)
    }
}

impl Runner {
    async fn act(&self, node: &Node, plan: &Plan) -> Result<(), kube::Error> {
        let nodes = &self.acting.caches.nodes;
        let api: Api<Node> = Api::all(self.acting.client.clone());
        let node_name = name(&node.metadata);
        let params = PatchParams::default();
        let mut version = node.metadata.resource_version.clone();
        if !plan.conditions.is_empty() {
            let patch = serde_json::json!({ "metadata": { "resourceVersion": version },
                "status": { "conditions": plan.conditions } });
            let patched = api.patch_status(node_name, &params, &Patch::Strategic(patch)).await?;
            version.clone_from(&patched.metadata.resource_version);
            nodes.note(patched);
            if plan.conditions.iter().any(|c| c.type_ == "Ready") {
                tracing::warn!(node = node_name, "node does not answer");
                let message = format!("Node {node_name} status is now: NodeNotReady");
                self.recorder.about(node, EventType::Normal, "NodeNotReady", message);
            }
        }
        if let Some(taints) = &plan.taints {
            let patch = serde_json::json!({ "metadata": { "resourceVersion": version }, "spec": { "taints": taints } });
            nodes.note(api.patch(node_name, &params, &Patch::Merge(patch)).await?);
        }
        let pods = self.acting.caches.pods.by_index(BY_NODE, node_name);
        for pod in pods.iter().filter(|pod| plan.unready_pods && is_ready(pod)) {
            self.unready(pod).await?;
        }
        for pod in pods.iter().filter(|pod| plan.release_pods && is_deleting(pod)) {
            tracing::info!(
                pod = name(&pod.metadata),
                node = node_name,
                "its agent has stopped it by now: gone"
            );
            force_delete(&self.acting, pod).await?;
        }
        Ok(())
    }

    async fn unready(&self, pod: &Pod) -> Result<(), kube::Error> {
        let api: Api<Pod> = api_in(&self.acting.client, namespace(&pod.metadata));
        let condition = serde_json::json!({ "type": "Ready", "status": "False",
            "lastTransitionTime": time(Timestamp::now()) });
        let patch = serde_json::json!({ "metadata": { "uid": pod.metadata.uid }, "status": { "conditions": [condition] } });
        let patched =
            api.patch_status(name(&pod.metadata), &PatchParams::default(), &Patch::Strategic(patch)).await;
        if let Some(patched) = gone_is_fine(patched)? {
            self.acting.caches.pods.note(patched);
            self.recorder.about(pod, EventType::Warning, "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }
}

/// Deletes a pod at once, for an agent that can not confirm it.
pub(crate) async fn force_delete(acting: &Acting, pod: &Pod) -> Result<(), kube::Error> {
    let api: Api<Pod> = api_in(&acting.client, namespace(&pod.metadata));
    let params = DeleteParams { grace_period_seconds: Some(0), ..only(&pod.metadata) };
    gone_is_fine(api.delete(name(&pod.metadata), &params).await)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, at, object};
    use serde_json::{Value, json};

    fn node(ready: Option<&str>, spec: Value) -> Node {
        let ready = ready.map(|status| json!({ "type": "Ready", "status": status }));
        object(json!({ "metadata": { "name": "n1", "creationTimestamp": START }, "spec": spec,
            "status": { "conditions": ready.into_iter().collect::<Vec<_>>() } }))
    }

    fn taints(plan: &Plan) -> Vec<String> {
        plan.taints.iter().flatten().map(|t| format!("{}:{}", t.key, t.effect)).collect()
    }

    #[test]
    fn a_node_that_speaks_is_left_alone() {
        let plan = plan(&node(Some("True"), json!({})), at(0), true, at(3));
        assert_eq!(plan, Plan { again_after: Some(Duration::from_secs(2)), ..Plan::default() });
    }

    #[test]
    fn a_silent_node_is_unreachable_and_later_fenced() {
        let silent = node(Some("True"), json!({}));
        let early = plan(&silent, at(0), true, at(5));
        let said: Vec<_> =
            early.conditions.iter().map(|c| (c.type_.as_str(), c.reason.as_deref().unwrap())).collect();
        assert_eq!(
            said,
            [
                ("Ready", "NodeStatusUnknown"),
                ("MemoryPressure", "NodeStatusNeverUpdated"),
                ("DiskPressure", "NodeStatusNeverUpdated"),
                ("PIDPressure", "NodeStatusNeverUpdated"),
            ]
        );
        assert_eq!(
            taints(&early),
            ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
        );
        assert!(early.unready_pods && !early.release_pods);
        assert_eq!(early.again_after, Some(Duration::from_secs(5)));
        assert!(plan(&silent, at(0), true, at(10)).release_pods);
        // Nowhere to go: the pods stay where they are.
        assert_eq!(
            taints(&plan(&silent, at(0), false, at(5))),
            ["node.kubernetes.io/unreachable:NoSchedule"]
        );
    }

    #[test]
    fn taints_follow_the_conditions_and_those_of_others_stay() {
        let old = json!({ "unschedulable": true, "taints": [
            { "key": "mine", "effect": "NoSchedule" },
            { "key": "node.kubernetes.io/unreachable", "effect": "NoSchedule" },
            { "key": "node.kubernetes.io/not-ready", "effect": "NoExecute" },
        ] });
        let back = plan(&node(Some("True"), old.clone()), at(0), true, at(1));
        assert_eq!(taints(&back), ["mine:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"]);
        let ill = plan(&node(Some("False"), old), at(0), true, at(1));
        assert_eq!(
            taints(&ill),
            [
                "mine:NoSchedule",
                "node.kubernetes.io/not-ready:NoExecute",
                "node.kubernetes.io/not-ready:NoSchedule",
                "node.kubernetes.io/unschedulable:NoSchedule",
            ]
        );
    }

    #[test]
    fn a_new_node_has_time_to_speak() {
        let new = node(
            None,
            json!({ "taints": [{ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }] }),
        );
        let early = plan(&new, at(0), true, at(20));
        assert_eq!((early.taints, early.again_after), (None, Some(Duration::from_secs(40))));
        assert_eq!(plan(&new, at(0), true, at(60)).conditions.len(), 4);
    }
}
