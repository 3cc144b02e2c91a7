//! Brings the state into the kernel.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::conntrack::{self, Judge};
use super::ruleset::{self, RulesetConfig, TABLE};
use super::service::{Frontend, ServiceRules};
use super::state::{Delta, Owner, State};
use crate::metrics::ProxyMetrics;
use crate::netlink::{RequestError, Socket};
use crate::nft::Batch;

/// One change: what an owner asks for from now on; `None`: nothing.
pub type Change = (Owner, Option<ServiceRules>);

/// The kernel did not take a change. The next change rewrites the whole table.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error("nftables: {0}")]
    Nftables(#[source] RequestError),
    #[error("conntrack: {0}")]
    Conntrack(#[source] RequestError),
}

/// The table of this network namespace.
pub struct Proxy {
    config: RulesetConfig,
    node_addresses: Vec<Ipv4Addr>,
    metrics: ProxyMetrics,
    inner: Mutex<Inner>,
}

struct Inner {
    socket: Socket,
    state: State,
    kernel: Kernel,
}

/// What the kernel's table is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Left by a former process, or absent: it stays until all services are known.
    Inherited,
    /// As the state says.
    Synced,
    /// Unknown after an error.
    Doubtful,
}

impl Proxy {
    /// A proxy of the current network namespace. `node_addresses`: where the node is reached from outside.
    pub fn open(
        config: RulesetConfig,
        node_addresses: Vec<Ipv4Addr>,
        metrics: ProxyMetrics,
    ) -> io::Result<Self> {
        let inner = Inner { socket: Socket::open()?, state: State::default(), kernel: Kernel::Inherited };
        Ok(Self { config, node_addresses, metrics, inner: Mutex::new(inner) })
    }

    /// Takes in changes. They reach the kernel now, unless [`Self::load`] was not called yet: then with that.
    /// Blocks for as long as the kernel works.
    pub fn apply(&self, changes: Vec<Change>) -> Result<(), SyncError> {
        let mut inner = self.inner.lock();
        let delta = inner.state.plan(changes);
        match inner.kernel {
            Kernel::Inherited => Ok(()),
            Kernel::Synced if delta.is_empty() => Ok(()),
            Kernel::Synced => self.commit(&mut inner, &delta, false),
            Kernel::Doubtful => self.rewrite(&mut inner, &delta),
        }
    }

    /// Takes in everything there is at first, and writes the whole table in one step.
    pub fn load(&self, changes: Vec<Change>) -> Result<(), SyncError> {
        let mut inner = self.inner.lock();
        let delta = inner.state.plan(changes);
        self.rewrite(&mut inner, &delta)
    }

    /// Whether the kernel does what the services ask for.
    pub fn is_synced(&self) -> bool {
        self.inner.lock().kernel == Kernel::Synced
    }

    fn rewrite(&self, inner: &mut Inner, gone: &Delta) -> Result<(), SyncError> {
        let mut delta = inner.state.everything();
        // Frontends that just went still have flows.
        for (slot, (old, new)) in &gone.slots {
            if new.is_none() {
                delta.slots.insert(*slot, (old.clone(), None));
            }
        }
        self.metrics.full_syncs.inc();
        self.commit(inner, &delta, true)
    }

    fn commit(&self, inner: &mut Inner, delta: &Delta, whole: bool) -> Result<(), SyncError> {
        let result = {
            let _timer = self.metrics.sync_duration.start_timer();
            let mut batch = Batch::new(TABLE);
            if whole {
                ruleset::skeleton(&mut batch, &self.config);
                ruleset::render(&mut batch, &inner.state.everything());
            } else {
                ruleset::render(&mut batch, delta);
            }
            batch.commit(&inner.socket)
        };
        if let Err(error) = result {
            inner.kernel = Kernel::Doubtful;
            self.metrics.sync_failures.inc();
            return Err(SyncError::Nftables(error));
        }
        inner.kernel = Kernel::Synced;
        self.metrics.frontends.set(inner.state.len() as i64);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics.last_sync.set(now.as_secs_f64());
        if !whole && !delta.concerns_udp() {
            return Ok(());
        }
        let gone: BTreeSet<Frontend> =
            delta.slots.iter().filter(|(_, (_, new))| new.is_none()).map(|(slot, _)| slot.frontend).collect();
        let judge = Judge {
            state: &inner.state,
            gone: &gone,
            service_cidr: self.config.service_cidr,
            node_addresses: &self.node_addresses,
        };
        let forgotten = conntrack::reconcile(&inner.socket, &judge).map_err(SyncError::Conntrack)?;
        self.metrics.stale_flows.inc_by(forgotten as u64);
        Ok(())
    }
}

/// Removes the table from the current network namespace.
pub fn remove_table() -> Result<(), RequestError> {
    let socket = Socket::open()?;
    let mut batch = Batch::new(TABLE);
    batch.add_table();
    batch.delete_table();
    batch.commit(&socket)
}
