//! Watch: every event after a revision, once, in order, none skipped.
//!
//! `hub.rs` hands each new change to the watchers it is for, found by prefix and field; `index.rs`
//! is that index; `stream.rs` is one watcher: first what the history holds, then what the hub
//! puts into its bounded queue.

mod hub;
mod index;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

pub(crate) use self::hub::Hub;
pub use self::stream::WatchStream;
use crate::machine::Change;
use crate::object::{Object, Revision};

/// Which events a watcher wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchRequest {
    /// Keys that begin with this.
    pub prefix: String,
    /// Events after this revision.
    pub from: Revision,
    /// Only events whose object, now or before the change, has this field with this value.
    pub field: Option<(String, String)>,
}

impl WatchRequest {
    /// Whether the watcher wants the change.
    pub(crate) fn wants(&self, change: &Change) -> bool {
        let has = |object: &Object| {
            self.field.as_ref().is_none_or(|(name, value)| object.field(name) == Some(value.as_str()))
        };
        change.revision > self.from
            && change.object.key.starts_with(&self.prefix)
            && (has(&change.object) || change.previous.as_deref().is_some_and(has))
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Created (no previous object) or changed.
    Put,
    /// Deleted.
    Delete,
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    /// The revision of the change.
    pub revision: Revision,
    /// The new object; of a delete the last one, with the revision of the delete.
    pub object: Arc<Object>,
    /// What was there before.
    pub previous: Option<Arc<Object>>,
    /// What happened.
    pub kind: EventKind,
    /// Places for the reader's encodings, so that each is made once for all watchers.
    pub encoded: [OnceLock<Bytes>; 4],
}

impl Event {
    pub(crate) fn of(change: &Change) -> Arc<Event> {
        Arc::new(Event {
            revision: change.revision,
            object: change.object.clone(),
            previous: change.previous.clone(),
            kind: change.kind,
            encoded: Default::default(),
        })
    }
}

/// What a watch delivers.
#[derive(Debug, Clone)]
pub enum WatchItem {
    /// A change.
    Event(Arc<Event>),
    /// Every event up to this revision was delivered.
    Progress(Revision),
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnd {
    /// The watcher did not keep up and was cut off; watch again from the last revision seen.
    #[error("the watcher did not keep up")]
    Lagged,
    /// The next events are no longer kept here (a snapshot was installed); list again.
    #[error("the history is no longer kept")]
    Compacted,
    /// The store stopped.
    #[error("the store stopped")]
    Shutdown,
}
