//! The contract with the agent: what a pod gets from the network.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ipnet::IpNet;

use crate::kernel::KernelError;
use crate::netlink::RequestError;
use crate::proxy::SyncError;

/// Which pod is meant. The `uid` is the identity; the names are for logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRef {
    pub uid: String,
    pub namespace: String,
    pub name: String,
}

/// The transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Protocol {
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "SCTP")]
    Sctp,
}

/// A port of the node that leads to a port of the pod (`ports[].hostPort` of a container).
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct HostPort {
    pub protocol: Protocol,
    /// `None`: every address of the node.
    pub host_ip: Option<IpAddr>,
    pub host_port: u16,
    pub container_port: u16,
}

/// The addresses of a pod; the first is its `status.podIP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodAddress {
    pub ips: Vec<IpAddr>,
}

/// What a pod with `dnsPolicy: ClusterFirst` finds in its `resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// The `nameserver` line.
    pub server: IpAddr,
    /// The cluster domain, without a trailing dot: `cluster.local`.
    pub domain: String,
}

impl DnsSettings {
    /// The `search` line of a pod in `namespace`, most specific first.
    pub fn search(&self, namespace: &str) -> Vec<String> {
        let d = &self.domain;
        vec![format!("{namespace}.svc.{d}"), format!("svc.{d}"), d.clone()]
    }
}

/// What the network of a node is told at start.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    pub node_name: String,
    /// The node's own address (its `InternalIP`), over which the other nodes are reached.
    pub node_ip: IpAddr,
    /// The interface that carries `node_ip`; found by the address when `None`.
    pub interface: Option<String>,
    /// Where address leases are kept.
    pub state_dir: PathBuf,
    pub service_cidr: IpNet,
    pub cluster_cidr: IpNet,
    /// Without a trailing dot: `cluster.local`.
    pub cluster_domain: String,
    pub dns_ip: IpAddr,
    /// Who answers names outside the cluster. Empty: such names are refused at once.
    pub upstream_dns: Vec<SocketAddr>,
    pub registry: prometheus::Registry,
}

/// Why the network could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("the node's pod CIDR {0} has no free address")]
    NoFreeAddress(IpNet),
    #[error("pod {uid}: host port {port} is already used by pod {by}")]
    HostPortTaken { uid: String, port: u16, by: String },
    #[error("{0:?} can not be the uid of a pod")]
    InvalidUid(String),
    #[error("the network is shutting down")]
    ShuttingDown,
    #[error("only IPv4 is supported so far: {what} is {value}")]
    NotIpv4 { what: &'static str, value: String },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("lease file {path}: {source}")]
    Lease { path: PathBuf, source: serde_json::Error },
    #[error("network namespace {path}: {source}")]
    Namespace { path: PathBuf, source: std::io::Error },
    #[error("pod {uid}: {source}")]
    Pod { uid: String, source: KernelError },
    #[error("setting up the node: {0}")]
    Node(#[source] KernelError),
    #[error("service proxy: {0}")]
    Proxy(#[from] SyncError),
    #[error("service proxy: {0}")]
    Netfilter(#[source] RequestError),
    #[error("cluster DNS on {address}: {source}")]
    Dns { address: SocketAddr, source: std::io::Error },
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The pod network of this node.
#[async_trait]
pub trait PodNetwork: Send + Sync {
    /// Gives the pod whose network namespace is `netns` an address, a default route and its host ports.
    ///
    /// Idempotent per uid: a second call repairs what is missing and answers the same address. Waits until the
    /// node has a pod CIDR. On an error nothing but the address lease may stay behind; `detach` removes that.
    async fn attach(
        &self,
        pod: &PodRef,
        netns: &Path,
        ports: &[HostPort],
    ) -> Result<PodAddress, NetworkError>;

    /// Takes back what `attach` gave. Nothing happens when there is nothing; the namespace may be gone already.
    async fn detach(&self, uid: &str) -> Result<(), NetworkError>;

    /// After a restart: detaches every pod that is not in `live_uids`.
    async fn retain(&self, live_uids: &HashSet<String>) -> Result<(), NetworkError>;

    /// What the resolver of a pod is told.
    fn dns(&self) -> DnsSettings;

    /// `Err` with the reason while pods cannot be attached: the agent's `NetworkUnavailable`/`Ready` message.
    fn ready(&self) -> Result<(), String>;
}
