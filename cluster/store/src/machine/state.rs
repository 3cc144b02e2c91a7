//! Applying entries: deterministic, without clock, without IO.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::codec;
use crate::error::Rejection;
use crate::machine::root::{Change, Checkpoint, Root};
use crate::object::{Applied, MemberId, Object, Pairs, Revision, spliced};
use crate::raft::{
    Batch, Body, Entry, GuardRef, OpRef, Payload, Proposal, PutRef, StoredMembership, Ticket, TxnRef,
};
use crate::sabotage::{self, Sabotage};
use crate::watch::EventKind;

/// Least number of changes between two checkpoints of the history. In a large store there are as
/// many as it has objects: to wind them back costs no more than to list the objects, and a
/// checkpoint keeps a copy of every tree node that was changed since.
const CHECKPOINT_CHANGES: u64 = 4096;

/// The name of the field that a lease guard compares.
const EPOCH_FIELD: &str = "epoch";

/// How much history is kept.
#[derive(Debug, Clone)]
pub(crate) struct HistoryLimits {
    pub window: Duration,
    pub changes: usize,
    pub bytes: u64,
}

/// What became of one proposal.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Applied or rejected, now.
    Done(Result<Applied, Rejection>),
    /// It had been applied before, or its proposer has settled it: nothing was done.
    Repeated,
}

/// The proposals of one start of one member that were applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Session {
    pub boot: u64,
    /// Every lower number is settled.
    pub floor: u64,
    /// Applied, not below the floor.
    pub applied: BTreeSet<u64>,
}

impl Session {
    /// Whether the proposal is seen for the first time; remembers it.
    fn admit(&mut self, ticket: &Ticket) -> bool {
        if ticket.boot < self.boot {
            return false;
        }
        if ticket.boot > self.boot {
            *self = Session { boot: ticket.boot, ..Session::default() };
        }
        if ticket.floor > self.floor {
            self.floor = ticket.floor;
            while self.applied.first().is_some_and(|seq| *seq < ticket.floor) {
                self.applied.pop_first();
            }
        }
        (ticket.seq >= self.floor && self.applied.insert(ticket.seq))
            || sabotage::is(Sabotage::RepeatedTicketApplied)
    }
}

/// The state being built; [`State::root`] is what readers see.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub root: Root,
    pub sessions: BTreeMap<MemberId, Session>,
    /// Who expires when.
    pub expiries: BTreeSet<(u64, Arc<str>)>,
}

impl State {
    /// Applies one entry of the log in this start of the member, and tells what became of each of
    /// its proposals.
    pub(crate) fn apply_entry(
        &mut self,
        entry: &Entry,
        boot: u64,
        mut done: impl FnMut(Ticket, Outcome),
    ) -> io::Result<()> {
        match &entry.payload {
            Payload::Blank => {}
            Payload::Membership(membership) => {
                self.root.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
            }
            Payload::Normal(command) => {
                let batch = Batch::decode(command).map_err(io::Error::other)?;
                for raw in &batch.proposals {
                    let proposal: Proposal<'_> = codec::decode(raw.0).map_err(io::Error::other)?;
                    if sabotage::is(Sabotage::AppliedTwiceAfterRestart)
                        && boot > 1
                        && entry.log_id.index.is_multiple_of(32)
                    {
                        let mut again: Proposal<'_> = codec::decode(raw.0).map_err(io::Error::other)?;
                        again.ticket.member = 0;
                        self.apply(batch.now_ms, &again);
                    }
                    let outcome = self.apply(batch.now_ms, &proposal);
                    self.checkpoint();
                    done(proposal.ticket, outcome);
                }
            }
        }
        self.root.applied = Some(entry.log_id);
        Ok(())
    }

    /// Applies one proposal at the time that its entry carries.
    pub(crate) fn apply(&mut self, now_ms: u64, proposal: &Proposal<'_>) -> Outcome {
        self.root.clock_ms = self.root.clock_ms.max(now_ms);
        let session = self.sessions.entry(proposal.ticket.member).or_default();
        if !session.admit(&proposal.ticket) {
            return Outcome::Repeated;
        }
        match &proposal.body {
            Body::Txn(txn) => Outcome::Done(self.apply_txn(txn)),
            Body::Expire { before_ms, limit } => {
                self.expire(*before_ms, *limit);
                Outcome::Done(Ok(Applied { revision: self.root.revision, objects: Vec::new() }))
            }
        }
    }

    fn apply_txn(&mut self, txn: &TxnRef<'_>) -> Result<Applied, Rejection> {
        for (index, guard) in txn.guards.iter().enumerate() {
            let checked = self.check(index as u32, guard);
            if checked.is_err() && sabotage::is(Sabotage::RejectedApplied) {
                self.do_ops(txn);
            }
            checked?;
        }
        for op in &txn.ops {
            if let OpRef::Delete { key } = op
                && !self.root.objects.contains_key(*key)
            {
                return Err(Rejection::Conflict { guard: None, key: (*key).to_owned(), current: None });
            }
        }
        Ok(self.do_ops(txn))
    }

    fn do_ops(&mut self, txn: &TxnRef<'_>) -> Applied {
        let reused = sabotage::is(Sabotage::RevisionReused) && self.root.revision % 64 == 63;
        let revision = self.root.revision + u64::from(!reused);
        self.root.revision = revision;
        let mut objects = Vec::with_capacity(txn.ops.len());
        for op in &txn.ops {
            if sabotage::is(Sabotage::TransactionSplit) && !objects.is_empty() {
                break;
            }
            let done = match op {
                OpRef::Put(put) => Some(self.put(revision, put)),
                OpRef::Delete { key } => self.delete(revision, key),
            };
            objects.extend(done);
        }
        Applied { revision, objects }
    }

    fn check(&self, index: u32, guard: &GuardRef<'_>) -> Result<(), Rejection> {
        let conflict = |key: &str, current: Option<&Arc<Object>>| Rejection::Conflict {
            guard: Some(index),
            key: key.to_owned(),
            current: current.map(|object| object.revision),
        };
        match guard {
            GuardRef::Absent { key } => match self.root.objects.get(*key) {
                None => Ok(()),
                found => Err(conflict(key, found)),
            },
            GuardRef::AtRevision { .. } if sabotage::is(Sabotage::GuardIgnored) => Ok(()),
            GuardRef::Lease { .. } if sabotage::is(Sabotage::FenceIgnored) => Ok(()),
            GuardRef::AtRevision { key, revision } => match self.root.objects.get(*key) {
                Some(object) if object.revision == *revision => Ok(()),
                found => Err(conflict(key, found)),
            },
            GuardRef::Lease { key, epoch } => {
                let current = self.root.objects.get(*key).and_then(|lease| lease.field(EPOCH_FIELD));
                if current == Some(*epoch) {
                    return Ok(());
                }
                let current = current.map(str::to_owned);
                Err(Rejection::Fenced { guard: index, key: (*key).to_owned(), current })
            }
        }
    }

    fn put(&mut self, revision: Revision, put: &PutRef<'_>) -> Arc<Object> {
        let expires_ms = put.ttl_ms.map(|ttl| self.root.clock_ms.saturating_add(ttl));
        // One way down the tree, also where most puts change an object that is there.
        let (object, previous) = match self.root.objects.get_mut(put.key) {
            Some(slot) => {
                let object = Arc::new(object_of(revision, put, Some(slot), expires_ms));
                let previous = std::mem::replace(slot, object.clone());
                (object, Some(previous))
            }
            None => {
                let object = Arc::new(object_of(revision, put, None, expires_ms));
                self.root.objects.insert(object.key.clone(), object.clone());
                (object, None)
            }
        };
        self.note(Change {
            revision,
            at_ms: self.root.clock_ms,
            kind: EventKind::Put,
            object: object.clone(),
            previous,
        });
        object
    }

    fn delete(&mut self, revision: Revision, key: &str) -> Option<Arc<Object>> {
        let previous = self.root.objects.get(key)?.clone();
        let object = Arc::new(previous.restamped(revision));
        self.record(Change {
            revision,
            at_ms: self.root.clock_ms,
            kind: EventKind::Delete,
            object: object.clone(),
            previous: Some(previous),
        });
        Some(object)
    }

    /// Deletes what has expired; every deletion has a revision of its own, so that a watcher can
    /// resume between any two of them.
    fn expire(&mut self, before_ms: u64, limit: u32) {
        for _ in 0..limit {
            let Some((at_ms, key)) = self.expiries.first().cloned() else { return };
            if at_ms > before_ms {
                return;
            }
            self.root.revision += 1;
            if self.delete(self.root.revision, &key).is_none() {
                self.expiries.remove(&(at_ms, key));
            }
        }
    }

    /// Makes a change take effect: objects, sizes, expiry and history together. Also how a
    /// snapshot's history is replayed.
    pub(crate) fn record(&mut self, change: Change) {
        match change.kind {
            EventKind::Put => {
                self.root.objects.insert(change.object.key.clone(), change.object.clone());
            }
            EventKind::Delete => {
                self.root.objects.remove(&change.object.key);
            }
        }
        self.note(change);
    }

    /// What follows from a change of the objects: sizes, expiry and history.
    fn note(&mut self, change: Change) {
        let root = &mut self.root;
        if let Some(previous) = &change.previous {
            root.bytes -= previous.weight();
            if let Some(at_ms) = previous.expires_ms {
                self.expiries.remove(&(at_ms, previous.key.clone()));
            }
        }
        if change.kind == EventKind::Put {
            root.bytes += change.object.weight();
            if let Some(at_ms) = change.object.expires_ms {
                self.expiries.insert((at_ms, change.object.key.clone()));
            }
        }
        root.next_expiry_ms = self.expiries.first().map(|(at_ms, _)| *at_ms);
        root.history_bytes += change.weight();
        root.history.push_back(Arc::new(change));
    }

    /// Puts an object of a snapshot's oldest revision in place, without history.
    pub(crate) fn load(&mut self, object: Arc<Object>) {
        self.root.bytes += object.weight();
        if let Some(at_ms) = object.expires_ms {
            self.expiries.insert((at_ms, object.key.clone()));
        }
        self.root.objects.insert(object.key.clone(), object);
        self.root.next_expiry_ms = self.expiries.first().map(|(at_ms, _)| *at_ms);
    }

    /// Called between proposals, never inside one: remembers a checkpoint now and then.
    pub(crate) fn checkpoint(&mut self) {
        let root = &mut self.root;
        let last = root.checkpoints.back().map_or(root.floor, |c| c.revision);
        let apart = CHECKPOINT_CHANGES.max(root.objects.len() as u64);
        if root.revision >= last + apart {
            let checkpoint = Checkpoint { revision: root.revision, objects: root.objects.clone() };
            root.checkpoints.push_back(checkpoint);
        }
    }

    /// Goes on from a later revision, as if all history up to it had been forgotten.
    pub(crate) fn cut_history(&mut self, revision: Revision) {
        let root = &mut self.root;
        root.revision = revision;
        root.floor = revision;
        root.history.clear();
        root.history_bytes = 0;
        root.checkpoints.clear();
    }

    /// Forgets history that is too old or too large.
    pub(crate) fn trim(&mut self, limits: &HistoryLimits) {
        let root = &mut self.root;
        let oldest_ms = root.clock_ms.saturating_sub(limits.window.as_millis() as u64);
        while let Some(first) = root.history.front() {
            let keep = first.at_ms >= oldest_ms
                && root.history.len() <= limits.changes
                && root.history_bytes <= limits.bytes;
            if keep {
                break;
            }
            root.floor = first.revision;
            root.history_bytes -= first.weight();
            root.history.pop_front();
        }
        while root.checkpoints.front().is_some_and(|c| c.revision < root.floor) {
            root.checkpoints.pop_front();
        }
    }
}

/// The object that a put makes of the one before.
fn object_of(
    revision: Revision,
    put: &PutRef<'_>,
    old: Option<&Arc<Object>>,
    expires_ms: Option<u64>,
) -> Object {
    let (value, splice) = match put.splice_at {
        Some(at) => {
            let (head, tail) = put.value.0.split_at((at as usize).min(put.value.0.len()));
            let (value, range) = spliced(head, tail, revision);
            (value, Some(range))
        }
        None => (bytes::Bytes::copy_from_slice(put.value.0), None),
    };
    Object {
        key: old.map_or_else(|| Arc::from(put.key), |o| o.key.clone()),
        revision,
        create_revision: old.map_or(revision, |o| o.create_revision),
        value,
        labels: shared_pairs(&put.labels, old.map(|o| &o.labels)),
        fields: shared_pairs(&put.fields, old.map(|o| &o.fields)),
        splice,
        expires_ms,
    }
}

/// The pairs of an object, shared with its previous version when they are the same.
fn shared_pairs(pairs: &[(&str, &str)], old: Option<&Pairs>) -> Pairs {
    match old {
        Some(old) if old.iter().eq(pairs.iter().copied()) => old.clone(),
        _ => Pairs::new(pairs.iter().copied()),
    }
}
