//! Pods that want to be spread evenly over nodes or zones (`topologySpreadConstraints`).

use crate::cluster::Cluster;
use client::placement::{selects_node, taints, untolerated};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, TopologySpreadConstraint};
use kube::core::{Expression, Selector, SelectorExt};
use std::collections::{BTreeMap, HashMap};

/// How the pods that a pod's constraints name are distributed now.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    key: String,
    max_skew: i64,
    required: bool,
    /// How many matching pods each domain has.
    domains: HashMap<String, i64>,
    least: i64,
    /// Whether the pod itself counts.
    counts_itself: bool,
}

impl Spread {
    pub fn new(pod: &Pod, spec: &PodSpec, cluster: &Cluster) -> Self {
        let constraints = spec.topology_spread_constraints.iter().flatten();
        Self { rules: constraints.filter_map(|c| Rule::new(c, pod, spec, cluster)).collect() }
    }

    /// Whether the pod on this node would keep all constraints that must be kept.
    pub fn allows(&self, node: &Node) -> bool {
        self.rules.iter().filter(|rule| rule.required).all(|rule| {
            let count = rule.count(node);
            count.is_some_and(|n| n + i64::from(rule.counts_itself) - rule.least <= rule.max_skew)
        })
    }

    /// How crowded the node's domains are; `None` when no constraint says anything.
    pub fn crowding(&self, node: &Node) -> Option<i64> {
        let soft = || self.rules.iter().filter(|rule| !rule.required);
        soft().next()?;
        Some(soft().map(|rule| rule.count(node).unwrap_or(0)).sum())
    }
}

impl Rule {
    fn new(
        constraint: &TopologySpreadConstraint,
        pod: &Pod,
        spec: &PodSpec,
        cluster: &Cluster,
    ) -> Option<Self> {
        let mut selector = Selector::try_from(constraint.label_selector.clone()?).ok()?;
        let own = pod.metadata.labels.clone().unwrap_or_default();
        let keys = constraint.match_label_keys.iter().flatten();
        selector.extend(keys.filter_map(|key| Some(Expression::Equal(key.clone(), own.get(key)?.clone()))));
        let honors_affinity = constraint.node_affinity_policy.as_deref() != Some("Ignore");
        let honors_taints = constraint.node_taints_policy.as_deref() == Some("Honor");
        let none = BTreeMap::new();
        let mut domains: HashMap<String, i64> = HashMap::new();
        for (_, node, info) in cluster.existing() {
            let Some(value) = node.metadata.labels.as_ref().and_then(|l| l.get(&constraint.topology_key))
            else {
                continue;
            };
            let tolerated = || untolerated(spec, taints(node), &["NoSchedule", "NoExecute"]).is_none();
            if (honors_affinity && !selects_node(spec, node)) || (honors_taints && !tolerated()) {
                continue;
            }
            let counts = |other: &&std::sync::Arc<Pod>| {
                other.metadata.namespace == pod.metadata.namespace
                    && other.metadata.deletion_timestamp.is_none()
                    && selector.matches(other.metadata.labels.as_ref().unwrap_or(&none))
            };
            *domains.entry(value.clone()).or_default() += info.pods.values().filter(counts).count() as i64;
        }
        let too_few = (domains.len() as i64) < i64::from(constraint.min_domains.unwrap_or(1));
        let least = if too_few { 0 } else { domains.values().copied().min().unwrap_or(0) };
        Some(Self {
            key: constraint.topology_key.clone(),
            max_skew: i64::from(constraint.max_skew),
            required: constraint.when_unsatisfiable == "DoNotSchedule",
            least,
            domains,
            counts_itself: selector.matches(&own),
        })
    }

    /// The matching pods in the node's domain; `None` when the node is in none.
    fn count(&self, node: &Node) -> Option<i64> {
        let value = node.metadata.labels.as_ref()?.get(&self.key)?;
        self.domains.get(value).copied()
    }
}
