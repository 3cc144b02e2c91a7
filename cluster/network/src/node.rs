//! The network of one node: puts the parts together and keeps them going.

use futures::future::BoxFuture;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::{IpNet, Ipv4Net};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dns::{DnsServer, DnsServerConfig, Zone, ZoneConfig};
use crate::kernel::{Kernel, KernelError};
use crate::metrics::{DnsMetrics, ProxyMetrics};
use crate::overlay::{Overlay, OverlayConfig};
use crate::pods::{self, Lease, Leases, LinkPlan};
use crate::proxy::{Change, Owner, Proxy, RulesetConfig, host_port_rules};
use crate::runner::{self, NodeRunner, ServiceRunner};
use crate::{
    DnsSettings, HostPort, NetworkConfig, NetworkError, PodAddress, PodNetwork, PodRef, netns, overlay, proxy,
};

/// Where resolvers ask.
const DNS_PORT: u16 = 53;

/// Starts the network of this node in the current network namespace; returns as soon as its parts are up.
/// The node's pod CIDR is awaited in the background. Stops when `shutdown` is cancelled, leaving pods connected.
///
/// Boxed, so that its code is generated in this crate and not in each that calls it.
pub fn start(
    cfg: NetworkConfig,
    client: kube::Client,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<Arc<dyn PodNetwork>, NetworkError>> {
    Box::pin(bring_up(cfg, client, shutdown))
}

async fn bring_up(
    cfg: NetworkConfig,
    client: kube::Client,
    shutdown: CancellationToken,
) -> Result<Arc<dyn PodNetwork>, NetworkError> {
    let addresses = Addresses::of(&cfg)?;
    let kernel = Kernel::open().map_err(|e| NetworkError::Node(e.into()))?;
    let overlay_config = OverlayConfig {
        node_ip: addresses.node_ip,
        interface: cfg.interface.clone(),
        service_cidr: addresses.service_cidr,
    };
    let overlay = Overlay::open(kernel.clone(), overlay_config).await.map_err(NetworkError::Node)?;
    let leases = Leases::open(&cfg.state_dir)?;

    let ruleset = RulesetConfig {
        service_cidr: addresses.service_cidr,
        cluster_cidr: addresses.cluster_cidr,
        dns_ip: Some(addresses.dns_ip),
    };
    let metrics = ProxyMetrics::register(&cfg.registry)?;
    let proxy = Proxy::open(ruleset, vec![addresses.node_ip], metrics)
        .map_err(|e| NetworkError::Netfilter(e.into()))?;
    let proxy = Arc::new(proxy);
    let host_ports = leases.all().map(host_port_change).collect();
    apply(&proxy, host_ports).await?;

    let zone = Arc::new(RwLock::new(Zone::new(ZoneConfig {
        domain: cfg.cluster_domain.clone(),
        dns_ip: cfg.dns_ip,
        own_networks: vec![cfg.service_cidr, cfg.cluster_cidr],
    })));
    start_dns(&cfg, &kernel, addresses.dns_ip, zone.clone(), &shutdown).await?;

    let nodes = client::Cache::<Node>::builder(Api::all(client.clone())).trim(runner::trim_node).start();
    let services = client::Cache::<Service>::start(Api::all(client.clone()));
    let slices = client::Cache::<EndpointSlice>::builder(Api::all(client))
        .index(runner::SLICES_BY_SERVICE, runner::service_of_slice)
        .start();

    let (pod_cidr, pod_cidr_seen) = watch::channel(None);
    let mtu = overlay.mtu;
    let node_runner =
        NodeRunner { node_name: cfg.node_name.clone(), nodes: nodes.clone(), overlay, pod_cidr };
    tokio::spawn(node_runner.run(shutdown.clone()));
    let service_runner = ServiceRunner {
        node_name: cfg.node_name.clone(),
        dns_ip: addresses.dns_ip,
        nodes,
        services,
        slices,
        proxy: proxy.clone(),
        zone,
    };
    tokio::spawn(service_runner.run(shutdown.clone()));
    Ok(Arc::new(NodeNetwork {
        kernel,
        proxy,
        leases: Mutex::new(leases),
        pod_cidr: pod_cidr_seen,
        node_ip: addresses.node_ip,
        mtu,
        dns: DnsSettings { server: cfg.dns_ip, domain: cfg.cluster_domain },
        shutdown,
    }))
}

/// Removes everything that [`start`] and [`PodNetwork::attach`] made in the current network namespace and under
/// `state_dir`: links, routes, the nftables table, the DNS address, address leases. Sysctls stay as they are.
pub async fn cleanup(state_dir: &Path) -> Result<(), NetworkError> {
    let kernel = Kernel::open().map_err(|e| NetworkError::Node(e.into()))?;
    pods::remove_all(&kernel).await.map_err(NetworkError::Node)?;
    overlay::remove(&kernel).await.map_err(NetworkError::Node)?;
    proxy::remove_table().map_err(NetworkError::Netfilter)?;
    let mark = dns_mark(state_dir);
    if let Ok(text) = std::fs::read_to_string(&mark)
        && let Ok(address) = text.trim().parse()
    {
        let loopback = loopback(&kernel).await.map_err(NetworkError::Node)?;
        kernel.delete_address(loopback, address).await.map_err(NetworkError::Node)?;
    }
    for path in [mark, state_dir.join("leases")] {
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(NetworkError::File { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The addresses of the configuration, all of the family that is supported.
struct Addresses {
    node_ip: Ipv4Addr,
    dns_ip: Ipv4Addr,
    service_cidr: Ipv4Net,
    cluster_cidr: Ipv4Net,
}

impl Addresses {
    fn of(cfg: &NetworkConfig) -> Result<Self, NetworkError> {
        let address = |what, value: IpAddr| match value {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(_) => Err(NetworkError::NotIpv4 { what, value: value.to_string() }),
        };
        let network = |what, value: IpNet| match value {
            IpNet::V4(network) => Ok(network.trunc()),
            IpNet::V6(_) => Err(NetworkError::NotIpv4 { what, value: value.to_string() }),
        };
        Ok(Self {
            node_ip: address("the node's address", cfg.node_ip)?,
            dns_ip: address("the DNS address", cfg.dns_ip)?,
            service_cidr: network("the service CIDR", cfg.service_cidr)?,
            cluster_cidr: network("the cluster CIDR", cfg.cluster_cidr)?,
        })
    }
}

async fn start_dns(
    cfg: &NetworkConfig,
    kernel: &Kernel,
    dns_ip: Ipv4Addr,
    zone: Arc<RwLock<Zone>>,
    shutdown: &CancellationToken,
) -> Result<(), NetworkError> {
    let loopback = loopback(kernel).await.map_err(NetworkError::Node)?;
    let mark = dns_mark(&cfg.state_dir);
    std::fs::write(&mark, dns_ip.to_string()).map_err(|source| NetworkError::File { path: mark, source })?;
    kernel
        .set_link(rtnetlink::LinkUnspec::new_with_index(loopback).up().build())
        .await
        .map_err(NetworkError::Node)?;
    kernel.add_address(loopback, dns_ip, true).await.map_err(NetworkError::Node)?;
    let listen = SocketAddr::new(dns_ip.into(), DNS_PORT);
    let metrics = DnsMetrics::register(&cfg.registry)?;
    let config = DnsServerConfig { listen, zone, upstream: cfg.upstream_dns.clone(), metrics };
    let server =
        DnsServer::bind(config).await.map_err(|source| NetworkError::Dns { address: listen, source })?;
    tokio::spawn(server.run(shutdown.clone()));
    Ok(())
}

/// Where the DNS address is written down for [`cleanup`].
fn dns_mark(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("dns-address")
}

async fn loopback(kernel: &Kernel) -> Result<u32, KernelError> {
    let link = kernel.link("lo").await?.ok_or(KernelError::NoInterface("lo".into()))?;
    Ok(link.header.index)
}

fn host_port_change(lease: &Lease) -> Change {
    let rules = (!lease.ports.is_empty()).then(|| host_port_rules(lease.address, &lease.ports));
    (Owner::Pod(lease.uid.clone()), rules)
}

/// The kernel may take milliseconds: not on a worker.
async fn apply(proxy: &Arc<Proxy>, changes: Vec<Change>) -> Result<(), NetworkError> {
    let proxy = proxy.clone();
    match tokio::task::spawn_blocking(move || proxy.apply(changes)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(NetworkError::ShuttingDown),
    }
}

struct NodeNetwork {
    kernel: Kernel,
    proxy: Arc<Proxy>,
    leases: Mutex<Leases>,
    pod_cidr: watch::Receiver<Option<Ipv4Net>>,
    node_ip: Ipv4Addr,
    mtu: u32,
    dns: DnsSettings,
    shutdown: CancellationToken,
}

impl NodeNetwork {
    async fn pod_cidr(&self) -> Result<Ipv4Net, NetworkError> {
        let mut seen = self.pod_cidr.clone();
        tokio::select! {
            () = self.shutdown.cancelled() => Err(NetworkError::ShuttingDown),
            found = seen.wait_for(Option::is_some) => match found.map(|cidr| *cidr) {
                Ok(Some(cidr)) => Ok(cidr),
                _ => Err(NetworkError::ShuttingDown),
            },
        }
    }
}

#[async_trait]
impl PodNetwork for NodeNetwork {
    async fn attach(
        &self,
        pod: &PodRef,
        netns: &Path,
        ports: &[HostPort],
    ) -> Result<PodAddress, NetworkError> {
        let network = self.pod_cidr().await?;
        let namespace =
            netns::open(netns).map_err(|source| NetworkError::Namespace { path: netns.into(), source })?;
        let had_ports = self.leases.lock().get(&pod.uid).is_some_and(|l| !l.ports.is_empty());
        let lease = self.leases.lock().acquire(pod, network, ports)?;
        let plan = LinkPlan { lease: lease.clone(), node_ip: self.node_ip, mtu: self.mtu };
        let attached = pods::attach(&self.kernel, &namespace, &plan).await;
        attached.map_err(|source| NetworkError::Pod { uid: pod.uid.clone(), source })?;
        if had_ports || !lease.ports.is_empty() {
            apply(&self.proxy, vec![host_port_change(&lease)]).await?;
        }
        tracing::debug!(uid = pod.uid, pod = format!("{}/{}", pod.namespace, pod.name), address = %lease.address, "attached");
        Ok(PodAddress { ips: vec![lease.address.into()] })
    }

    async fn detach(&self, uid: &str) -> Result<(), NetworkError> {
        let Some(lease) = self.leases.lock().get(uid).cloned() else { return Ok(()) };
        if !lease.ports.is_empty() {
            apply(&self.proxy, vec![(Owner::Pod(uid.to_owned()), None)]).await?;
        }
        let detached = pods::detach(&self.kernel, &lease).await;
        detached.map_err(|source| NetworkError::Pod { uid: uid.to_owned(), source })?;
        // Last: the address must not be given again while the link is there.
        self.leases.lock().release(uid)?;
        Ok(())
    }

    async fn retain(&self, live_uids: &HashSet<String>) -> Result<(), NetworkError> {
        let all: Vec<String> = self.leases.lock().all().map(|l| l.uid.clone()).collect();
        for uid in all.iter().filter(|uid| !live_uids.contains(*uid)) {
            self.detach(uid).await?;
        }
        Ok(())
    }

    fn dns(&self) -> DnsSettings {
        self.dns.clone()
    }

    fn ready(&self) -> Result<(), String> {
        if self.pod_cidr.borrow().is_none() {
            return Err("the node has no pod CIDR yet".into());
        }
        if !self.proxy.is_synced() {
            return Err("the service proxy has not brought the services into the kernel yet".into());
        }
        Ok(())
    }
}
