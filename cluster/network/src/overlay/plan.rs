//! From Nodes to peers. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;

/// Another node of the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The addresses of its pods; the first is the node's own end.
    pub pods: Ipv4Net,
    pub node_ip: Ipv4Addr,
}

impl Peer {
    /// The address of the node's end of the overlay.
    pub fn end(&self) -> Ipv4Addr {
        self.pods.network()
    }
}

/// The peers by node name.
pub type Peers = BTreeMap<String, Peer>;

/// The node's network and address, once it has both.
pub fn peer(node: &Node) -> Option<Peer> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let node_ip =
        addresses.iter().filter(|a| a.type_ == "InternalIP").find_map(|a| a.address.parse().ok())?;
    Some(Peer { pods: own_pod_cidr(node)?, node_ip })
}

/// The addresses for the node's pods, once it has them.
pub fn own_pod_cidr(node: &Node) -> Option<Ipv4Net> {
    let spec = node.spec.as_ref()?;
    let one = spec.pod_cidr.iter();
    one.chain(spec.pod_cidrs.iter().flatten()).find_map(|c| c.parse::<Ipv4Net>().ok()).map(|c| c.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(value: serde_json::Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_node_is_a_peer_once_it_has_addresses() {
        let addresses = serde_json::json!({"addresses": [
            {"type": "Hostname", "address": "n7"},
            {"type": "InternalIP", "address": "fd00::7"},
            {"type": "InternalIP", "address": "192.0.2.7"},
        ]});
        let full = node(serde_json::json!({
            "metadata": {"name": "n7"}, "spec": {"podCIDR": "10.244.7.0/24"}, "status": addresses.clone(),
        }));
        let found = peer(&full).unwrap();
        assert_eq!(
            found,
            Peer { pods: "10.244.7.0/24".parse().unwrap(), node_ip: "192.0.2.7".parse().unwrap() }
        );
        assert_eq!(found.end(), Ipv4Addr::new(10, 244, 7, 0));
        assert_eq!(peer(&node(serde_json::json!({"spec": {}, "status": addresses}))), None);
        assert_eq!(peer(&node(serde_json::json!({"spec": {"podCIDR": "10.244.7.0/24"}}))), None);
        let dual = node(
            serde_json::json!({"spec": {"podCIDR": "fd01::/64", "podCIDRs": ["fd01::/64", "10.9.0.0/24"]}}),
        );
        assert_eq!(own_pod_cidr(&dual), Some("10.9.0.0/24".parse().unwrap()));
    }
}
