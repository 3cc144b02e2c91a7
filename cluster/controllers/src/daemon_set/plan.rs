//! On which nodes pods are missing, where there are too many, and which are out of date.

use crate::{
    history::HASH_LABEL,
    objects::{Claim, claim, created, labels, name, namespace, owner_reference, resolve, selector},
    pods::{self, is_active, is_available, is_deleting, is_ready, is_terminal, next_available, node_name},
};
use client::placement::{selects_node, taints, untolerated};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, DaemonSetStatus},
        core::v1::{
            Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec,
            Toleration,
        },
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What daemon pods tolerate whatever their template says: with the effect, for everybody or only
/// for those in the host's network.
const TOLERATED: [(&str, &str, bool); 7] = [
    ("node.kubernetes.io/not-ready", "NoExecute", false),
    ("node.kubernetes.io/unreachable", "NoExecute", false),
    ("node.kubernetes.io/disk-pressure", "NoSchedule", false),
    ("node.kubernetes.io/memory-pressure", "NoSchedule", false),
    ("node.kubernetes.io/pid-pressure", "NoSchedule", false),
    ("node.kubernetes.io/unschedulable", "NoSchedule", false),
    ("node.kubernetes.io/network-unavailable", "NoSchedule", true),
];

pub(crate) struct Snapshot<'a> {
    pub set: &'a DaemonSet,
    pub nodes: &'a [Arc<Node>],
    /// All pods of the namespace.
    pub pods: &'a [Arc<Pod>],
    /// The hash of the current revision.
    pub hash: &'a str,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub claim: Claim<Pod>,
    pub create: Vec<Pod>,
    pub delete: Vec<Arc<Pod>>,
    pub status: Option<DaemonSetStatus>,
    pub hashes_in_use: BTreeSet<String>,
    pub again_after: Option<Duration>,
}

/// Decides; `None` for a DaemonSet that selects everything.
pub(crate) fn plan(snapshot: &Snapshot, now: Timestamp) -> Option<Plan> {
    let set = snapshot.set;
    let spec = set.spec.as_ref()?;
    let selector = selector(&spec.selector).filter(|s| !s.selects_all())?;
    let claim = claim(&set.metadata, &selector, snapshot.pods);
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let sample = pod_spec(set);
    let mut by_node: BTreeMap<&str, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in &claim.mine {
        if let Some(node) = target(pod) {
            by_node.entry(node).or_default().push(pod.clone());
        }
    }
    let mut create = Vec::new();
    let mut delete = Vec::new();
    let mut status = DaemonSetStatus {
        observed_generation: set.metadata.generation,
        collision_count: set.status.as_ref().and_then(|s| s.collision_count),
        conditions: set.status.as_ref().and_then(|s| s.conditions.clone()),
        ..DaemonSetStatus::default()
    };
    let mut on_duty: Vec<(String, Arc<Pod>)> = Vec::new();
    for node in snapshot.nodes {
        let node_name = name(&node.metadata);
        let here = by_node.remove(node_name).unwrap_or_default();
        let fits = selects_node(&sample, node);
        let wanted = fits && untolerated(&sample, taints(node), &["NoSchedule", "NoExecute"]).is_none();
        let may_stay = fits && untolerated(&sample, taints(node), &["NoExecute"]).is_none();
        let keeper = keeper(&here);
        status.desired_number_scheduled += i32::from(wanted);
        status.current_number_scheduled += i32::from(wanted && !here.is_empty());
        status.number_misscheduled += i32::from(!wanted && !here.is_empty());
        match &keeper {
            None if wanted && here.iter().all(|pod| is_terminal(pod) && !is_deleting(pod)) => {
                create.push(make(set, node_name, snapshot.hash));
            }
            Some(pod) if wanted => on_duty.push((node_name.to_owned(), pod.clone())),
            _ => {}
        }
        let surplus =
            |pod: &&Arc<Pod>| !may_stay || keeper.as_ref().is_none_or(|k| k.metadata.uid != pod.metadata.uid);
        delete.extend(here.iter().filter(|pod| !is_deleting(pod)).filter(surplus).cloned());
    }
    // Pods that wait for a node that does not exist.
    delete
        .extend(by_node.into_values().flatten().filter(|pod| node_name(pod).is_none() && !is_deleting(pod)));
    let is_new = |pod: &Pod| labels(&pod.metadata).get(HASH_LABEL).is_some_and(|hash| hash == snapshot.hash);
    let number = |keep: &dyn Fn(&Pod) -> bool| on_duty.iter().filter(|(_, pod)| keep(pod)).count() as i32;
    status.number_ready = number(&is_ready);
    status.number_available = Some(number(&|pod| is_available(pod, min_ready, now)));
    status.updated_number_scheduled = Some(number(&is_new));
    let missing = status.desired_number_scheduled - status.number_available.unwrap_or(0);
    status.number_unavailable = Some(missing).filter(|n| *n > 0);
    delete.extend(outdated(set, &on_duty, status.desired_number_scheduled, missing, &is_new, now));
    let waiting = on_duty.iter().map(|(_, pod)| &**pod).filter(|pod| !is_available(pod, min_ready, now));
    let again_after = next_available(waiting, min_ready, now);
    if set.metadata.deletion_timestamp.is_some() {
        create.clear();
        delete.clear();
    }
    status.number_available = status.number_available.filter(|n| *n > 0);
    status.updated_number_scheduled = status.updated_number_scheduled.filter(|n| *n > 0);
    let hashes_in_use =
        claim.mine.iter().filter_map(|pod| labels(&pod.metadata).get(HASH_LABEL).cloned()).collect();
    let status = (set.status.as_ref() != Some(&status)).then_some(status);
    Some(Plan { claim, create, delete, status, hashes_in_use, again_after })
}

/// The pod that stays on a node: the oldest that works.
fn keeper(here: &[Arc<Pod>]) -> Option<Arc<Pod>> {
    let active = here.iter().filter(|pod| is_active(pod));
    active.min_by_key(|pod| (node_name(pod).is_none(), !is_ready(pod), created(&pod.metadata))).cloned()
}

/// The pods of old revisions that may go now.
fn outdated(
    set: &DaemonSet,
    on_duty: &[(String, Arc<Pod>)],
    desired: i32,
    unavailable: i32,
    is_new: &dyn Fn(&Pod) -> bool,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.clone()).unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return Vec::new();
    }
    let limit =
        strategy.rolling_update.and_then(|rolling| rolling.max_unavailable).unwrap_or(IntOrString::Int(1));
    let limit = resolve(&limit, desired, true).max(1);
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let old = on_duty.iter().map(|(_, pod)| pod).filter(|pod| !is_new(pod));
    let (working, broken): (Vec<_>, Vec<_>) = old.cloned().partition(|pod| is_available(pod, min_ready, now));
    let room = usize::try_from(limit - unavailable).unwrap_or(0);
    broken.into_iter().chain(working.into_iter().take(room)).collect()
}

/// The node that a pod is on, or is meant for.
fn target(pod: &Pod) -> Option<&str> {
    if let Some(node) = node_name(pod) {
        return Some(node);
    }
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    fields
        .filter(|field| field.key == "metadata.name")
        .find_map(|field| field.values.as_ref()?.first())
        .map(String::as_str)
}

/// The template's spec with what every daemon pod tolerates.
fn pod_spec(set: &DaemonSet) -> PodSpec {
    let mut spec = set.spec.as_ref().and_then(|spec| spec.template.spec.clone()).unwrap_or_default();
    let in_host_network = spec.host_network.unwrap_or(false);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect, only_in_host_network) in TOLERATED {
        let has =
            tolerations.iter().any(|t| t.key.as_deref() == Some(key) && t.effect.as_deref() == Some(effect));
        if !has && (in_host_network || !only_in_host_network) {
            tolerations.push(Toleration {
                key: Some(key.into()),
                operator: Some("Exists".into()),
                effect: Some(effect.into()),
                ..Toleration::default()
            });
        }
    }
    spec
}

fn make(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod =
        pods::from_template(&template, name(&set.metadata), namespace(&set.metadata), owner_reference(set));
    let own = pod.metadata.labels.get_or_insert_default();
    own.insert(HASH_LABEL.into(), hash.into());
    let generation =
        set.metadata.annotations.as_ref().and_then(|a| a.get("deprecated.daemonset.template.generation"));
    if let Some(generation) = generation {
        own.insert("pod-template-generation".into(), generation.clone());
    }
    let mut spec = pod_spec(set);
    let field = NodeSelectorRequirement {
        key: "metadata.name".into(),
        operator: "In".into(),
        values: Some(vec![node.to_owned()]),
    };
    let affinity: &mut NodeAffinity =
        spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    let required: &mut NodeSelector =
        affinity.required_during_scheduling_ignored_during_execution.get_or_insert_default();
    if required.node_selector_terms.is_empty() {
        required.node_selector_terms.push(NodeSelectorTerm::default());
    }
    for term in &mut required.node_selector_terms {
        term.match_fields = Some(vec![field.clone()]);
    }
    pod.spec = Some(spec);
    pod
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, object, pod};
    use serde_json::{Value, json};

    fn set(extra: Value) -> DaemonSet {
        let mut value = json!({
            "metadata": { "name": "web", "namespace": "ns", "uid": "ds-uid", "generation": 1 },
            "spec": { "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } } },
        });
        for (key, part) in extra.as_object().unwrap() {
            value["spec"][key] = part.clone();
        }
        object(value)
    }

    fn node(name: &str, taints: Value) -> Arc<Node> {
        Arc::new(object(json!({ "metadata": { "name": name }, "spec": { "taints": taints } })))
    }

    fn daemon(name: &str, node: &str, hash: &str, ready: bool) -> Arc<Pod> {
        let mut has = json!({ "owner": "ds-uid", "kind": "DaemonSet", "node": node,
            "labels": { "app": "web", "controller-revision-hash": hash } });
        if ready {
            has["ready"] = json!(true);
        }
        pod(name, has)
    }

    fn decide(set: &DaemonSet, nodes: &[Arc<Node>], pods: &[Arc<Pod>]) -> Plan {
        plan(&Snapshot { set, nodes, pods, hash: "new" }, at(100)).unwrap()
    }

    fn deleted(plan: &Plan) -> Vec<&str> {
        plan.delete.iter().map(|pod| name(&pod.metadata)).collect()
    }

    #[test]
    fn one_pod_on_every_node_that_fits() {
        let nodes = [
            node("n1", json!([])),
            node("n2", json!([{ "key": "k", "effect": "NoSchedule" }])),
            node("n3", json!([{ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }])),
            node("n4", json!([{ "key": "k", "effect": "NoExecute" }])),
        ];
        let pods = [
            daemon("a", "n1", "new", true),
            daemon("a2", "n1", "new", false),
            daemon("b", "n2", "new", true),
            daemon("d", "n4", "new", true),
        ];
        let plan = decide(&set(json!({})), &nodes, &pods);
        let targets: Vec<_> = plan.create.iter().filter_map(target).collect();
        assert_eq!(targets, ["n3"], "n2 keeps what it has, but gets nothing new");
        assert_eq!(deleted(&plan), ["a2", "d"]);
        let status = plan.status.unwrap();
        assert_eq!(
            (status.desired_number_scheduled, status.current_number_scheduled, status.number_misscheduled),
            (2, 1, 2)
        );
        assert_eq!((status.number_ready, status.number_unavailable), (1, Some(1)));
    }

    #[test]
    fn old_pods_go_as_far_as_allowed() {
        let nodes: Vec<_> = ["n1", "n2", "n3"].iter().map(|name| node(name, json!([]))).collect();
        let all = |ready: [bool; 3]| -> Vec<_> {
            ["n1", "n2", "n3"]
                .iter()
                .zip(ready)
                .map(|(n, ready)| daemon(&format!("p-{n}"), n, "old", ready))
                .collect()
        };
        assert_eq!(deleted(&decide(&set(json!({})), &nodes, &all([true; 3]))), ["p-n1"]);
        // What does not work goes, and uses up what may be missing.
        assert_eq!(deleted(&decide(&set(json!({})), &nodes, &all([true, false, true]))), ["p-n2"]);
        let two = set(json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": 2 } } }));
        assert_eq!(deleted(&decide(&two, &nodes, &all([true; 3]))), ["p-n1", "p-n2"]);
        let by_hand = set(json!({ "updateStrategy": { "type": "OnDelete" } }));
        assert_eq!(deleted(&decide(&by_hand, &nodes, &all([true; 3]))), [""; 0]);
    }

    #[test]
    fn ended_pods_are_replaced() {
        let nodes = [node("n1", json!([]))];
        let ended =
            pod("a", json!({ "owner": "ds-uid", "kind": "DaemonSet", "node": "n1", "phase": "Failed" }));
        let plan = decide(&set(json!({})), &nodes, &[ended]);
        assert_eq!((plan.create.len(), deleted(&plan)), (1, vec!["a"]));
    }
}
