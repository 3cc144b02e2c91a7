//! The node agent (what Kubernetes calls the kubelet): registers the node, runs the pods bound to it, reports.
//!
//! What it owns: the Node object's status and Lease, the status of the pods bound to the node, the directory of each
//! pod (`DATA_DIR/pods/UID`: volumes, hosts file), the log directories, the HTTPS server on port 10250.
//!
//! Invariants:
//! - One worker per pod uid; only it touches the pod's sandbox, containers and directory. What it does next is decided
//!   by one pure function, `pod::machine::step`.
//! - Nothing is polled: exits, watches, probes and times named by the state machine wake a worker.
//! - What runs is found again after a restart: containers are adopted, never restarted because the agent was.
//! - A pod's status is written only when it changed, and only the parts that the agent owns.
//! - When no server can be reached for `Timings::fence_after`, pods that the cluster may replace are stopped before it does.
//!
//! Map: `config` what it is told; `node` the Node object and its heartbeats; `manager` which pods run here; [`pod`] the life
//! of one pod; `volumes`, `env`, `files`, `sources`, `container_spec`, `images`, `hooks`, `probe` what a pod needs; `logs`
//! reading logs; `server` (with [`spdy`]) logs, exec, attach, port-forward, metrics.

mod config;
mod container_spec;
mod env;
mod files;
mod hooks;
mod host;
mod images;
mod logs;
mod manager;
mod metrics;
mod node;
pub mod pod;
mod probe;
mod quantity;
mod server;
mod sources;
pub mod spdy;
mod volumes;

use futures::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;

use client::{Cache, Recorder};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use network::PodNetwork;
use runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use config::{AgentConfig, AgentError, ServingIdentity, Timings};
use host::{Host, Machine};

/// Runs the agent of this node until `shutdown` is cancelled; containers go on running.
///
/// Boxed, so that its code is generated in this crate and not in each that calls it.
pub fn run(
    cfg: AgentConfig,
    client: kube::Client,
    runtime: Arc<Runtime>,
    network: Arc<dyn PodNetwork>,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<(), AgentError>> {
    Box::pin(work(cfg, client, runtime, network, shutdown))
}

async fn work(
    cfg: AgentConfig,
    client: kube::Client,
    runtime: Arc<Runtime>,
    network: Arc<dyn PodNetwork>,
    shutdown: CancellationToken,
) -> Result<(), AgentError> {
    let mut cfg = cfg;
    for dir in [&mut cfg.data_dir, &mut cfg.log_dir] {
        // What is mounted into containers must be found from anywhere.
        *dir = std::path::absolute(&*dir).map_err(|source| AgentError::File { path: dir.clone(), source })?;
    }
    let layout = volumes::Layout::new(&cfg.data_dir);
    layout.prepare().map_err(|source| AgentError::File { path: cfg.data_dir.clone(), source })?;
    let capacity = runtime.capacity();
    let host = Arc::new(Host {
        machine: Machine {
            cpu_milli: capacity.cpus as i64 * 1000,
            memory_bytes: capacity.memory_bytes as i64,
            disk_bytes: capacity.disk_bytes as i64,
            reserved_cpu_milli: cfg.reserved_cpu_millis as i64,
            reserved_memory_bytes: cfg.reserved_memory_bytes as i64,
        },
        metrics: metrics::Metrics::register(&cfg.registry)?,
        recorder: Recorder::new(client.clone(), "kubelet", &cfg.node_name),
        sources: sources::Sources::new(client.clone()),
        services: Cache::start(Api::<Service>::all(client.clone())),
        version: runtime.version(),
        shutdown: shutdown.clone(),
        cfg,
        client,
        runtime,
        network,
        layout,
    });
    let pods = manager::Pods::default();
    let serving = server::start(host.clone(), pods.clone(), shutdown.clone()).await?;
    let (contact_tx, contact) = watch::channel(node::Contact::Good);
    let (node_tx, node_rx) = watch::channel(None);
    tokio::select! {
        () = node::run(host.clone(), node_tx, shutdown.clone()) => ended(&shutdown, "node status"),
        () = node::keep(host.clone(), contact_tx, node_rx) => ended(&shutdown, "heartbeat"),
        () = manager::run(host.clone(), pods, contact, shutdown.clone()) => ended(&shutdown, "pod manager"),
        () = logs::rotate::run(host.runtime.clone()) => ended(&shutdown, "log rotation"),
        () = serving => ended(&shutdown, "server"),
        () = shutdown.cancelled() => Ok(()),
    }
}

/// A part of the agent returned: at shutdown that is as it should be.
fn ended(shutdown: &CancellationToken, part: &'static str) -> Result<(), AgentError> {
    if shutdown.is_cancelled() { Ok(()) } else { Err(AgentError::PartEnded(part)) }
}

/// Unmounts everything that agents made below `data_dir`: for when a node is taken down for good. Blocking.
pub fn cleanup(data_dir: &Path) -> Result<(), AgentError> {
    let layout = volumes::Layout::new(data_dir);
    layout.unmount_all().map_err(|source| AgentError::File { path: data_dir.to_owned(), source })
}
