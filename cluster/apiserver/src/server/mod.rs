//! One server: what all requests share, the accept loop, the background tasks, the stop.

mod accept;
mod handle;
mod limits;
mod serving;
mod tasks;

pub(crate) use handle::handle;
pub(crate) use limits::Limits;
pub(crate) use serving::{DEFINITIONS, ServingCell};

use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use store::{Applied, Consistency, Store, Txn, View, WriteError};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::Agents;
use crate::authn::TokenCache;
use crate::config::{Config, StartError};
use crate::failure::unreadable;
use crate::metrics::Metrics;
use crate::{authz, bootstrap};

/// What all requests share.
pub(crate) struct Server {
    pub cfg: Config,
    pub store: Store,
    pub serving: ServingCell,
    pub rbac: RwLock<authz::Index>,
    pub metrics: Metrics,
    pub tokens: TokenCache,
    pub agents: Agents,
    pub limits: Limits,
    /// The one permit of writers that keep colliding, for example at the last room of a quota.
    pub turns: Semaphore,
    /// Cancelled when the server stops: long answers end.
    pub stop: CancellationToken,
    /// True from the moment the bootstrap objects exist.
    pub bootstrapped: watch::Sender<bool>,
}

impl Server {
    fn new(cfg: Config, store: Store) -> Result<Self, StartError> {
        Ok(Self {
            metrics: Metrics::new(&cfg.registry)?,
            agents: Agents::new(cfg.pki.agent_tls()?),
            serving: ServingCell::new(),
            rbac: RwLock::default(),
            tokens: TokenCache::default(),
            limits: Limits::default(),
            turns: Semaphore::new(1),
            stop: CancellationToken::new(),
            bootstrapped: watch::Sender::new(false),
            cfg,
            store,
        })
    }

    /// A view that shows every acknowledged write.
    pub(crate) async fn fresh_view(&self) -> Result<View, api::Status> {
        let start = Instant::now();
        let view = self.store.view(Consistency::Linearizable).await.map_err(|e| unreadable(&e));
        self.metrics.stage("read_index", start);
        view
    }

    /// What this replica has applied.
    pub(crate) async fn local_view(&self) -> Result<View, api::Status> {
        self.store.view(Consistency::Local).await.map_err(|e| unreadable(&e))
    }

    pub(crate) async fn propose(&self, txn: Txn) -> Result<Applied, WriteError> {
        let start = Instant::now();
        let outcome = self.store.propose(txn).await;
        self.metrics.stage("propose", start);
        outcome
    }
}

/// A server that runs: the shared state and its tasks.
pub(crate) struct Running {
    pub server: Arc<Server>,
    pub address: std::net::SocketAddr,
    tasks: TaskTracker,
}

impl Running {
    /// Opens the listener and starts the tasks.
    pub(crate) async fn start(cfg: Config, store: Store) -> Result<Running, StartError> {
        let listen = cfg.listen;
        let tls = cfg.pki.api_tls(&format!("kube-apiserver:{}", cfg.name), bootstrap::serving_names(&cfg))?;
        let server = Arc::new(Server::new(cfg, store)?);
        let listener =
            accept::listen(listen).map_err(|source| StartError::Listen { addr: listen, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { addr: listen, source })?;
        let tasks = TaskTracker::new();
        tasks.spawn(accept::accept_loop(server.clone(), listener, Arc::new(tls), tasks.clone()));
        tasks::spawn_all(&server, &tasks);
        tracing::info!(%address, name = server.cfg.name, "serving the Kubernetes API");
        Ok(Running { server, address, tasks })
    }

    /// Refuses new connections, ends the long answers, waits for the others within the grace time.
    pub(crate) async fn stop(self) {
        self.server.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.server.cfg.shutdown_grace, self.tasks.wait()).await.is_err() {
            tracing::warn!("requests were still running at the end of the grace time");
        }
    }
}
