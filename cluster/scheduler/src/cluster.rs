//! What the scheduler knows of the cluster: nodes with what runs on them, and what was decided but
//! is not yet visible.

use crate::resources::{Amounts, PODS, add, amounts, expected, host_ports, requested, subtract};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A node and the pods on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeInfo {
    /// `None` while only pods of it are known.
    pub node: Option<Arc<Node>>,
    pub allocatable: Amounts,
    pub used: Amounts,
    /// CPU and memory in use, with assumptions about those that do not say.
    pub expected: (i64, i64),
    /// The pods on the node, by uid.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// How many pods of each managing owner (by uid) there are.
    pub owners: HashMap<String, usize>,
    pub ports: Vec<(String, String, i32)>,
    /// The names of images that the node has, with their sizes.
    pub images: HashMap<String, i64>,
}

/// All nodes. A value that only changes through its methods: decisions are made from it alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub nodes: BTreeMap<String, NodeInfo>,
    /// The node of each pod that is counted, by uid.
    placed: HashMap<String, String>,
    /// Labels of namespaces, for affinity terms that select them.
    pub namespaces: HashMap<String, BTreeMap<String, String>>,
}

impl Cluster {
    /// A node came, or changed.
    pub fn put_node(&mut self, node: Arc<Node>) {
        let info = self.nodes.entry(node.metadata.name.clone().unwrap_or_default()).or_default();
        let status = node.status.clone().unwrap_or_default();
        info.allocatable = amounts(status.allocatable.as_ref().or(status.capacity.as_ref()));
        info.images = status
            .images
            .into_iter()
            .flatten()
            .flat_map(|image| {
                let size = image.size_bytes.unwrap_or(0);
                image.names.into_iter().flatten().map(move |name| (name, size))
            })
            .collect();
        info.node = Some(node);
    }

    /// A node went; its pods are still counted until they go.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            info.node = None;
            if info.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
    }

    /// The pod is on `node`, or will be.
    pub fn put_pod(&mut self, node: &str, pod: Arc<Pod>) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        self.remove_pod(&uid);
        let spec = pod.spec.clone().unwrap_or_default();
        let info = self.nodes.entry(node.to_owned()).or_default();
        let (cpu, memory) = expected(&spec);
        info.expected = (info.expected.0 + cpu, info.expected.1 + memory);
        add(&mut info.used, &requested(&spec));
        add(&mut info.used, &Amounts::from([(PODS.to_owned(), 1)]));
        if let Some(owner) = owner(&pod) {
            *info.owners.entry(owner.to_owned()).or_default() += 1;
        }
        info.ports.extend(host_ports(&pod));
        info.pods.insert(uid.clone(), pod);
        self.placed.insert(uid, node.to_owned());
    }

    /// The pod does not run anywhere any more. Whether it did.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(name) = self.placed.remove(uid) else { return false };
        let Some(info) = self.nodes.get_mut(&name) else { return true };
        let Some(pod) = info.pods.remove(uid) else { return true };
        let spec = pod.spec.clone().unwrap_or_default();
        let (cpu, memory) = expected(&spec);
        info.expected = (info.expected.0 - cpu, info.expected.1 - memory);
        subtract(&mut info.used, &requested(&spec));
        subtract(&mut info.used, &Amounts::from([(PODS.to_owned(), 1)]));
        if let Some(owner) = owner(&pod)
            && let Some(count) = info.owners.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                info.owners.remove(owner);
            }
        }
        for port in host_ports(&pod) {
            if let Some(at) = info.ports.iter().position(|p| *p == port) {
                info.ports.swap_remove(at);
            }
        }
        if info.node.is_none() && info.pods.is_empty() {
            self.nodes.remove(&name);
        }
        true
    }

    /// Where a pod is counted.
    pub fn node_of(&self, uid: &str) -> Option<&str> {
        self.placed.get(uid).map(String::as_str)
    }

    /// The nodes that exist.
    pub fn existing(&self) -> impl Iterator<Item = (&String, &Node, &NodeInfo)> {
        self.nodes.iter().filter_map(|(name, info)| Some((name, &**info.node.as_ref()?, info)))
    }
}

/// The uid of the owner that manages the pod.
pub(crate) fn owner(pod: &Pod) -> Option<&str> {
    let owners = pod.metadata.owner_references.as_ref()?;
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod};
    use serde_json::json;

    #[test]
    fn what_is_put_on_a_node_comes_off_again() {
        let mut cluster = Cluster::default();
        cluster.put_node(node("n1", json!({})));
        let empty = cluster.nodes["n1"].clone();
        let ports = json!([{ "containerPort": 80, "hostPort": 80 }]);
        let pod = pod("a", json!({ "cpu": "500m", "owner": "o", "ports": ports }));
        cluster.put_pod("n1", pod.clone());
        cluster.put_pod("n1", pod);
        let full = &cluster.nodes["n1"];
        assert_eq!((full.used["cpu"], full.used["pods"], full.owners["o"], full.ports.len()), (500, 1, 1, 1));
        assert_eq!(cluster.node_of("a-uid"), Some("n1"));
        assert!(cluster.remove_pod("a-uid"));
        let after = &cluster.nodes["n1"];
        assert!(after.used.values().all(|amount| *amount == 0));
        assert_eq!((after.expected, after.owners.len(), after.ports.len()), (empty.expected, 0, 0));
        cluster.remove_node("n1");
        assert!(cluster.nodes.is_empty());
    }
}
