//! Where a pod goes: the decision for one pod from what is known of the cluster.

use crate::{affinity::Relations, cluster::Cluster, filter::Demands, score::best, spread::Spread};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::collections::BTreeMap;

/// The decision for one pod.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Bind it to this node.
    Bind(String),
    /// No node can take it, for the reason that is told to people.
    Wait(String),
}

/// Decides where `pod` goes. The same cluster and pod always give the same decision.
pub(crate) fn plan(cluster: &Cluster, pod: &Pod) -> Decision {
    let spec = pod.spec.clone().unwrap_or_default();
    let relations = Relations::new(pod, cluster);
    let spread = Spread::new(pod, &spec, cluster);
    let demands = Demands::new(pod, &spec, relations, spread);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut fitting = Vec::new();
    let mut total = 0;
    for (name, node, info) in cluster.existing() {
        total += 1;
        let refusals = demands.refusals(node, info);
        if refusals.is_empty() {
            fitting.push((name.as_str(), node, info));
        }
        for reason in refusals {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    match best(pod, &demands, &fitting) {
        Some(node) => Decision::Bind(node.to_owned()),
        None => Decision::Wait(message(total, &reasons)),
    }
}

/// Says why no node fits, as Kubernetes does: `0/2 nodes are available: 1 Insufficient cpu, 1 ...`.
fn message(total: usize, reasons: &BTreeMap<String, usize>) -> String {
    if total == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let mut parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    format!("0/{total} nodes are available: {}.", parts.join(", "))
}

/// Whether a node's change may make room for pods that wait.
pub(crate) fn may_help(old: Option<&Node>, new: &Node) -> bool {
    let Some(old) = old else { return true };
    let allocatable = |node: &Node| node.status.as_ref().and_then(|s| s.allocatable.clone());
    let rules = |node: &Node| {
        let spec = node.spec.clone().unwrap_or_default();
        (spec.taints.unwrap_or_default(), spec.unschedulable.unwrap_or(false))
    };
    allocatable(old) != allocatable(new)
        || rules(old) != rules(new)
        || old.metadata.labels != new.metadata.labels
}

#[cfg(test)]
mod tests;
