//! What the agent of a node is told at start, and how it fails.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;

/// What the agent of a node is told at start.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    pub node_name: String,
    /// The node's `InternalIP`; also the address of its pods in the host network.
    pub node_ip: IpAddr,
    /// The agent's own files: volumes of pods, their hosts files, tokens.
    pub data_dir: PathBuf,
    /// Log files of containers, one directory per pod. On a machine `/var/log/pods`.
    pub log_dir: PathBuf,
    /// Where the agent's HTTPS server listens; the port is published in the Node object.
    pub listen: SocketAddr,
    pub tls: ServingIdentity,
    /// Labels that the Node has besides the well-known ones.
    pub labels: BTreeMap<String, String>,
    /// Taints that the Node gets when it is registered (and not later).
    pub taints: Vec<Taint>,
    /// How many pods the node offers to run.
    pub max_pods: u32,
    /// Taken from the capacity for the machine's own needs: CPU in thousandths, memory in bytes.
    pub reserved_cpu_millis: u64,
    pub reserved_memory_bytes: u64,
    /// Manifests of pods that the agent runs without being asked by the API.
    pub static_pod_dir: Option<PathBuf>,
    /// `resolv.conf` that pods with `dnsPolicy: Default` (and those in the host network) get.
    pub resolv_conf: PathBuf,
    pub timings: Timings,
    pub registry: prometheus::Registry,
}

/// Certificates of the agent's server, as PEM.
#[derive(Clone, Debug)]
pub struct ServingIdentity {
    pub cert_pem: String,
    pub key_pem: String,
    /// Who signs the certificates of clients: the cluster's CA.
    pub client_ca_pem: String,
}

/// Periods of the agent. The defaults are those of the architecture: a node is unreachable after 5 s without a
/// heartbeat, its pods are replaced after 10 s.
#[derive(Clone, Debug)]
pub struct Timings {
    /// The Lease is renewed this often.
    pub heartbeat: Duration,
    /// The Node's status is written at least this often, even when nothing changed.
    pub status_refresh: Duration,
    /// Without a server for this long, pods that may be replaced elsewhere are stopped.
    pub fence_after: Duration,
    /// How long stopping them may take.
    pub fence_grace: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            heartbeat: Duration::from_secs(1),
            status_refresh: Duration::from_secs(300),
            fence_after: Duration::from_secs(8),
            fence_grace: Duration::from_secs(1),
        }
    }
}

/// Why the agent could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the agent's server can not listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("the agent's certificate or key is not usable: {0}")]
    Certificate(String),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("a part of the agent ended: {0}")]
    PartEnded(&'static str),
}
