//! The scheduler: gives every pod a node.
//!
//! Invariants
//! - Only the holder of the Lease `kube-system/kube-scheduler` binds, and every binding carries its
//!   epoch: a deposed leader can not bind. Standbys keep warm caches.
//! - A decision is a pure function of what is known of the cluster and the pod; what was decided is
//!   known at once, before the binding is visible, so that no room is given away twice.
//! - A pod for which there is no node waits until something changes that may help it; it says why
//!   in its condition PodScheduled and in an event.
//!
//! Not here: preemption, and the binding of volumes.
//!
//! Map, in the order of a decision: `runner.rs` the loop, `waiting.rs` the pods that wait,
//! `cluster.rs` what is known, `plan.rs` the decision, `filter.rs` what each node allows (with
//! `resources.rs`, `affinity.rs`, `spread.rs`), `score.rs` what each node is worth.

mod affinity;
mod cluster;
mod filter;
mod metrics;
mod plan;
mod resources;
mod runner;
mod score;
mod spread;
#[cfg(test)]
mod testing;
mod waiting;

use client::{Elector, ElectorConfig, Leadership, Lost, fenced, lead};
use futures::future::BoxFuture;
use metrics::Metrics;
use runner::Runner;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

pub use runner::Caches;

/// How long a new leader waits for idle caches to confirm that they have seen everything its
/// predecessor wrote. What was written arrives long before.
const CATCH_UP_LIMIT: Duration = Duration::from_millis(150);

/// What the scheduler needs to know.
#[derive(Clone)]
pub struct Options {
    /// Who we are in the Lease: unique for each start of a server, for example `server-1_UUID`.
    pub identity: String,
    /// The pods to place: those with this `spec.schedulerName`.
    pub scheduler_name: String,
    /// Where metrics are registered.
    pub registry: prometheus::Registry,
    /// Tells which other server has died, so that its lease is not waited for.
    pub lost: Option<Lost>,
    /// What somebody else in this process keeps already; otherwise caches of our own are started.
    pub caches: Option<Caches>,
}

impl Options {
    /// For the pods of the default scheduler.
    pub fn new(identity: &str, registry: prometheus::Registry) -> Self {
        let scheduler_name = "default-scheduler".into();
        Self { identity: identity.into(), scheduler_name, registry, lost: None, caches: None }
    }
}

/// Places pods whenever this server leads, until `shutdown`; then the lease is released.
///
/// Boxed, so that its code is generated in this crate and not in each that calls it.
pub fn run(client: kube::Client, options: Options, shutdown: CancellationToken) -> BoxFuture<'static, ()> {
    Box::pin(work(client, options, shutdown))
}

async fn work(client: kube::Client, options: Options, shutdown: CancellationToken) {
    let mut config = ElectorConfig::new("kube-scheduler", &options.identity);
    config.registry = Some(options.registry.clone());
    config.lost.clone_from(&options.lost);
    let metrics = Metrics::new(&options.registry);
    let caches = options.caches.clone().unwrap_or_else(|| Caches::start(&client));
    let options = Arc::new(options);
    let elector = Elector::start(client.clone(), config, shutdown.clone());
    lead(elector.leadership(), shutdown, |held, stop| {
        let runner = Runner::new(fenced(&client, &held), options.clone(), metrics.clone());
        term(runner, caches.clone(), held, stop)
    })
    .await;
    elector.stopped().await;
}

/// One term of leadership.
async fn term(runner: Runner, caches: Caches, held: Leadership, stop: CancellationToken) {
    let caught_up = async {
        tokio::join!(caches.pods.synced(), caches.nodes.synced(), caches.namespaces.synced());
        let revision = held.since_revision;
        let reached = async { tokio::join!(caches.pods.reached(revision), caches.nodes.reached(revision)) };
        // Idle caches are not behind, they have only not been told how far they are.
        if tokio::time::timeout(CATCH_UP_LIMIT, reached).await.is_err() {
            tracing::debug!(revision, "some caches have not confirmed the revision yet");
        }
    };
    if stop.run_until_cancelled(caught_up).await.is_some() {
        runner.run(caches, stop).await;
    }
}
