//! The lines of a watch: `{"type":...,"object":...}`, one per event.

use std::sync::Arc;

use api::Resource;
use api::table::IncludeObject;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use store::{Event, EventKind, Object};

use super::select::Selection;
use crate::request::As;

/// How one watch wants its objects.
pub(super) struct Encoder {
    pub resource: Arc<Resource>,
    pub r#as: As,
    pub include: IncludeObject,
    /// Stored bytes can be sent as they are.
    pub raw: bool,
    /// The next table is the first one: it carries the columns.
    pub headers: bool,
}

impl Encoder {
    /// What an event means to this watch; nothing when it selects the object neither before nor
    /// after.
    pub(super) fn event(&mut self, selection: &Selection, event: &Event) -> Option<Bytes> {
        let previous = event.previous.as_deref();
        if selection.is_everything() {
            let word = match (event.kind, previous) {
                (EventKind::Delete, _) => "DELETED",
                (EventKind::Put, None) => "ADDED",
                (EventKind::Put, Some(_)) => "MODIFIED",
            };
            return Some(self.shared(event, word));
        }
        let before = previous.is_some_and(|p| selection.matches(p));
        let now = event.kind == EventKind::Put && selection.matches(&event.object);
        match (before, now) {
            (true, true) => Some(self.shared(event, "MODIFIED")),
            (false, true) if previous.is_none() => Some(self.shared(event, "ADDED")),
            (false, true) => Some(self.line("ADDED", &event.object.value)),
            (true, false) if event.kind == EventKind::Delete => Some(self.shared(event, "DELETED")),
            // It no longer matches: the object as it last did, at the revision of the change.
            (true, false) => Some(self.line("DELETED", &restamped(previous?, event.revision))),
            (false, false) => None,
        }
    }

    /// The line that every watcher of this event gets, made once for all of them.
    fn shared(&mut self, event: &Event, word: &str) -> Bytes {
        if !self.raw {
            return self.line(word, &event.object.value);
        }
        event.encoded.get_or_init(|| line(word, &event.object.value)).clone()
    }

    /// An object that was there when the watch began.
    pub(super) fn initial(&mut self, object: &Object) -> Bytes {
        self.line("ADDED", &object.value)
    }

    fn line(&mut self, word: &str, stored: &[u8]) -> Bytes {
        if self.raw {
            return line(word, stored);
        }
        let value: Value = serde_json::from_slice(stored).unwrap_or_default();
        let object = self.formed(self.resource.convert_stored(value));
        line(word, object.to_string().as_bytes())
    }

    fn formed(&mut self, object: Value) -> Value {
        match self.r#as {
            As::Object => object,
            As::Metadata => api::table::partial_metadata(&object),
            As::Table => {
                let headers = std::mem::take(&mut self.headers);
                let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let now = jiff::Timestamp::now();
                api::table::table(&self.resource, &[object], meta, self.include, headers, now)
            }
        }
    }

    /// Every event up to this revision was sent. `initial_end`: so was every object that was there.
    pub(super) fn bookmark(&self, revision: u64, initial_end: bool) -> Bytes {
        let (kind, version) = match self.r#as {
            As::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            As::Table => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
            As::Object => (self.resource.kind.clone(), self.resource.api_version()),
        };
        let mut meta = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if self.r#as == As::Table {
            meta = json!({"resourceVersion": revision.to_string()});
        }
        if initial_end {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"kind": kind, "apiVersion": version, "metadata": meta});
        line("BOOKMARK", object.to_string().as_bytes())
    }
}

/// An error, as the last event of a watch.
pub(super) fn error_line(status: &api::Status) -> Bytes {
    line("ERROR", status.to_json().to_string().as_bytes())
}

fn line(word: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + word.len() + 24);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(word.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.freeze()
}

/// The object's bytes with another revision in their place.
fn restamped(object: &Object, revision: u64) -> Bytes {
    let Some(range) = object.splice else { return object.value.clone() };
    let (start, end) = (range.at as usize, (range.at + range.len) as usize);
    let mut bytes = BytesMut::with_capacity(object.value.len() + 4);
    bytes.extend_from_slice(&object.value[..start]);
    bytes.extend_from_slice(revision.to_string().as_bytes());
    bytes.extend_from_slice(&object.value[end..]);
    bytes.freeze()
}
