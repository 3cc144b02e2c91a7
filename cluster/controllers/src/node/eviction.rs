//! Pods leave nodes whose NoExecute taints they do not tolerate, or not for that long.

use crate::{
    Acting,
    caches::BY_NODE,
    drive::{Controller, drive, gone_is_fine, on},
    objects::{api_in, created, name, namespace, only, remaining, time},
    pods::{is_active, node_name},
};
use async_trait::async_trait;
use client::{
    EventType, ObjectKey, Recorder,
    placement::{taints, tolerates},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};

pub(crate) async fn run(acting: Acting) {
    let pods = on(&acting.caches.pods, |change| {
        // Most changes are no concern of ours: only being bound, and going.
        let node = |pod: &Pod| node_name(pod).map(str::to_owned);
        let moved = change.old.as_deref().and_then(node) != change.new.as_deref().and_then(node);
        moved.then(|| change.key.clone())
    });
    let all = acting.caches.pods.clone();
    let nodes = on(&acting.caches.nodes, move |change| {
        let driving = |node: Option<&Node>| {
            node.map(|node| no_execute(node).cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        if driving(change.old.as_deref()) == driving(change.new.as_deref()) {
            return Vec::new();
        }
        all.by_index(BY_NODE, &change.key.name).iter().map(|pod| ObjectKey::of(&**pod)).collect()
    });
    let recorder = acting.recorder("taint-eviction-controller");
    let runner = Runner { acting: acting.clone(), recorder, noticed: Mutex::default() };
    drive(acting, runner, vec![pods, nodes]).await;
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
    /// Since when pods are on a tainted node, for taints that do not say when they were added.
    noticed: Mutex<HashMap<ObjectKey, Timestamp>>,
}

fn no_execute(node: &Node) -> impl Iterator<Item = &Taint> {
    taints(node).iter().filter(|taint| taint.effect == "NoExecute")
}

/// What becomes of a pod on a tainted node.
#[derive(Debug, PartialEq)]
enum Verdict {
    Stays,
    Leaves,
    LeavesAfter(Duration),
}

fn plan(pod: &Pod, node: &Node, noticed: Timestamp, now: Timestamp) -> Verdict {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or(&[]);
    let mut shortest: Option<i64> = None;
    let mut since = created(&pod.metadata);
    let mut tainted = false;
    for taint in no_execute(node) {
        tainted = true;
        let mut fitting = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if fitting.peek().is_none() {
            return Verdict::Leaves;
        }
        since = since.max(taint.time_added.as_ref().map_or(noticed, |t| t.0));
        let limit = fitting.filter_map(|toleration| toleration.toleration_seconds).min();
        shortest = match (shortest, limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    match shortest {
        Some(seconds) if tainted => {
            let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            remaining(since, limit, now).map_or(Verdict::Leaves, Verdict::LeavesAfter)
        }
        _ => Verdict::Stays,
    }
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "taint-eviction"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let pod = caches.pods.get(&key.namespace, &key.name).filter(|pod| is_active(pod));
        let node = pod.as_deref().and_then(node_name).and_then(|node| caches.nodes.get("", node));
        let (Some(pod), Some(node)) = (pod, node.filter(|node| no_execute(node).next().is_some())) else {
            self.noticed.lock().remove(key);
            return Ok(None);
        };
        let now = Timestamp::now();
        let noticed = *self.noticed.lock().entry(key.clone()).or_insert(now);
        match plan(&pod, &node, noticed, now) {
            Verdict::Stays => Ok(None),
            Verdict::LeavesAfter(delay) => Ok(Some(delay)),
            Verdict::Leaves => {
                self.evict(&pod).await?;
                Ok(None)
            }
        }
    }
}

impl Runner {
    async fn evict(&self, pod: &Pod) -> Result<(), kube::Error> {
        let api: Api<Pod> = api_in(&self.acting.client, namespace(&pod.metadata));
        let message =
            format!("Marking for deletion Pod {}/{}", namespace(&pod.metadata), name(&pod.metadata));
        self.recorder.about(pod, EventType::Normal, "TaintManagerEviction", message);
        let message = "Taint manager: deleting due to NoExecute taint";
        disrupt(&api, pod, "DeletionByTaintManager", message, None).await?;
        if let Some(deleted) = gone_is_fine(api.delete(name(&pod.metadata), &only(&pod.metadata)).await)?
            && let Some(deleted) = deleted.left().filter(crate::pods::is_deleting)
        {
            self.acting.caches.pods.note(deleted);
        }
        Ok(())
    }
}

/// Says on the pod why the cluster ends it; with a phase, that it has ended.
pub(crate) async fn disrupt(
    api: &Api<Pod>,
    pod: &Pod,
    reason: &str,
    message: &str,
    phase: Option<&str>,
) -> Result<(), kube::Error> {
    let condition = serde_json::json!({ "type": "DisruptionTarget", "status": "True", "reason": reason,
        "message": message, "lastTransitionTime": time(Timestamp::now()) });
    let mut patch = serde_json::json!({ "metadata": { "uid": pod.metadata.uid }, "status": { "conditions": [condition] } });
    if let Some(phase) = phase {
        patch["status"]["phase"] = phase.into();
    }
    gone_is_fine(
        api.patch_status(name(&pod.metadata), &PatchParams::default(), &Patch::Strategic(patch)).await,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, at, object, pod};
    use serde_json::{Value, json};

    fn decide(tolerations: Value, taints: Value, seconds: i64) -> Verdict {
        let pod = pod("a", json!({ "node": "n1", "spec": { "containers": [], "tolerations": tolerations } }));
        let node: Node = object(json!({ "metadata": { "name": "n1" }, "spec": { "taints": taints } }));
        plan(&pod, &node, at(2), at(seconds))
    }

    #[test]
    fn who_leaves_and_when() {
        let unreachable = json!([{ "key": "unreachable", "effect": "NoExecute", "timeAdded": START }]);
        let tolerates = |seconds: Value| json!([{ "key": "unreachable", "operator": "Exists", "tolerationSeconds": seconds }]);
        assert_eq!(decide(json!([]), unreachable.clone(), 0), Verdict::Leaves);
        assert_eq!(
            decide(tolerates(json!(5)), unreachable.clone(), 2),
            Verdict::LeavesAfter(Duration::from_secs(3))
        );
        assert_eq!(decide(tolerates(json!(5)), unreachable.clone(), 5), Verdict::Leaves);
        assert_eq!(decide(tolerates(Value::Null), unreachable.clone(), 500), Verdict::Stays);
        assert_eq!(decide(json!([]), json!([{ "key": "k", "effect": "NoSchedule" }]), 0), Verdict::Stays);
        // A taint that does not say when it was added counts from when it was noticed.
        let silent = json!([{ "key": "unreachable", "effect": "NoExecute" }]);
        assert_eq!(decide(tolerates(json!(5)), silent, 5), Verdict::LeavesAfter(Duration::from_secs(2)));
        // Of several taints the shortest toleration counts.
        let two = json!([{ "key": "unreachable", "effect": "NoExecute", "timeAdded": START },
            { "key": "b", "effect": "NoExecute", "timeAdded": START }]);
        let mixed = json!([{ "key": "unreachable", "operator": "Exists" },
            { "key": "b", "operator": "Exists", "tolerationSeconds": 1 }]);
        assert_eq!(decide(mixed, two, 1), Verdict::Leaves);
    }
}
