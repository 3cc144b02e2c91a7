//! Pods that want to be near other pods, or away from them.

use crate::cluster::Cluster;
use k8s_openapi::api::core::v1::{Node, Pod, PodAffinityTerm};
use kube::core::{Selector, SelectorExt};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A topology domain: the label key and its value, for example `kubernetes.io/hostname=n1`.
type Domain = (String, String);

/// Where the pod has to be, and where it may not be, because of other pods.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    /// For each required term, its topology key and the values under which pods match it.
    near: Vec<(String, HashSet<String>)>,
    /// Domains with pods that the pod wants to be away from.
    away: HashSet<Domain>,
    /// Domains with pods that want to be away from the pod.
    unwelcome: HashSet<Domain>,
    /// What preferred terms give or take, by domain.
    liking: HashMap<Domain, i64>,
}

/// A term made ready to match pods.
struct Term {
    key: String,
    selector: Selector,
    namespaces: HashSet<String>,
    all_namespaces: bool,
}

impl Term {
    fn new(term: &PodAffinityTerm, pod: &Pod, cluster: &Cluster) -> Self {
        let mut selector = match &term.label_selector {
            Some(selector) => Selector::try_from(selector.clone()).unwrap_or_else(|_| nothing()),
            None => nothing(),
        };
        let own = pod.metadata.labels.clone().unwrap_or_default();
        let value = |key: &String| own.get(key).map(|value| (key.clone(), value.clone()));
        selector.extend(
            term.match_label_keys
                .iter()
                .flatten()
                .filter_map(value)
                .map(|(key, value)| kube::core::Expression::Equal(key, value)),
        );
        selector.extend(
            term.mismatch_label_keys
                .iter()
                .flatten()
                .filter_map(value)
                .map(|(key, value)| kube::core::Expression::NotEqual(key, value)),
        );
        let mut namespaces: HashSet<String> = term.namespaces.iter().flatten().cloned().collect();
        let mut all_namespaces = false;
        match &term.namespace_selector {
            None if namespaces.is_empty() => {
                namespaces.insert(pod.metadata.namespace.clone().unwrap_or_default());
            }
            None => {}
            Some(wanted) => {
                let wanted = Selector::try_from(wanted.clone()).unwrap_or_else(|_| nothing());
                all_namespaces = wanted.selects_all();
                let selected = cluster.namespaces.iter().filter(|(_, labels)| wanted.matches(labels));
                namespaces.extend(selected.map(|(name, _)| name.clone()));
            }
        }
        Self { key: term.topology_key.clone(), selector, namespaces, all_namespaces }
    }

    fn matches(&self, pod: &Pod) -> bool {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("");
        let none = BTreeMap::new();
        (self.all_namespaces || self.namespaces.contains(namespace))
            && self.selector.matches(pod.metadata.labels.as_ref().unwrap_or(&none))
    }
}

/// A selector that matches no object.
fn nothing() -> Selector {
    kube::core::Expression::In("kubernetes.io/none".into(), Default::default()).into()
}

fn required(pod: &Pod, anti: bool) -> impl Iterator<Item = &PodAffinityTerm> {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let near = affinity.filter(|_| !anti).and_then(|a| a.pod_affinity.as_ref());
    let away = affinity.filter(|_| anti).and_then(|a| a.pod_anti_affinity.as_ref());
    let near = near.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let away = away.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    near.into_iter().chain(away).flatten()
}

/// The preferred terms with their weights, those to be away from with negative ones.
fn preferred(pod: &Pod) -> Vec<(&PodAffinityTerm, i64)> {
    let Some(affinity) = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()) else { return Vec::new() };
    let near = affinity.pod_affinity.as_ref();
    let near = near.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let away = affinity.pod_anti_affinity.as_ref();
    let away = away.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let near = near.into_iter().flatten().map(|t| (&t.pod_affinity_term, i64::from(t.weight)));
    let away = away.into_iter().flatten().map(|t| (&t.pod_affinity_term, -i64::from(t.weight)));
    near.chain(away).collect()
}

fn label<'a>(node: &'a Node, key: &str) -> Option<&'a String> {
    node.metadata.labels.as_ref()?.get(key)
}

impl Relations {
    pub fn new(pod: &Pod, cluster: &Cluster) -> Self {
        let near: Vec<Term> = required(pod, false).map(|term| Term::new(term, pod, cluster)).collect();
        let away: Vec<Term> = required(pod, true).map(|term| Term::new(term, pod, cluster)).collect();
        let likes: Vec<(Term, i64)> = preferred(pod)
            .into_iter()
            .map(|(term, weight)| (Term::new(term, pod, cluster), weight))
            .collect();
        let mut relations = Relations {
            near: near.iter().map(|t| (t.key.clone(), HashSet::new())).collect(),
            ..Self::default()
        };
        for (_, node, info) in cluster.existing() {
            for other in info.pods.values().filter(|other| other.metadata.deletion_timestamp.is_none()) {
                for (term, (_, found)) in near.iter().zip(&mut relations.near) {
                    if let Some(value) = label(node, &term.key).filter(|_| term.matches(other)) {
                        found.insert(value.clone());
                    }
                }
                for term in away.iter().filter(|term| term.matches(other)) {
                    relations
                        .away
                        .extend(label(node, &term.key).map(|value| (term.key.clone(), value.clone())));
                }
                for (term, weight) in likes.iter().filter(|(term, _)| term.matches(other)) {
                    if let Some(value) = label(node, &term.key) {
                        *relations.liking.entry((term.key.clone(), value.clone())).or_default() += weight;
                    }
                }
                for term in required(other, true).map(|term| Term::new(term, other, cluster)) {
                    if let Some(value) = label(node, &term.key).filter(|_| term.matches(pod)) {
                        relations.unwelcome.insert((term.key.clone(), value.clone()));
                    }
                }
            }
        }
        // The first pod of a group that wants to be together may be anywhere.
        if relations.near.iter().all(|(_, found)| found.is_empty())
            && near.iter().all(|term| term.matches(pod))
        {
            relations.near.clear();
        }
        relations
    }

    /// Why the pod can not be on the node.
    pub fn refusal(&self, node: &Node) -> Option<&'static str> {
        let inside =
            |domains: &HashSet<Domain>| domains.iter().any(|(key, value)| label(node, key) == Some(value));
        let is_near =
            |(key, values): &(String, HashSet<String>)| label(node, key).is_some_and(|v| values.contains(v));
        if !self.near.iter().all(is_near) {
            Some("node(s) didn't match pod affinity rules")
        } else if inside(&self.away) {
            Some("node(s) didn't match pod anti-affinity rules")
        } else if inside(&self.unwelcome) {
            Some("node(s) didn't satisfy existing pods anti-affinity rules")
        } else {
            None
        }
    }

    /// How much preferred terms speak for the node.
    pub fn liking(&self, node: &Node) -> i64 {
        let here = |(domain, _): &(&Domain, &i64)| label(node, &domain.0) == Some(&domain.1);
        self.liking.iter().filter(here).map(|(_, weight)| weight).sum()
    }
}
