//! Which nodes can take a pod, and why the others can not.

use crate::{
    affinity::Relations,
    cluster::NodeInfo,
    resources::{Amounts, PODS, collide, host_ports, requested},
    spread::Spread,
};
use client::placement::{selects_node, taints, untolerated};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Taint};

/// Everything about a pod that is the same for all nodes.
pub(crate) struct Demands<'a> {
    pub spec: &'a PodSpec,
    pub requests: Amounts,
    pub ports: Vec<(String, String, i32)>,
    pub relations: Relations,
    pub spread: Spread,
}

impl<'a> Demands<'a> {
    pub fn new(pod: &Pod, spec: &'a PodSpec, relations: Relations, spread: Spread) -> Self {
        let mut requests = requested(spec);
        requests.retain(|_, amount| *amount > 0);
        requests.insert(PODS.into(), 1);
        Self { spec, requests, ports: host_ports(pod), relations, spread }
    }

    /// Why the node can not take the pod; empty when it can. Only the first kind of reason that
    /// applies is told, but all resources that are short.
    pub fn refusals(&self, node: &Node, info: &NodeInfo) -> Vec<String> {
        let one = |reason: &str| vec![reason.to_owned()];
        let name = node.metadata.name.as_deref().unwrap_or("");
        if is_unschedulable(node) && !self.tolerates_unschedulable() {
            return one("node(s) were unschedulable");
        }
        if self.spec.node_name.as_deref().is_some_and(|wanted| !wanted.is_empty() && wanted != name) {
            return one("node(s) didn't match the requested node name");
        }
        if untolerated(self.spec, taints(node), &["NoSchedule", "NoExecute"]).is_some() {
            return one("node(s) had untolerated taint(s)");
        }
        if !selects_node(self.spec, node) {
            return one("node(s) didn't match Pod's node affinity/selector");
        }
        if self.ports.iter().any(|wanted| info.ports.iter().any(|used| collide(wanted, used))) {
            return one("node(s) didn't have free ports for the requested pod ports");
        }
        let short = self.short(info);
        if !short.is_empty() {
            return short;
        }
        if !self.spread.allows(node) {
            return one("node(s) didn't match pod topology spread constraints");
        }
        self.relations.refusal(node).map(one).unwrap_or_default()
    }

    fn short(&self, info: &NodeInfo) -> Vec<String> {
        let amount = |of: &Amounts, name: &str| of.get(name).copied().unwrap_or(0);
        let lacks = |(name, wanted): (&String, &i64)| {
            let free = amount(&info.allocatable, name) - amount(&info.used, name);
            let reason =
                if name == PODS { "Too many pods".to_owned() } else { format!("Insufficient {name}") };
            (*wanted > free).then_some(reason)
        };
        self.requests.iter().filter_map(lacks).collect()
    }

    fn tolerates_unschedulable(&self) -> bool {
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        untolerated(self.spec, std::slice::from_ref(&taint), &["NoSchedule"]).is_none()
    }
}

fn is_unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
}
