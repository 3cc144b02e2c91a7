//! The events of a watch: in JSON a line each (`{"type":...,"object":...}`), in protobuf a frame each.

use std::sync::Arc;

use api::protobuf::{self, NotEncodable};
use api::table::IncludeObject;
use api::{Resource, Status};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use store::{Event, EventKind, Object, Revision};

use super::select::Selection;
use crate::convert;
use crate::reply::unencodable;
use crate::request::{As, Negotiated, Shape};
use crate::server::Server;

/// An object that was there when the watch began.
pub(super) enum Initial {
    Stored(Arc<Object>),
    /// In the version of the request.
    Served(Value),
}

/// How one watch wants its objects.
pub(super) struct Encoder {
    pub server: Arc<Server>,
    pub resource: Arc<Resource>,
    pub accept: Negotiated,
    pub include: IncludeObject,
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
            (false, true) => Some(self.piece("ADDED", &event.object.value)),
            (true, false) if event.kind == EventKind::Delete => Some(self.shared(event, "DELETED")),
            // It no longer matches: the object as it last did, at the revision of the change.
            (true, false) => Some(self.piece("DELETED", &restamped(previous?, event.revision))),
            (false, false) => None,
        }
    }

    /// What every watcher that wants this form gets of this event, made once for all of them.
    fn shared(&mut self, event: &Event, word: &str) -> Bytes {
        let whole = self.whole();
        let place = match (self.accept.shape, self.accept.metadata() && !self.accept.beta) {
            (Shape::Json, _) if whole => 0,
            (Shape::Protobuf, _) if whole => 1,
            (Shape::Protobuf, true) => 2,
            (Shape::Json, true) => 3,
            _ => return self.piece(word, &event.object.value),
        };
        event.encoded[place].get_or_init(|| self.piece(word, &event.object.value)).clone()
    }

    /// An object that was there when the watch began.
    pub(super) fn initial(&mut self, object: Initial) -> Bytes {
        match object {
            Initial::Stored(object) => self.piece("ADDED", &object.value),
            Initial::Served(value) => self.served_line("ADDED", value),
        }
    }

    /// As [`Encoder::event`], for a custom resource, whose objects may have to be converted.
    pub(super) async fn custom_event(
        &mut self,
        selection: &Selection,
        event: &Event,
    ) -> Result<Option<Bytes>, Status> {
        let previous = event.previous.as_deref();
        let oldest = previous.map_or(event.object.revision, |p| p.revision);
        if self.resource.serves_stored(oldest) {
            return Ok(self.event(selection, event));
        }
        let deleted = event.kind == EventKind::Delete;
        let mut before = previous.map_or(deleted, |p| selection.matches(p));
        let mut now = !deleted && selection.matches(&event.object);
        if selection.is_late() {
            if let Some(previous) = previous.filter(|_| before) {
                let value = self.convert(&previous.value).await?;
                before = selection.matches_served(&self.resource, &value);
            }
            if now {
                let value = self.convert(&event.object.value).await?;
                now = selection.matches_served(&self.resource, &value);
            }
        }
        let (word, stored) = match (before, now) {
            (true, true) => ("MODIFIED", event.object.value.clone()),
            (false, true) => ("ADDED", event.object.value.clone()),
            (false, false) => return Ok(None),
            (true, false) => match previous.filter(|_| !deleted) {
                None => ("DELETED", event.object.value.clone()),
                // It no longer matches: the object as it last did, at the revision of the change.
                Some(previous) => ("DELETED", restamped(previous, event.revision)),
            },
        };
        let value = self.convert(&stored).await?;
        Ok(Some(self.served_line(word, value)))
    }

    async fn convert(&self, stored: &[u8]) -> Result<Value, Status> {
        let value = serde_json::from_slice(stored)
            .map_err(|e| Status::internal(format!("a stored object does not parse: {e}")))?;
        convert::served(&self.server, &self.resource, value).await
    }

    fn served_line(&mut self, word: &str, value: Value) -> Bytes {
        let object = self.formed(value);
        self.made(word, &object)
    }

    /// Stored bytes are sent as they are, but perhaps in protobuf.
    fn whole(&self) -> bool {
        self.accept.r#as == As::Object && self.resource.serves_stored(Revision::MAX)
    }

    fn piece(&mut self, word: &str, stored: &[u8]) -> Bytes {
        let whole = self.whole();
        match self.accept.shape {
            Shape::Protobuf if whole => {
                frame(word, protobuf::encode(&self.resource.api_version(), &self.resource.kind, stored))
            }
            Shape::Protobuf if self.accept.metadata() => {
                frame(word, protobuf::encode(self.accept.metadata_version(), "PartialObjectMetadata", stored))
            }
            _ if whole => line(word, stored),
            _ => {
                let value: Value = serde_json::from_slice(stored).unwrap_or_default();
                let object = self.formed(self.resource.convert_stored(value));
                self.made(word, &object)
            }
        }
    }

    /// An object that is not sent as it is stored.
    fn made(&self, word: &str, object: &Value) -> Bytes {
        made(self.accept.shape, word, object)
    }

    fn formed(&mut self, object: Value) -> Value {
        let formed = match self.accept.r#as {
            As::Object => return object,
            As::Metadata | As::MetadataList => api::table::partial_metadata(&object),
            As::Table => {
                let headers = std::mem::take(&mut self.headers);
                let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let now = jiff::Timestamp::now();
                api::table::table(&self.resource, &[object], meta, self.include, headers, now)
            }
        };
        self.accept.versioned(formed)
    }

    /// Every event up to this revision was sent. `initial_end`: so was every object that was there.
    pub(super) fn bookmark(&self, revision: u64, initial_end: bool) -> Bytes {
        let form = self.accept.metadata_version().to_owned();
        let (kind, version) = match self.accept.r#as {
            As::Metadata | As::MetadataList => ("PartialObjectMetadata".to_owned(), form),
            As::Table => ("Table".to_owned(), form),
            As::Object => (self.resource.kind.clone(), self.resource.api_version()),
        };
        let mut meta = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if self.accept.r#as == As::Table {
            meta = json!({"resourceVersion": revision.to_string()});
        }
        if initial_end {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.made("BOOKMARK", &json!({"kind": kind, "apiVersion": version, "metadata": meta}))
    }
}

/// An error, as the last event of a watch.
pub(super) fn error(shape: Shape, status: &Status) -> Bytes {
    made(shape, "ERROR", &status.to_json())
}

fn made(shape: Shape, word: &str, object: &Value) -> Bytes {
    let text = object.to_string();
    match shape {
        Shape::Protobuf => frame(word, protobuf::from_json(text.as_bytes())),
        Shape::Json | Shape::Yaml => line(word, text.as_bytes()),
    }
}

/// What has no protobuf form becomes an ERROR: the client lists again and learns why.
fn frame(word: &str, object: Result<Bytes, NotEncodable>) -> Bytes {
    match object {
        Ok(object) => protobuf::watch_frame(word, &object),
        Err(reason) => {
            tracing::error!(%reason, "an event can not be sent in protobuf");
            let status = unencodable(&reason).to_json().to_string();
            protobuf::watch_frame("ERROR", &protobuf::from_json(status.as_bytes()).unwrap_or_default())
        }
    }
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
