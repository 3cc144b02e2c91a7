//! The controllers: what keeps the cluster's objects as their owners declared them.
//!
//! Invariants
//! - Only the holder of the Lease `kube-system/kube-controller-manager` acts, and every one of its
//!   writes carries its epoch: a deposed leader can not write. Standbys keep warm caches.
//! - Each controller is a pure `plan(snapshot, now)` and a thin runner that gets a *key*, reads the
//!   caches, plans, and acts through the API. The same path serves start, fail-over and change.
//! - What a controller wrote it puts into its caches at once, so that it never acts twice on a
//!   state older than its own last action; there are no expectations to keep.
//! - Nothing polls: every loop wakes on a change or at a time that a plan named.
//!
//! Map: `drive.rs` runs controllers, `caches.rs` holds what they read, `objects.rs` and `pods.rs`
//! answer small questions; then one file per controller, see the modules below.

mod backends;
mod caches;
mod cluster_role;
mod cron_job;
mod daemon_set;
mod deployment;
mod discovered;
mod disruption;
mod drive;
mod endpoints;
mod gc;
mod history;
mod job;
mod namespace;
mod node;
mod objects;
mod pod_gc;
mod pods;
mod replicas;
mod resource_quota;
mod service_account;
mod slices;
mod stateful_set;
#[cfg(test)]
mod testing;
mod ttl;

use caches::Caches;
pub use caches::Shared;
use client::{Elector, ElectorConfig, Leadership, Lost, QueueMetrics, Recorder, fenced, lead};
use futures::future::BoxFuture;
use node::heartbeats::Heartbeats;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the controllers need to know of their cluster.
#[derive(Clone)]
pub struct Options {
    /// Who we are in the Lease: unique for each start of a server, for example `server-1_UUID`.
    pub identity: String,
    /// The addresses of all pods; each node gets a /24 of them.
    pub cluster_cidr: ipnet::IpNet,
    /// The cluster's certificate authority, for the ConfigMap `kube-root-ca.crt` of each namespace.
    pub ca_pem: String,
    /// Where metrics are registered.
    pub registry: prometheus::Registry,
    /// Tells which other server has died, so that its lease is not waited for.
    pub lost: Option<Lost>,
    /// The caches that others use, too.
    pub shared: Shared,
}

/// What a controller acts with during one term of leadership. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Acting {
    /// Writes carry the epoch of this term.
    pub client: kube::Client,
    pub caches: Arc<Caches>,
    pub heartbeats: Heartbeats,
    pub metrics: QueueMetrics,
    pub options: Arc<Options>,
    /// Cancelled when the term ends.
    pub stop: CancellationToken,
}

impl Acting {
    /// Writes Events as `component`.
    pub fn recorder(&self, component: &str) -> Recorder {
        Recorder::new(self.client.clone(), component, "")
    }
}

/// Runs the controllers whenever this server leads, until `shutdown`; then the lease is released.
///
/// Boxed, so that its code is generated in this crate and not in each that calls it.
pub fn run(client: kube::Client, options: Options, shutdown: CancellationToken) -> BoxFuture<'static, ()> {
    Box::pin(work(client, options, shutdown))
}

async fn work(client: kube::Client, options: Options, shutdown: CancellationToken) {
    let mut config = ElectorConfig::new("kube-controller-manager", &options.identity);
    config.registry = Some(options.registry.clone());
    config.lost.clone_from(&options.lost);
    let metrics = QueueMetrics::new(&options.registry);
    let caches = Arc::new(Caches::start(&client, options.shared.clone()));
    let heartbeats = Heartbeats::start(&caches, shutdown.clone());
    let options = Arc::new(options);
    let elector = Elector::start(client.clone(), config, shutdown.clone());
    lead(elector.leadership(), shutdown, |held, stop| {
        let client = fenced(&client, &held);
        let (caches, heartbeats) = (caches.clone(), heartbeats.clone());
        let (metrics, options) = (metrics.clone(), options.clone());
        term(Acting { client, caches, heartbeats, metrics, options, stop }, held)
    })
    .await;
    elector.stopped().await;
}

/// One term of leadership.
async fn term(acting: Acting, held: Leadership) {
    if acting.stop.run_until_cancelled(acting.caches.caught_up(held.since_revision)).await.is_none() {
        return;
    }
    let mut tasks = JoinSet::new();
    tasks.spawn(deployment::run(acting.clone()));
    tasks.spawn(replicas::run_replica_sets(acting.clone()));
    tasks.spawn(replicas::run_replication_controllers(acting.clone()));
    tasks.spawn(slices::run(acting.clone()));
    tasks.spawn(slices::run_mirror(acting.clone()));
    tasks.spawn(endpoints::run(acting.clone()));
    tasks.spawn(namespace::run(acting.clone()));
    tasks.spawn(gc::run(acting.clone()));
    tasks.spawn(service_account::run_accounts(acting.clone()));
    tasks.spawn(service_account::run_root_ca(acting.clone()));
    tasks.spawn(node::lifecycle::run(acting.clone()));
    tasks.spawn(node::eviction::run(acting.clone()));
    tasks.spawn(pod_gc::run(acting.clone()));
    tasks.spawn(node::ipam::run(acting.clone()));
    tasks.spawn(daemon_set::run(acting.clone()));
    tasks.spawn(stateful_set::run(acting.clone()));
    tasks.spawn(job::run(acting.clone()));
    tasks.spawn(cron_job::run(acting.clone()));
    tasks.spawn(ttl::run(acting.clone()));
    tasks.spawn(disruption::run(acting.clone()));
    tasks.spawn(resource_quota::run(acting.clone()));
    tasks.spawn(cluster_role::run(acting.clone()));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended abnormally");
        }
    }
}
