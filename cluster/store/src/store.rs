//! The one door to the store.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batcher::{Clock, host_clock};
use crate::codec;
use crate::config::{Limits, StoreConfig};
use crate::disk::{DiskSpace, HostDisk};
use crate::error::{Compacted, Doubt, MembershipError, OpenError, ReadError, Rejection, WriteError};
use crate::export::{self, SnapshotStream};
use crate::failover::Failover;
use crate::leadership::Leadership;
use crate::machine::{Published, Root};
use crate::members::{self, Member, Members};
use crate::metrics::Metrics;
use crate::object::{Applied, MemberId, Object, Op, Put, Revision, Txn};
use crate::open::{self, Environment};
use crate::peer::{MembersRequest, Peers, REMOVED, TlsNetwork};
use crate::proposals::Proposer;
use crate::pulse::Pulse;
use crate::raft::{Body, Peer, Raft, TxnRef};
use crate::reads::Reads;
use crate::room::Room;
use crate::view::{Consistency, View};
use crate::wal::Wal;
use crate::watch::{Hub, WatchRequest, WatchStream};
use crate::work::Work;

/// A replica of the store. Clones are the same replica.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// Everything an open store has.
pub(crate) struct Inner {
    pub cfg: StoreConfig,
    pub raft: Raft,
    pub wal: Wal,
    pub peers: Arc<Peers>,
    pub published: Arc<Published>,
    pub hub: Arc<Hub>,
    pub proposer: Proposer,
    pub reads: Reads,
    pub members: Arc<Members>,
    pub failover: Arc<Failover>,
    pub pulse: Arc<Pulse>,
    pub leadership: watch::Receiver<Leadership>,
    pub metrics: Arc<Metrics>,
    pub room: Arc<Room>,
    pub clock: Clock,
    pub work: Work,
    /// Set when the store stops or fails: why.
    pub stop: watch::Sender<Option<Doubt>>,
    pub cancel: CancellationToken,
    pub tasks: TaskTracker,
    /// Held as long as the folder is in use.
    pub lock: parking_lot::Mutex<Option<Box<dyn Send + Sync>>>,
    /// Rung when there is no room.
    pub shed: Notify,
}

/// How this replica does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: MemberId,
    /// The leader, when one is known.
    pub leader: Option<MemberId>,
    /// The term.
    pub term: u64,
    /// Last log entry applied here.
    pub applied: u64,
    /// Last log entry here.
    pub last_log: u64,
    /// Revision of the newest state here.
    pub revision: Revision,
    /// Everyone, voters and learners.
    pub members: Vec<Member>,
    /// Bytes of all objects.
    pub bytes: u64,
    /// Number of objects.
    pub objects: u64,
    /// Ok when reads and writes can be expected to work, else why not.
    pub healthy: Result<(), String>,
}

impl Store {
    /// Opens the data folder, starts the peer listener and takes part in the cluster the folder
    /// belongs to; without one it waits for [`Store::init_cluster`] or for a leader that adds it.
    ///
    /// # Errors
    /// The folder is damaged, locked, foreign or unreadable, or the port is taken.
    pub async fn open(cfg: StoreConfig) -> Result<Store, OpenError> {
        let server_name = rustls_pki_types::ServerName::try_from(cfg.peer_server_name.clone())
            .map_err(|e| OpenError::Config { problem: format!("{:?}: {e}", cfg.peer_server_name) })?;
        let network = TlsNetwork {
            listen: cfg.peer_listen,
            server: cfg.tls_server.clone(),
            client: cfg.tls_client.clone(),
            server_name,
        };
        let env = Environment {
            disk: Arc::new(HostDisk),
            network: Arc::new(network),
            clock: host_clock(),
            work: Work::Threads,
        };
        Store::open_in(cfg, env).await
    }

    /// [`Store::open`] on another disk, network or clock than the host's.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_in(cfg: StoreConfig, env: Environment) -> Result<Store, OpenError> {
        open::open(cfg, env).await.map(|inner| Store { inner })
    }

    /// Makes this store the only member of a new cluster, and returns when it leads. Does nothing
    /// when this member belongs to a cluster already.
    ///
    /// # Errors
    /// The store holds the data of a cluster that this member does not belong to.
    pub async fn init_cluster(&self) -> Result<(), MembershipError> {
        let inner = &self.inner;
        let id = inner.cfg.id;
        let node = Peer { addr: inner.cfg.peer_advertise.clone(), folder: inner.peers.folder() };
        match inner.raft.initialize(BTreeMap::from([(id, node)])).await {
            Ok(()) => {
                tracing::info!(id, "this member began a new cluster");
                let mut leadership = inner.leadership.clone();
                let led =
                    tokio::time::timeout(inner.cfg.timings.read, leadership.wait_for(|now| now.is_self));
                let reason = "this member does not lead its own cluster".to_owned();
                led.await.map(drop).map_err(|_| MembershipError::NoQuorum { reason })
            }
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                let membership = inner.raft.metrics().borrow_watched().membership_config.clone();
                if membership.get_node(&id).is_some() {
                    return Ok(());
                }
                let members = membership.nodes().map(|(id, _)| *id).collect();
                Err(MembershipError::AlreadyMember { members })
            }
            Err(error) => Err(MembershipError::Unknown { reason: error.to_string() }),
        }
    }

    /// Commits a transaction. Any replica accepts it; when it returns, this replica has applied it.
    ///
    /// # Errors
    /// `Rejected`: surely not applied. `Unknown`: perhaps.
    pub async fn propose(&self, txn: Txn) -> Result<Applied, WriteError> {
        let timer = self.inner.metrics.commit.start_timer();
        let result = match self.admit(&txn) {
            Ok(()) => {
                let size = txn.ops.iter().map(encoded_size).sum::<usize>() + 64;
                let body = codec::encode_sized(&Body::Txn(TxnRef::of(&txn)), size);
                drop(txn);
                self.inner.proposer.propose(body).await
            }
            Err(rejection) => Err(WriteError::Rejected(rejection)),
        };
        let label = match &result {
            Ok(_) => "applied",
            Err(WriteError::Rejected(Rejection::Conflict { .. })) => "conflict",
            Err(WriteError::Rejected(Rejection::Fenced { .. })) => "fenced",
            Err(WriteError::Rejected(_)) => "rejected",
            Err(WriteError::Unknown(_)) => "unknown",
        };
        self.inner.metrics.proposals.with_label_values(&[label]).inc();
        if result.is_ok() {
            timer.observe_duration();
        } else {
            timer.stop_and_discard();
        }
        result
    }

    /// What can be known to be wrong before anybody else is asked.
    fn admit(&self, txn: &Txn) -> Result<(), Rejection> {
        if let Some(stop) = &*self.inner.stop.borrow() {
            tracing::debug!(reason = %stop, "refused a write");
            return Err(Rejection::ShuttingDown);
        }
        let root = self.inner.published.root();
        if root.membership.nodes().next().is_none() && !self.has_membership() {
            return Err(Rejection::NotReady);
        }
        if self.inner.peers.was_removed() {
            return Err(Rejection::NoQuorum { reason: REMOVED.to_owned() });
        }
        let limits = &self.inner.cfg.limits;
        check_txn(txn, limits)?;
        let growth: i64 = txn.ops.iter().map(|op| growth_of(op, root.objects.get(op.key()))).sum();
        let used = root.bytes;
        if growth > 0 && used.saturating_add(growth.unsigned_abs()) > limits.total_bytes {
            self.inner.shed.notify_one();
            return Err(Rejection::StorageFull { used, limit: limits.total_bytes });
        }
        if growth <= 0 {
            return Ok(());
        }
        let own = self.inner.room.is_low(growth.unsigned_abs(), used);
        if let Some(DiskSpace { free, total }) = self.inner.pulse.little(own) {
            self.inner.shed.notify_one();
            return Err(Rejection::DiskFull { free, total });
        }
        Ok(())
    }

    fn has_membership(&self) -> bool {
        self.inner.raft.server_metrics().borrow_watched().membership_config.nodes().next().is_some()
    }

    /// A snapshot of everything.
    ///
    /// # Errors
    /// Leadership could not be confirmed (never for [`Consistency::Local`] on an open store).
    pub async fn view(&self, consistency: Consistency) -> Result<View, ReadError> {
        if consistency == Consistency::Local {
            return Ok(self.inner.published.root().view());
        }
        self.confirmed().await.map(|root| root.view())
    }

    /// A state that has every write acknowledged before the call.
    async fn confirmed(&self) -> Result<Arc<Root>, ReadError> {
        if self.inner.stop.borrow().is_some() {
            return Err(ReadError::ShuttingDown);
        }
        if !self.has_membership() {
            return Err(ReadError::NotReady);
        }
        if self.inner.peers.was_removed() {
            return Err(ReadError::NoQuorum { reason: REMOVED.to_owned() });
        }
        self.inner.reads.root().await
    }

    /// Everything, history included, in the form that [`crate::offline`] reads. Blocks nobody.
    ///
    /// # Errors
    /// Leadership could not be confirmed.
    pub async fn snapshot(&self) -> Result<SnapshotStream, ReadError> {
        self.confirmed().await.map(export::stream)
    }

    /// The snapshot of exactly this revision, within the history.
    ///
    /// # Errors
    /// It is no longer kept, or does not exist here yet.
    pub fn view_at(&self, revision: Revision) -> Result<View, Compacted> {
        self.inner.published.root().view_at(revision)
    }

    /// Every event after a revision. A revision that is not yet applied here is waited for.
    ///
    /// # Errors
    /// The revision is older than the history.
    pub fn watch(&self, request: WatchRequest) -> Result<WatchStream, Compacted> {
        self.inner.hub.watch(request)
    }

    /// Adds a member, or corrects its address: learner, caught up, voter. A dead member of the same
    /// address loses its vote by the same change: the new one takes its seat. Idempotent,
    /// resumable, any replica accepts it.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn add_member(&self, id: MemberId, addr: String) -> Result<(), MembershipError> {
        self.inner.members.change(MembersRequest::Add { id, addr }).await.map(drop)
    }

    /// Adds a member that receives everything and has no vote, until it is promoted.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn add_learner(&self, id: MemberId, addr: String) -> Result<(), MembershipError> {
        self.inner.members.change(MembersRequest::AddLearner { id, addr }).await.map(drop)
    }

    /// Gives a learner that has caught up its vote. Idempotent; any replica accepts it.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn promote_member(&self, id: MemberId) -> Result<(), MembershipError> {
        self.inner.members.change(MembersRequest::Promote { id }).await.map(drop)
    }

    /// Removes a member. Idempotent; any replica accepts it.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove_member(&self, id: MemberId) -> Result<(), MembershipError> {
        self.inner.members.change(MembersRequest::Remove { id }).await.map(drop)
    }

    /// Makes a voter lead: this one, or the one that has the most of the log. Any replica accepts it.
    ///
    /// # Errors
    /// It does not vote, is not in reach, or did not take over.
    pub async fn lead(&self, id: Option<MemberId>) -> Result<(), MembershipError> {
        self.inner.members.change(MembersRequest::Lead { id }).await.map(drop)
    }

    /// Everybody who belongs, as the leader knows it now; asks once.
    ///
    /// # Errors
    /// No leader is known or in reach.
    pub async fn members(&self) -> Result<Vec<Member>, MembershipError> {
        self.inner.members.ask_leader().await
    }

    /// How this replica does.
    #[must_use]
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let root = inner.published.root();
        let leadership = *inner.leadership.borrow();
        let metrics = inner.raft.metrics().borrow_watched().clone();
        let members = members::list(&metrics, inner.cfg.id);
        let healthy = if let Some(stop) = &*inner.stop.borrow() {
            Err(stop.to_string())
        } else if members.is_empty() {
            Err("this store belongs to no cluster yet".to_owned())
        } else if inner.peers.was_removed() {
            Err(REMOVED.to_owned())
        } else if leadership.leader.is_none() {
            Err("no leader is known".to_owned())
        } else {
            Ok(())
        };
        Status {
            id: inner.cfg.id,
            leader: leadership.leader,
            term: leadership.term,
            applied: root.applied_index(),
            last_log: inner.wal.last_index(),
            revision: root.revision,
            members,
            bytes: root.bytes,
            objects: root.objects.len() as u64,
            healthy,
        }
    }

    /// Who leads, as it changes.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// Returns when this member has stopped taking part: shut down, or failed (then the error says
    /// why, for example a disk that can not be written).
    pub async fn stopped(&self) -> Doubt {
        let mut stop = self.inner.stop.subscribe();
        match stop.wait_for(Option::is_some).await {
            Ok(doubt) => doubt.clone().unwrap_or(Doubt::Stopped),
            Err(_) => Doubt::Stopped,
        }
    }

    /// Hands leadership to the member that has the most of the log. Does nothing on a follower.
    ///
    /// # Errors
    /// No other voter is in reach, or it did not take over.
    pub async fn transfer_leadership(&self) -> Result<(), MembershipError> {
        self.inner.members.hand_over(None).await
    }

    /// Tells the others that this member is about to stop, so that nobody waits for it.
    pub async fn leave(&self) {
        self.inner.members.leave().await;
    }

    /// Returns when so many voters have stopped, or said that they are about to, that nothing can be
    /// written any more.
    pub async fn abandoned(&self) {
        self.inner.members.abandoned().await;
    }

    /// Hands over leadership, stops taking part and closes the files. Watches end with `Shutdown`.
    pub async fn shutdown(&self) {
        self.leave().await;
        if self.inner.leadership.borrow().is_self
            && let Err(error) = self.inner.members.hand_over(None).await
        {
            tracing::info!(%error, "leaving without a hand-over");
        }
        self.stop().await;
    }

    /// Stops at once, as if the process had been killed: for tests of failover.
    #[doc(hidden)]
    pub async fn kill(&self) {
        self.stop().await;
    }

    async fn stop(&self) {
        let inner = &self.inner;
        inner.stop.send_replace(Some(Doubt::Stopped));
        inner.cancel.cancel();
        inner.hub.close();
        if let Err(error) = inner.raft.shutdown().await {
            tracing::error!(%error, "the consensus task panicked");
        }
        inner.tasks.close();
        inner.tasks.wait().await;
        let wal = inner.wal.clone();
        if let Err(error) = inner.work.run(move || wal.close()).await {
            tracing::error!(%error, "the log was not closed");
        }
        inner.wal.ended().await;
        inner.lock.lock().take();
    }
}

/// About as many bytes as an operation takes in the log.
fn encoded_size(op: &Op) -> usize {
    match op {
        Op::Put(put) => put.weight() as usize,
        Op::Delete { key } => key.len() + 16,
    }
}

fn check_txn(txn: &Txn, limits: &Limits) -> Result<(), Rejection> {
    let too_large = |what: String, size: usize, limit: usize| {
        Err(Rejection::TooLarge { what, size: size as u64, limit: limit as u64 })
    };
    let invalid = |reason: &str| Err(Rejection::Invalid { reason: reason.to_owned() });
    if txn.ops.is_empty() {
        return invalid("a transaction without operations");
    }
    if txn.ops.len() + txn.guards.len() > limits.txn_ops {
        let size = txn.ops.len() + txn.guards.len();
        return too_large("the number of operations and guards".to_owned(), size, limits.txn_ops);
    }
    let mut keys = HashSet::new();
    let mut bytes = 0;
    for op in &txn.ops {
        let key = op.key();
        if key.is_empty() {
            return invalid("an empty key");
        }
        if key.len() > limits.key_bytes {
            return too_large("a key".to_owned(), key.len(), limits.key_bytes);
        }
        if !keys.insert(key) {
            return invalid("two operations on one key");
        }
        if let Op::Put(put) = op {
            if put.value.len() > limits.object_bytes {
                return too_large(format!("the object {key}"), put.value.len(), limits.object_bytes);
            }
            if put.splice_at.is_some_and(|at| at as usize > put.value.len()) {
                return invalid("the place of the revision is outside of the value");
            }
            bytes += put.value.len();
        }
    }
    if bytes > limits.txn_bytes {
        return too_large("the transaction".to_owned(), bytes, limits.txn_bytes);
    }
    Ok(())
}

/// Bytes by which an operation makes the store larger.
fn growth_of(op: &Op, old: Option<&Arc<Object>>) -> i64 {
    let before = old.map_or(0, |object| object.weight());
    let after = match op {
        Op::Delete { .. } => 0,
        Op::Put(put) => put.weight(),
    };
    after as i64 - before as i64
}

impl Put {
    /// Bytes the object will be accounted for.
    fn weight(&self) -> u64 {
        let digits = if self.splice_at.is_some() { 20 } else { 0 };
        crate::object::weight(
            self.key.len(),
            self.value.len() + digits,
            self.labels.iter().chain(&self.fields).map(|(k, v)| k.len() + v.len()),
        )
    }
}
