//! Where everything of a local cluster is: names, addresses and files. Pure.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Port of the API on a server's own address.
pub const API_PORT: u16 = 6443;
/// Port of the image gateway on the switch's own address.
pub const GATEWAY_PORT: u16 = 3128;
/// The most servers and nodes that fit the address plan.
pub const SERVERS_MAX: u8 = 9;
pub const NODES_MAX: u8 = 100;
/// Network namespaces are pinned here, so that `ip netns` shows them too.
pub const NETNS_FOLDER: &str = "/run/netns";

/// What `up` was asked for; kept in `DIR/cluster.json`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Cluster {
    /// Six hex digits that keep two clusters on one machine apart.
    pub id: String,
    pub servers: u8,
    pub nodes: u8,
    /// Port of the balancer on the host's loopback.
    pub port: u16,
    /// Pods may reach the outside through NAT on the host.
    pub egress: bool,
    /// Registries that are spoken to without TLS (`HOST:PORT`).
    pub insecure_registries: Vec<String>,
    /// Secret that the agents show to the image gateway.
    pub gateway_secret: String,
}

/// One process of the cluster with a network namespace of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// `server-1`, `node-1`, ...
    pub name: String,
    pub address: Ipv4Addr,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Node,
}

impl Cluster {
    /// All hosts in start order: servers first.
    pub fn hosts(&self) -> Vec<Host> {
        self.server_hosts().chain(self.node_hosts()).collect()
    }

    pub fn server_hosts(&self) -> impl Iterator<Item = Host> {
        (1..=self.servers).map(|n| host(Role::Server, n))
    }

    pub fn node_hosts(&self) -> impl Iterator<Item = Host> {
        (1..=self.nodes).map(|n| host(Role::Node, n))
    }

    /// Name of the network namespace of a host, or of the switch.
    pub fn netns(&self, name: &str) -> String {
        format!("trireme-{}-{name}", self.id)
    }

    pub fn netns_path(&self, name: &str) -> PathBuf {
        Path::new(NETNS_FOLDER).join(self.netns(name))
    }

    /// Parent of all cgroups of a node's pods.
    pub fn cgroup_parent(&self, node: &str) -> String {
        format!("trireme-{}/{node}", self.id)
    }

    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        self.server_hosts().map(|server| SocketAddr::from((server.address, API_PORT))).collect()
    }

    pub fn gateway_url(&self) -> String {
        format!("http://trireme:{}@{}:{GATEWAY_PORT}", self.gateway_secret, switch_address())
    }
}

fn host(role: Role, number: u8) -> Host {
    let (name, last) = match role {
        Role::Server => (format!("server-{number}"), 10 + number),
        Role::Node => (format!("node-{number}"), 100 + number),
    };
    Host { name, address: Ipv4Addr::new(10, 200, 0, last), role }
}

/// The switch's own address, which the gateway listens on and the default route points to.
pub fn switch_address() -> Ipv4Addr {
    Ipv4Addr::new(10, 200, 0, 1)
}

/// Length of the prefix that all hosts share.
pub const PREFIX: u8 = 24;

/// The files under one `--data-dir`.
#[derive(Clone, Debug)]
pub struct Files {
    pub root: PathBuf,
}

impl Files {
    pub fn cluster(&self) -> PathBuf {
        self.root.join("cluster.json")
    }
    pub fn lock(&self) -> PathBuf {
        self.root.join("up.lock")
    }
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }
    /// Data folder of one server or node.
    pub fn host(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("log").join(format!("{name}.log"))
    }
    pub fn process(&self, name: &str) -> PathBuf {
        self.root.join("run").join(format!("{name}.json"))
    }
    /// Configuration that `up` writes for one process.
    pub fn config(&self, name: &str) -> PathBuf {
        self.root.join("run").join(format!("{name}.yaml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster {
            id: "0a1b2c".into(),
            servers: 3,
            nodes: 2,
            port: 6443,
            egress: false,
            insecure_registries: vec![],
            gateway_secret: "s".into(),
        }
    }

    #[test]
    fn every_host_has_its_own_address() {
        let largest = Cluster { servers: SERVERS_MAX, nodes: NODES_MAX, ..cluster() };
        let hosts = largest.hosts();
        let mut addresses: Vec<_> = hosts.iter().map(|host| host.address).collect();
        addresses.push(switch_address());
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), usize::from(SERVERS_MAX) + usize::from(NODES_MAX) + 1);
    }

    #[test]
    fn names_carry_the_cluster() {
        assert_eq!(cluster().netns_path("node-1"), Path::new("/run/netns/trireme-0a1b2c-node-1"));
        assert_eq!(cluster().cgroup_parent("node-2"), "trireme-0a1b2c/node-2");
        assert_eq!(cluster().hosts()[3].name, "node-1");
    }
}
