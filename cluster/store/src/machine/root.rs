//! One immutable state of the store, shared by everybody who reads.

use std::sync::Arc;

use imbl::{OrdMap, Vector};

use crate::error::Compacted;
use crate::object::{MemberId, Object, Revision};
use crate::raft::{LogId, StoredMembership};
use crate::view::View;
use crate::watch::EventKind;

/// All objects, by key.
pub(crate) type Objects = OrdMap<Arc<str>, Arc<Object>>;

/// One change of one object, as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub revision: Revision,
    /// The log's clock when it happened.
    pub at_ms: u64,
    pub kind: EventKind,
    pub object: Arc<Object>,
    pub previous: Option<Arc<Object>>,
}

impl Change {
    /// Bytes that only the history still holds because of this change.
    pub(crate) fn weight(&self) -> u64 {
        let previous = self.previous.as_ref().map_or(0, |p| p.weight());
        let deleted = if self.kind == EventKind::Delete { self.object.weight() } else { 0 };
        previous + deleted
    }
}

/// What all objects were at one revision: a point to which the history can be wound back cheaply.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub revision: Revision,
    pub objects: Objects,
}

/// The state after some log entry.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// Last entry applied.
    pub applied: Option<LogId>,
    pub membership: StoredMembership,
    pub revision: Revision,
    /// The log's clock, milliseconds since the Unix epoch.
    pub clock_ms: u64,
    pub objects: Objects,
    /// Bytes of all objects.
    pub bytes: u64,
    /// Every change after `floor`, oldest first.
    pub history: Vector<Arc<Change>>,
    /// Bytes that only the history holds.
    pub history_bytes: u64,
    /// Oldest revision that can be viewed and watched from.
    pub floor: Revision,
    pub checkpoints: Vector<Checkpoint>,
    /// When the next object expires.
    pub next_expiry_ms: Option<u64>,
}

impl Default for Root {
    fn default() -> Self {
        Root {
            applied: None,
            membership: StoredMembership::default(),
            revision: 0,
            clock_ms: 0,
            objects: OrdMap::new(),
            bytes: 0,
            history: Vector::new(),
            history_bytes: 0,
            floor: 0,
            checkpoints: Vector::new(),
            next_expiry_ms: None,
        }
    }
}

impl Root {
    /// The log index of the membership, when a member belongs by it.
    pub(crate) fn since(&self, member: MemberId) -> Option<u64> {
        self.membership.get_node(&member)?;
        self.membership.log_id().as_ref().map(|id| id.index)
    }

    /// Index of the last applied entry; 0 before any.
    pub(crate) fn applied_index(&self) -> u64 {
        self.applied.as_ref().map_or(0, |id| id.index)
    }

    pub(crate) fn view(&self) -> View {
        View { revision: self.revision, objects: self.objects.clone() }
    }

    pub(crate) fn compacted(&self, requested: Revision) -> Compacted {
        Compacted { requested, oldest: self.floor, newest: self.revision }
    }

    /// The state at exactly `revision`: the nearest later checkpoint, wound back change by change.
    pub(crate) fn view_at(&self, revision: Revision) -> Result<View, Compacted> {
        if revision < self.floor || revision > self.revision {
            return Err(self.compacted(revision));
        }
        let next = position_after(self.checkpoints.len(), |i| self.checkpoints[i].revision < revision);
        let (from, mut objects) = match self.checkpoints.get(next) {
            Some(checkpoint) => (checkpoint.revision, checkpoint.objects.clone()),
            None => (self.revision, self.objects.clone()),
        };
        let first = self.position_after(revision);
        let last = self.position_after(from);
        for index in (first..last).rev() {
            let change = &self.history[index];
            match &change.previous {
                Some(previous) => objects.insert(previous.key.clone(), previous.clone()),
                None => objects.remove(&change.object.key),
            };
        }
        Ok(View { revision, objects })
    }

    /// Index in the history of the first change after `revision`.
    pub(crate) fn position_after(&self, revision: Revision) -> usize {
        position_after(self.history.len(), |i| self.history[i].revision <= revision)
    }
}

/// Number of leading indexes for which `before` holds (it holds for a prefix).
fn position_after(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
