//! Room on the disk: a ballast that is thrown out when the disk is full, so that a member can go on
//! far enough to shrink and to restart; and the question whether the disk is nearly full.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::disk::{Disk, DiskSpace};
use crate::metrics::Metrics;

/// Bytes of new objects between two looks at the disk.
const LOOK_BYTES: u64 = 1 << 20;
/// With fewer ballasts free than this, the log is cut as far as it can be.
const SHRINK_BELOW: u64 = 2;
/// Parts of a disk of which the ballast is at most one.
const DISK_PARTS: u64 = 10;

/// The room of one data folder.
pub(crate) struct Room {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The ballast's size; 0 for none.
    bytes: u64,
    held: AtomicBool,
    low: AtomicBool,
    /// What was left when looked last, if that was little.
    little: Mutex<Option<DiskSpace>>,
    /// Bytes admitted since the last look.
    unseen: AtomicU64,
    /// Bytes of the state, which a snapshot takes at most.
    state_bytes: AtomicU64,
    metrics: Arc<Metrics>,
    /// Rung when it is time to cut the log.
    shrink: Notify,
}

impl Room {
    /// Takes the ballast of a folder in, or makes it when there is room for it.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: PathBuf, most: u64, metrics: Arc<Metrics>) -> Arc<Room> {
        let total = disk.space(&dir).ok().flatten().map(|space| space.total);
        let bytes = total.map_or(0, |total| most.min(total / DISK_PARTS));
        let path = dir.join("ballast");
        let held = bytes > 0 && disk.length(&path).is_some_and(|len| len >= bytes);
        let room = Room {
            disk,
            dir,
            bytes,
            held: held.into(),
            low: false.into(),
            little: Mutex::default(),
            unseen: 0.into(),
            state_bytes: 0.into(),
            metrics,
            shrink: Notify::new(),
        };
        room.look();
        Arc::new(room)
    }

    fn path(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    /// Does something that needs room; once more without the ballast when the disk is full.
    pub(crate) fn make<T>(&self, mut action: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match action() {
            Err(error) if is_full(&error) && self.throw_out() => action(),
            done => done,
        }
    }

    /// Frees the ballast; false when there was none.
    fn throw_out(&self) -> bool {
        if !self.held.swap(false, Ordering::AcqRel) {
            return false;
        }
        tracing::error!(
            dir = %self.dir.display(),
            "the disk is full: giving up the ballast; until there is room again, only deletes and what does not grow the store are accepted"
        );
        let removed = self.disk.remove(&self.path());
        self.note(true);
        self.shrink.notify_one();
        removed.is_ok()
    }

    /// Whether so little room is left that nothing should grow. `growth` bytes are about to be added
    /// to a state of `state_bytes`.
    pub(crate) fn is_low(&self, growth: u64, state_bytes: u64) -> Option<DiskSpace> {
        self.state_bytes.store(state_bytes, Ordering::Relaxed);
        let unseen = self.unseen.fetch_add(growth, Ordering::Relaxed) + growth;
        if unseen >= LOOK_BYTES || self.low.load(Ordering::Relaxed) {
            self.unseen.store(0, Ordering::Relaxed);
            return self.look();
        }
        None
    }

    /// Looks at the disk; makes the ballast again when there is room. `Some` when there is little.
    fn look(&self) -> Option<DiskSpace> {
        if self.bytes == 0 {
            return None;
        }
        let space = self.disk.space(&self.dir).ok().flatten()?;
        self.metrics.sizes.disk_free.set(space.free as i64);
        if !self.held.load(Ordering::Acquire) && space.free >= self.bytes * 3 {
            match self.disk.reserve(&self.path(), self.bytes) {
                Ok(()) => {
                    tracing::info!(bytes = self.bytes, "there is room for the ballast");
                    self.held.store(true, Ordering::Release);
                }
                Err(error) => tracing::warn!(%error, "cannot make the ballast"),
            }
        }
        // While there is room for another snapshot: without one the log can not be cut.
        if space.free < self.bytes * SHRINK_BELOW + self.state_bytes.load(Ordering::Relaxed) {
            self.shrink.notify_one();
        }
        let low = space.free < self.bytes;
        self.note(low);
        let little = low.then_some(space);
        *self.little.lock() = little;
        little
    }

    /// Looks at the disk; false when there is nothing to look at.
    pub(crate) fn refresh(&self) -> bool {
        self.look();
        self.bytes > 0
    }

    /// What was left when looked last, if that was little.
    pub(crate) fn little(&self) -> Option<DiskSpace> {
        *self.little.lock()
    }

    /// Whether there is room for what only makes things faster.
    pub(crate) fn is_plenty(&self) -> bool {
        let held = self.bytes == 0 || self.held.load(Ordering::Acquire);
        held && !self.low.load(Ordering::Relaxed)
    }

    fn note(&self, low: bool) {
        self.metrics.sizes.disk_low.set(i64::from(low));
        self.low.store(low, Ordering::Relaxed);
    }

    /// Returns when the log should be cut for want of room.
    pub(crate) async fn shrink(&self) {
        self.shrink.notified().await;
    }
}

/// The disk for which nothing should grow: that of the leader, `own`, or else the fullest of the others
/// when so many are nearly full that no quorum is left.
pub(crate) fn tightest(own: Option<DiskSpace>, others: &[Option<DiskSpace>]) -> Option<DiskSpace> {
    let with_room = 1 + others.iter().filter(|other| other.is_none()).count();
    let quorum = with_room * 2 > others.len() + 1;
    own.or_else(|| others.iter().flatten().copied().filter(|_| !quorum).min_by_key(|space| space.free))
}

/// Whether an error says that the disk, or its owner's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_or_a_quorum_must_have_room() {
        let space = |free| Some(DiskSpace { free, total: 100 });
        let cases = [
            (None, vec![], None),
            (space(1), vec![], space(1)),
            (None, vec![None, space(2)], None),
            (None, vec![space(3), space(2)], space(2)),
            (space(9), vec![None, None], space(9)),
            (None, vec![None, None, space(2), space(3)], None),
            (None, vec![None, space(4), space(2), space(3)], space(2)),
        ];
        for (own, others, expected) in cases {
            assert_eq!(tightest(own, &others), expected, "{own:?} {others:?}");
        }
    }
}
