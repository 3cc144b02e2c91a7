//! What a server is told at start, and how a start can fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::pki::{Pki, PkiError};

/// Everything one API server replica needs to know.
#[derive(Clone)]
pub struct Config {
    /// Where HTTPS is served.
    pub listen: SocketAddr,
    /// `host:port` under which clients and other hosts reach this replica; the host of the
    /// `kubernetes` Service's endpoint when it is an address.
    pub advertise: String,
    /// This server's name, unique in the cluster.
    pub name: String,
    /// Where this server may keep files of its own.
    pub data_dir: PathBuf,
    /// Cluster IPs of Services come from here. The first address is the `kubernetes` Service's.
    pub service_cidr: Ipv4Net,
    /// Ports of NodePort Services come from here.
    pub node_ports: RangeInclusive<u16>,
    /// The DNS domain of the cluster.
    pub cluster_domain: String,
    /// The address of the `kube-dns` Service.
    pub dns_ip: Ipv4Addr,
    /// More names and addresses the serving certificate is to hold.
    pub extra_names: Vec<String>,
    /// How long a client may take to send the headers of a request (HTTP/1).
    pub header_timeout: Duration,
    /// How long a request may take that is no watch, log or tunnel (Kubernetes' --request-timeout).
    pub request_timeout: Duration,
    /// How long requests in flight may go on when the server stops.
    pub shutdown_grace: Duration,
    /// Where the metrics are registered; served at `/metrics`.
    pub registry: prometheus::Registry,
    /// The cluster's keys.
    pub pki: Pki,
}

impl Config {
    /// The cluster's constants, for a server of this name.
    pub fn new(name: &str, listen: SocketAddr, advertise: &str, data_dir: PathBuf, pki: Pki) -> Self {
        Self {
            listen,
            advertise: advertise.to_owned(),
            name: name.to_owned(),
            data_dir,
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16),
            node_ports: 30000..=32767,
            cluster_domain: "cluster.local".to_owned(),
            dns_ip: Ipv4Addr::new(10, 96, 0, 10),
            extra_names: Vec::new(),
            header_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(5),
            registry: prometheus::Registry::new(),
            pki,
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address of the configuration.
        addr: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A key or certificate is missing or damaged.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A metric of the same name is registered already.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
