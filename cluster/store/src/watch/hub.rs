//! Hands each change to the watchers it is for.
//!
//! The hub follows the published states of the machine. It never holds up the machine: it runs in
//! a task of its own and takes what it missed from the history of the newest state.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::Compacted;
use crate::machine::Root;
use crate::metrics::Metrics;
use crate::object::Revision;
use crate::sabotage::{self, Sabotage};
use crate::watch::index::Index;
use crate::watch::stream::{Replay, WatchStream, Watcher};
use crate::watch::{Event, WatchEnd, WatchRequest};

/// Changes handed out in one go, before others may take the lock.
const CHUNK: usize = 256;

/// All watchers of one replica.
pub(crate) struct Hub {
    inner: Mutex<Inner>,
    /// Every event up to this revision is in the queues.
    dispatched: AtomicU64,
    backlog: usize,
    progress: Duration,
    metrics: Arc<Metrics>,
}

struct Inner {
    /// The state whose history is being handed out.
    root: Arc<Root>,
    dispatched: Revision,
    watchers: HashMap<u64, Arc<Watcher>>,
    index: Index,
    next_id: u64,
    closed: bool,
}

impl Hub {
    pub(crate) fn new(backlog: usize, progress: Duration, metrics: Arc<Metrics>) -> Arc<Hub> {
        let inner = Inner {
            root: Arc::new(Root::default()),
            dispatched: 0,
            watchers: HashMap::new(),
            index: Index::default(),
            next_id: 0,
            closed: false,
        };
        let dispatched = AtomicU64::new(0);
        Arc::new(Hub { inner: Mutex::new(inner), dispatched, backlog, progress, metrics })
    }

    /// Registers a watcher: the history up to what is handed out now, the queue from there on.
    pub(crate) fn watch(self: &Arc<Self>, mut request: WatchRequest) -> Result<WatchStream, Compacted> {
        if sabotage::is(Sabotage::ResumeSkipsOne) && request.from > 0 {
            request.from += 1;
        }
        let mut inner = self.inner.lock();
        if request.from < inner.root.floor {
            return Err(inner.root.compacted(request.from));
        }
        let first = inner.root.position_after(request.from);
        let last = inner.root.position_after(inner.dispatched);
        let replay = (first < last).then(|| Replay::new(inner.root.history.clone(), first, last));
        let id = inner.next_id;
        inner.next_id += 1;
        let watcher = Arc::new(Watcher::new(id, request));
        if inner.closed {
            watcher.end(WatchEnd::Shutdown);
        } else {
            inner.index.insert(&watcher);
            inner.watchers.insert(id, watcher.clone());
            self.metrics.watchers.set(inner.watchers.len() as i64);
        }
        drop(inner);
        Ok(WatchStream::new(self.clone(), watcher, replay, self.progress))
    }

    /// Every event up to this revision is in the queues.
    pub(super) fn dispatched(&self) -> Revision {
        self.dispatched.load(Ordering::Acquire) + u64::from(sabotage::is(Sabotage::BookmarkTooEarly))
    }

    pub(super) fn forget(&self, watcher: &Watcher) {
        let mut inner = self.inner.lock();
        inner.remove(watcher.id);
        self.metrics.watchers.set(inner.watchers.len() as i64);
    }

    /// Hands out what is new in `root`.
    pub(crate) fn dispatch(&self, root: &Arc<Root>) {
        let mut next = match self.adopt(root) {
            Some(first) => first,
            None => return,
        };
        while next < root.history.len() {
            next = self.dispatch_chunk(root, next);
        }
    }

    /// Makes `root` the state to hand out; the index of the first change that is new in it.
    fn adopt(&self, root: &Arc<Root>) -> Option<usize> {
        let mut inner = self.inner.lock();
        if inner.closed || root.revision < inner.dispatched {
            return None;
        }
        if root.floor > inner.dispatched {
            // The history does not reach back to what was handed out: nobody can go on.
            let ended = std::mem::take(&mut inner.watchers);
            inner.index = Index::default();
            inner.dispatched = root.floor;
            for watcher in ended.values() {
                watcher.end(WatchEnd::Compacted);
            }
            self.metrics.watchers.set(0);
        }
        let first = root.position_after(inner.dispatched);
        inner.root = root.clone();
        self.dispatched.store(inner.dispatched, Ordering::Release);
        Some(first)
    }

    /// Hands out the changes from index `first` on; never stops between two changes of one
    /// revision. Returns the index of the next change.
    fn dispatch_chunk(&self, root: &Arc<Root>, first: usize) -> usize {
        let mut touched: Vec<Arc<Watcher>> = Vec::new();
        let mut lagged: Vec<Arc<Watcher>> = Vec::new();
        let mut inner = self.inner.lock();
        if inner.watchers.is_empty() {
            inner.dispatched = root.revision;
            self.dispatched.store(inner.dispatched, Ordering::Release);
            return root.history.len();
        }
        let mut next = first;
        let mut delivered = 0;
        while let Some(change) = root.history.get(next) {
            if next - first >= CHUNK && change.revision > inner.dispatched {
                break;
            }
            let mut event: Option<Arc<Event>> = None;
            inner.index.find(change, |watcher| {
                if change.revision <= watcher.request.from {
                    return;
                }
                let event = event.get_or_insert_with(|| Event::of(change));
                delivered += 1;
                match watcher.push(event.clone(), self.backlog) {
                    Push::Queued => {}
                    Push::First => touched.push(watcher.clone()),
                    Push::Lagged => lagged.push(watcher.clone()),
                }
            });
            for watcher in lagged.drain(..) {
                inner.remove(watcher.id);
                self.metrics.watchers_lagged.inc();
                touched.push(watcher);
            }
            inner.dispatched = change.revision;
            next += 1;
        }
        self.metrics.watchers.set(inner.watchers.len() as i64);
        self.dispatched.store(inner.dispatched, Ordering::Release);
        drop(inner);
        self.metrics.events.inc_by(delivered);
        for watcher in touched {
            watcher.wake();
        }
        next
    }

    /// The next change is delivered to nobody; false when there is none yet.
    #[cfg(feature = "sabotage")]
    pub(crate) fn lose_one(&self, root: &Root) -> bool {
        let mut inner = self.inner.lock();
        let lost = root.history.get(root.position_after(inner.dispatched));
        inner.dispatched = lost.map_or(inner.dispatched, |change| change.revision);
        lost.is_some()
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.index = Index::default();
        for (_, watcher) in inner.watchers.drain() {
            watcher.end(WatchEnd::Shutdown);
        }
    }
}

impl Inner {
    fn remove(&mut self, id: u64) {
        if let Some(watcher) = self.watchers.remove(&id) {
            self.index.remove(&watcher.request, id);
        }
    }
}

/// What became of an event put into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    /// It waits behind others.
    Queued,
    /// It is the first: the watcher must be woken.
    First,
    /// The queue was full: the watcher is cut off.
    Lagged,
}
