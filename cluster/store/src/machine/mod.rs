//! The replicated state machine.
//!
//! `state.rs` applies entries, deterministically and without IO; `root.rs` is the immutable state
//! that readers share; `files.rs` keeps snapshot files; here both are put behind openraft's trait,
//! and each new state is published before those who wait for it are told.

mod files;
mod meter;
mod paced;
mod root;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use tokio::sync::watch;

pub(crate) use self::files::{Blob, SnapshotFiles};
pub(crate) use self::meter::Meter;
pub(crate) use self::root::{Change, Root};
pub(crate) use self::state::{HistoryLimits, Outcome, Session, State};
use crate::metrics::Metrics;
use crate::object::MemberId;
use crate::raft::{Entry, LogId, SnapshotMeta, StoredMembership, Ticket, Types};
use crate::work::Work;
use crate::{proposals::Waiters, room, snapshot};

/// Entries applied before their state is published.
const PUBLISH_ENTRIES: usize = 64;

/// What readers see of the machine.
pub(crate) struct Published {
    root: ArcSwap<Root>,
    applied: watch::Sender<u64>,
    expiry: watch::Sender<Option<u64>>,
}

impl Published {
    pub(crate) fn new() -> Arc<Published> {
        let (applied, expiry) = (watch::Sender::new(0), watch::Sender::new(None));
        Arc::new(Published { root: ArcSwap::default(), applied, expiry })
    }

    /// The newest state.
    pub(crate) fn root(&self) -> Arc<Root> {
        self.root.load_full()
    }

    /// The index of the last entry whose effect is in [`Published::root`].
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// When the next object expires, milliseconds since the Unix epoch.
    pub(crate) fn expiry(&self) -> watch::Receiver<Option<u64>> {
        self.expiry.subscribe()
    }

    fn publish(&self, root: &Root) {
        self.root.store(Arc::new(root.clone()));
        self.expiry.send_if_modified(|next| {
            let changed = *next != root.next_expiry_ms;
            *next = root.next_expiry_ms;
            changed
        });
        self.applied.send_replace(root.applied_index());
    }
}

/// The state machine of this member.
pub(crate) struct Machine {
    pub id: MemberId,
    pub boot: u64,
    pub state: State,
    pub history: HistoryLimits,
    pub published: Arc<Published>,
    pub waiters: Arc<Waiters>,
    pub files: Arc<SnapshotFiles>,
    pub meter: Meter,
    pub metrics: Arc<Metrics>,
    pub work: Work,
}

impl Machine {
    /// Makes the state visible; then, and only then, may anybody be told.
    pub(crate) fn publish(&mut self, done: &mut Vec<(Ticket, Outcome)>) {
        self.meter.count(&self.state.root);
        self.state.trim(&self.history);
        self.published.publish(&self.state.root);
        let root = &self.state.root;
        self.metrics.revision.set(root.revision as i64);
        self.metrics.objects.set(root.objects.len() as i64);
        self.metrics.bytes.set(root.bytes as i64);
        self.metrics.history_bytes.set(root.history_bytes as i64);
        self.metrics.history_revisions.set((root.revision - root.floor) as i64);
        let oldest_ms = root.history.front().map_or(root.clock_ms, |change| change.at_ms);
        self.metrics.history_seconds.set((root.clock_ms.saturating_sub(oldest_ms) / 1000) as i64);
        self.metrics.proposals_applied.set(root.applied_index() as i64);
        self.waiters.complete(done.drain(..));
    }

    fn apply_entry(&mut self, entry: &Entry, done: &mut Vec<(Ticket, Outcome)>) -> io::Result<()> {
        let (id, boot) = (self.id, self.boot);
        self.state.apply_entry(entry, boot, |ticket, outcome| {
            if ticket.member == id && ticket.boot == boot {
                done.push((ticket, outcome));
            }
        })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Blob;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.state.root.applied, self.state.root.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let started = Instant::now();
        let mut done = Vec::new();
        let mut responders = Vec::new();
        let mut unpublished = 0;
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            self.apply_entry(&entry, &mut done)?;
            responders.extend(responder);
            unpublished += 1;
            if unpublished >= PUBLISH_ENTRIES {
                self.publish(&mut done);
                responders.drain(..).for_each(|responder| responder.send(()));
                unpublished = 0;
            }
        }
        self.publish(&mut done);
        responders.into_iter().for_each(|responder| responder.send(()));
        self.metrics.apply.observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            root: self.published.root(),
            sessions: self.state.sessions.clone(),
            files: self.files.clone(),
            metrics: self.metrics.clone(),
            work: self.work.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, blob: Blob) -> Result<(), io::Error> {
        tracing::info!(last = ?meta.last_log_id, "installing a snapshot");
        let files = self.files.clone();
        let read = move || -> io::Result<(State, Blob)> {
            let state = snapshot::read(&mut io::BufReader::new(blob.reader()))?;
            Ok((state, blob))
        };
        let (state, blob) = self.work.run(read).await??;
        let kept = meta.clone();
        self.work.run(move || files.adopt(&kept, &blob)).await??;
        self.state = state;
        self.meter.recount(&self.state.root);
        self.publish(&mut Vec::new());
        let session = self.state.sessions.get(&self.id).filter(|s| s.boot == self.boot);
        self.waiters.skipped(session);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<openraft::Snapshot<crate::raft::LeaderId, u64, crate::raft::Peer, Blob>>, io::Error>
    {
        Ok(self.files.current().map(|(meta, snapshot)| openraft::Snapshot { meta, snapshot }))
    }
}

/// Writes one state to a snapshot file while the machine goes on.
pub(crate) struct Builder {
    root: Arc<Root>,
    sessions: std::collections::BTreeMap<MemberId, Session>,
    files: Arc<SnapshotFiles>,
    metrics: Arc<Metrics>,
    work: Work,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Blob;

    async fn build_snapshot(
        &mut self,
    ) -> Result<openraft::Snapshot<crate::raft::LeaderId, u64, crate::raft::Peer, Blob>, io::Error> {
        let started = Instant::now();
        let (root, sessions, files) = (self.root.clone(), self.sessions.clone(), self.files.clone());
        let meta = SnapshotMeta { last_log_id: root.applied, last_membership: root.membership.clone() };
        let kept = meta.clone();
        let written = self.work.run(move || files.write(&root, &sessions, &kept));
        let blob = match written.await? {
            Ok(blob) => blob,
            Err(error) if room::is_full(&error) => {
                // The log stays as long as it is; a member does not stop for that. The older snapshot,
                // or an empty one of nothing, is passed over by openraft.
                tracing::error!(%error, "no room for a new snapshot");
                let nothing = || Ok((SnapshotMeta::default(), self.files.create()?));
                let (meta, snapshot) = self.files.current().map_or_else(nothing, io::Result::Ok)?;
                return Ok(openraft::Snapshot { meta, snapshot });
            }
            Err(error) => return Err(error),
        };
        self.metrics.sizes.snapshot_bytes.set(blob.file.len()? as i64);
        self.metrics.snapshot.observe(started.elapsed().as_secs_f64());
        Ok(openraft::Snapshot { meta, snapshot: blob })
    }
}
