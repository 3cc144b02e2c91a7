//! The loops that follow the caches.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use client::{Cache, ObjectKey};
use futures::{FutureExt, StreamExt};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dns::{self, Zone};
use crate::overlay::{Overlay, Peers, own_pod_cidr, peer};
use crate::proxy::{Change, Owner, Placement, Proxy, service_rules};

/// The index of EndpointSlices by `NAMESPACE/SERVICE`.
pub const SLICES_BY_SERVICE: &str = "service";
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// How soon a refused change is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// For [`SLICES_BY_SERVICE`].
pub fn service_of_slice(slice: &EndpointSlice) -> Vec<String> {
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    let service = slice.metadata.labels.as_ref().and_then(|l| l.get(SERVICE_NAME_LABEL));
    service.map(|s| format!("{namespace}/{s}")).into_iter().collect()
}

/// Heartbeats are not looked at: images and conditions need not be kept.
pub fn trim_node(node: &mut Node) {
    if let Some(status) = &mut node.status {
        status.images = None;
        status.conditions = None;
    }
}

/// Waits longer after each failure.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(RETRY.0)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY.1);
    }
}

/// Keeps the overlay as the Nodes are.
pub struct NodeRunner {
    pub node_name: String,
    pub nodes: Cache<Node>,
    pub overlay: Overlay,
    pub pod_cidr: watch::Sender<Option<Ipv4Net>>,
}

impl NodeRunner {
    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut changes = self.nodes.changes();
        let mut backoff = Backoff::new();
        let mut applied = None;
        let follow = async {
            self.nodes.synced().await;
            loop {
                let wanted = self.wanted();
                if applied != wanted {
                    match self.apply(&wanted).await {
                        Ok(()) => {
                            applied = wanted;
                            backoff = Backoff::new();
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the overlay could not follow the nodes");
                            backoff.wait().await;
                            continue;
                        }
                    }
                }
                if changes.next().await.is_none() {
                    return;
                }
                while let Some(Some(_)) = changes.next().now_or_never() {}
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow => tracing::error!("the cache of nodes ended"),
        }
    }

    /// The node's own pod CIDR and its peers; `None`: it has none yet.
    fn wanted(&self) -> Option<(Ipv4Net, Peers)> {
        let own = own_pod_cidr(&*self.nodes.get("", &self.node_name)?)?;
        let others = self.nodes.list().into_iter().filter_map(|node| {
            let name = node.metadata.name.clone().filter(|n| *n != self.node_name)?;
            Some((name, peer(&node)?))
        });
        Some((own, others.collect()))
    }

    async fn apply(&mut self, wanted: &Option<(Ipv4Net, Peers)>) -> Result<(), crate::kernel::KernelError> {
        // A Node that is gone comes back: what it had stays meanwhile.
        let Some((own, peers)) = wanted else { return Ok(()) };
        if *self.pod_cidr.borrow() != Some(*own) {
            self.overlay.set_own(*own).await?;
        }
        self.overlay.set_peers(*own, peers).await?;
        self.pod_cidr.send_if_modified(|cidr| cidr.replace(*own) != Some(*own));
        tracing::debug!(%own, peers = peers.len(), "the overlay follows the nodes");
        Ok(())
    }
}

/// Keeps the service proxy and the DNS as the Services are.
pub struct ServiceRunner {
    pub node_name: String,
    pub dns_ip: Ipv4Addr,
    pub nodes: Cache<Node>,
    pub services: Cache<Service>,
    pub slices: Cache<EndpointSlice>,
    pub proxy: Arc<Proxy>,
    pub zone: Arc<RwLock<Zone>>,
}

impl ServiceRunner {
    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => tracing::error!("the caches of services ended"),
        }
    }

    async fn follow(&self) {
        let mut service_changes = self.services.changes();
        let mut slice_changes = self.slices.changes();
        let mut node_changes = self.nodes.changes();
        tokio::join!(self.services.synced(), self.slices.synced(), self.nodes.synced());
        let mut placement = self.placement();
        let mut dirty: BTreeSet<ObjectKey> =
            self.services.list().iter().map(|s| ObjectKey::of(&**s)).collect();
        let mut loaded = false;
        let mut backoff = Backoff::new();
        loop {
            let changes = dirty.iter().map(|key| self.look_at(key, &placement)).collect();
            match self.apply(changes, loaded).await {
                Ok(()) => {
                    (loaded, backoff) = (true, Backoff::new());
                    dirty.clear();
                }
                Err(error) => {
                    tracing::warn!(%error, "the kernel did not take a change of services");
                    loaded = true;
                    // Kept dirty: also an unchanged service makes the proxy write its whole table again.
                    backoff.wait().await;
                    continue;
                }
            }
            tokio::select! {
                change = service_changes.next() => match change {
                    Some(change) => dirty.extend([change.key]),
                    None => return,
                },
                change = slice_changes.next() => match change {
                    Some(change) => dirty.extend(slice_owners(&change)),
                    None => return,
                },
                change = node_changes.next() => if change.is_none() { return },
            }
            while let Some(Some(change)) = service_changes.next().now_or_never() {
                dirty.insert(change.key);
            }
            while let Some(Some(change)) = slice_changes.next().now_or_never() {
                dirty.extend(slice_owners(&change));
            }
            while let Some(Some(_)) = node_changes.next().now_or_never() {}
            let now = self.placement();
            if now != placement {
                placement = now;
                dirty.extend(self.services.list().iter().map(|s| ObjectKey::of(&**s)));
            }
        }
    }

    fn placement(&self) -> Placement {
        let node = self.nodes.get("", &self.node_name);
        let zone = node.and_then(|n| n.metadata.labels.as_ref()?.get(ZONE_LABEL).cloned());
        Placement { node_name: self.node_name.clone(), zone, dns_ip: Some(self.dns_ip) }
    }

    /// What a service asks for now, for the proxy; the DNS is told at once.
    fn look_at(&self, key: &ObjectKey, placement: &Placement) -> Change {
        let service = self.services.get(&key.namespace, &key.name);
        let slices = self.slices.by_index(SLICES_BY_SERVICE, &key.to_string());
        let slices: Vec<&EndpointSlice> = slices.iter().map(|s| &**s).collect();
        let entry = service.as_ref().map(|s| dns::entry(s, &slices));
        self.zone.write().set(&key.namespace, &key.name, entry);
        let owner = Owner::Service { namespace: key.namespace.to_string(), name: key.name.to_string() };
        (owner, service.map(|s| service_rules(&s, &slices, placement)))
    }

    async fn apply(&self, changes: Vec<Change>, loaded: bool) -> Result<(), crate::proxy::SyncError> {
        let proxy = self.proxy.clone();
        let work = move || if loaded { proxy.apply(changes) } else { proxy.load(changes) };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            // The runtime is going down.
            Err(_) => Ok(()),
        }
    }
}

/// The services whose endpoints a change of a slice may have changed.
fn slice_owners(change: &client::Change<EndpointSlice>) -> Vec<ObjectKey> {
    let of = |slice: &Arc<EndpointSlice>| {
        let namespace = slice.metadata.namespace.as_deref()?;
        let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
        Some(ObjectKey::new(namespace, name.as_str()))
    };
    change.old.iter().chain(&change.new).filter_map(of).collect()
}
