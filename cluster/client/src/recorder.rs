//! Events: what a component did or could not do, for people to read.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Resource,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::mpsc;

/// How many events may wait to be written; more are dropped.
const WAITING_LIMIT: usize = 1000;
/// How many different events are remembered for counting.
const REMEMBERED_LIMIT: usize = 4096;
/// An event that comes again later than this is a new one.
const SAME_SECONDS: i64 = 600;
/// Longer messages are cut, as the API refuses them.
const MESSAGE_LIMIT: usize = 1024;

/// The two types of Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Information.
    Normal,
    /// Something a person may have to look at.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Writes Events in the background; equal ones are counted, not repeated. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Note>,
}

struct Note {
    object: ObjectReference,
    kind: EventType,
    reason: String,
    message: String,
    at: Timestamp,
}

impl Recorder {
    /// A recorder for `component` (for example `kubelet`) on `host` (empty for none). Must be called
    /// within a tokio runtime. What is waiting is still written after the last clone is dropped.
    pub fn new(client: kube::Client, component: &str, host: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
        let writer = Writer { client, component: component.into(), host: host.into(), known: HashMap::new() };
        tokio::spawn(writer.run(receiver));
        Self { sender }
    }

    /// Records an event about `object`; dropped when too many are waiting.
    pub fn event(&self, object: &ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        let mut message = message.into();
        if message.len() > MESSAGE_LIMIT {
            message.truncate(message.floor_char_boundary(MESSAGE_LIMIT - 3));
            message.push_str("...");
        }
        let note =
            Note { object: object.clone(), kind, reason: reason.into(), message, at: Timestamp::now() };
        if self.sender.try_send(note).is_err() {
            tracing::warn!(reason, object = ?object.name, "too many events are waiting: one is dropped");
        }
    }

    /// The same for an object of a static kind.
    pub fn about<K>(&self, object: &K, kind: EventType, reason: &str, message: impl Into<String>)
    where
        K: Resource<DynamicType = ()>,
    {
        let mut reference = object.object_ref(&());
        reference.resource_version = object.meta().resource_version.clone();
        self.event(&reference, kind, reason, message);
    }
}

/// What makes two events the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Same {
    object: (Option<String>, Option<String>, Option<String>, Option<String>),
    kind: EventType,
    reason: String,
    message: String,
}

struct Known {
    name: Arc<str>,
    count: i32,
    last: Timestamp,
}

struct Writer {
    client: kube::Client,
    component: String,
    host: String,
    known: HashMap<Same, Known>,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Note>) {
        while let Some(note) = receiver.recv().await {
            if let Err(error) = self.write(&note).await {
                tracing::debug!(%error, reason = note.reason, object = ?note.object.name, "event not written");
            }
        }
    }

    async fn write(&mut self, note: &Note) -> Result<(), kube::Error> {
        let namespace = note.object.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let same = same(note);
        if let Some(known) = self.known.get_mut(&same)
            && note.at.duration_since(known.last).as_secs() < SAME_SECONDS
        {
            let count = known.count + 1;
            let patch = serde_json::json!({ "count": count, "lastTimestamp": Time(note.at) });
            match api.patch(&known.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => {
                    known.count = count;
                    known.last = note.at;
                    return Ok(());
                }
                // It has expired meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        let event = self.first(note, namespace);
        let name: Arc<str> = event.metadata.name.as_deref().unwrap_or_default().into();
        api.create(&PostParams::default(), &event).await?;
        if self.known.len() >= REMEMBERED_LIMIT {
            self.known.retain(|_, known| note.at.duration_since(known.last).as_secs() < SAME_SECONDS / 10);
        }
        self.known.insert(same, Known { name, count: 1, last: note.at });
        Ok(())
    }

    fn first(&self, note: &Note, namespace: &str) -> Event {
        let object = note.object.name.as_deref().unwrap_or("object");
        let host = (!self.host.is_empty()).then(|| self.host.clone());
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{object}.{:016x}", note.at.as_nanosecond() as u64)),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: note.object.clone(),
            type_: Some(note.kind.as_str().to_owned()),
            reason: Some(note.reason.clone()),
            message: Some(note.message.clone()),
            count: Some(1),
            first_timestamp: Some(Time(note.at)),
            last_timestamp: Some(Time(note.at)),
            source: Some(EventSource { component: Some(self.component.clone()), host: host.clone() }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(host.unwrap_or_default()),
            ..Event::default()
        }
    }
}

fn same(note: &Note) -> Same {
    let object = note.object.clone();
    Same {
        object: (object.kind, object.namespace, object.name, object.uid.or(object.field_path)),
        kind: note.kind,
        reason: note.reason.clone(),
        message: note.message.clone(),
    }
}
