//! The last stage: the transaction.

use std::sync::Arc;
use std::time::Duration;

use api::Status;
use api::delete::finished_by_update;
use api::pipeline::encode;
use bytes::Bytes;
use serde_json::Value;
use store::{Applied, Guard, Object, Op, Put, Rejection, Revision, Txn, View, WriteError};

use super::{Companions, Stored, Valid, Write};
use crate::alloc;
use crate::convert;
use crate::failure::{Failure, unwritten};

/// Kubernetes' default of `--event-ttl`.
const EVENT_TTL: Duration = Duration::from_secs(3600);

/// Objects beyond this are refused, as etcd's request limit does for Kubernetes.
const LARGEST_OBJECT: usize = 3 << 19;

/// What a write came to.
pub(crate) struct Committed {
    /// The object's bytes in the stored version.
    pub bytes: Bytes,
    /// The revision that wrote them; the largest of all for those written now.
    pub revision: Revision,
    pub created: bool,
    pub warnings: Vec<String>,
}

impl Committed {
    fn now(bytes: Bytes, created: bool, warnings: Vec<String>) -> Self {
        Self { bytes, revision: Revision::MAX, created, warnings }
    }
}

impl Valid {
    /// Creates the object; `AlreadyExists` when the name is taken.
    pub(crate) async fn create(self, write: &Write<'_>, exists: bool) -> Result<Committed, Failure> {
        let name = self.name().to_owned();
        let taken = || Status::already_exists(&write.resource.group, &write.resource.plural, &name);
        if exists {
            return Err(Failure::Final(taken()));
        }
        let key = write.key(&name);
        let put = converted_put(write, key.clone(), &self.object).await?;
        if write.dry_run {
            return Ok(Committed::now(put.value, true, self.warnings));
        }
        let outcome = propose(write, Guard::Absent { key }, Op::Put(put), self.companions, taken).await;
        let applied = outcome.map_err(Failure::final_when_conflict)?;
        Ok(Committed::now(first(&applied)?, true, self.warnings))
    }

    /// Replaces `old`. Nothing is written when nothing changed; the write becomes a delete when
    /// nothing keeps the object any longer. `conditional`: the client named the version it changed.
    pub(crate) async fn update(
        self,
        write: &Write<'_>,
        view: &View,
        old: &Stored,
        conditional: bool,
    ) -> Result<Committed, Failure> {
        let done = |bytes, warnings| Committed::now(bytes, false, warnings);
        let finished = finished_by_update(write.storage, &self.object, &old.value);
        let unchanged = !old.stale && same(&self.object, &old.value);
        if !finished && self.companions.ops.is_empty() && unchanged {
            confirm_unchanged(write, old).await?;
            let revision = old.object.revision;
            return Ok(Committed { revision, ..done(old.object.value.clone(), self.warnings) });
        }
        let key = old.object.key.to_string();
        let put = converted_put(write, key.clone(), &self.object).await?;
        if write.dry_run {
            return Ok(done(with_version(&put, old.object.revision), self.warnings));
        }
        let mut companions = self.companions;
        let op = if finished {
            alloc::release(write.storage, view, &old.value, &mut companions);
            Op::Delete { key }
        } else {
            Op::Put(put)
        };
        let name = old.value["metadata"]["name"].as_str().unwrap_or_default();
        let outcome = propose(write, old.guard(), op, companions, || write.modified(name)).await;
        let applied = match outcome {
            Err(Failure::Conflict(status)) if !conditional => return Err(Failure::Stale(status)),
            other => other.map_err(Failure::final_when_conflict)?,
        };
        Ok(done(first(&applied)?, self.warnings))
    }
}

/// Removes a stored object with what belongs to it; its last bytes.
pub(crate) async fn remove(write: &Write<'_>, view: &View, old: &Stored) -> Result<Arc<Object>, Failure> {
    remove_with(write, view, old, Companions::default()).await
}

/// As [`remove`], with more in the same transaction.
pub(crate) async fn remove_with(
    write: &Write<'_>,
    view: &View,
    old: &Stored,
    mut companions: Companions,
) -> Result<Arc<Object>, Failure> {
    alloc::release(write.storage, view, &old.value, &mut companions);
    if write.dry_run {
        return Ok(old.object.clone());
    }
    let op = Op::Delete { key: old.object.key.to_string() };
    let name = old.value["metadata"]["name"].as_str().unwrap_or_default();
    match propose(write, old.guard(), op, companions, || write.modified(name)).await {
        Ok(applied) => applied.objects.first().cloned().ok_or_else(no_object),
        Err(Failure::Conflict(status)) => Err(Failure::Stale(status)),
        Err(other) => Err(other),
    }
}

/// Writes what a deletion makes of an object that something still keeps; its new bytes.
pub(crate) async fn overwrite(write: &Write<'_>, old: &Stored, next: &Value) -> Result<Bytes, Failure> {
    overwrite_with(write, old, next, Companions::default()).await
}

/// As [`overwrite`], with more in the same transaction.
pub(crate) async fn overwrite_with(
    write: &Write<'_>,
    old: &Stored,
    next: &Value,
    companions: Companions,
) -> Result<Bytes, Failure> {
    let put = converted_put(write, old.object.key.to_string(), next).await?;
    if write.dry_run {
        return Ok(with_version(&put, old.object.revision));
    }
    let name = old.value["metadata"]["name"].as_str().unwrap_or_default();
    let outcome = propose(write, old.guard(), Op::Put(put), companions, || write.modified(name));
    match outcome.await {
        Ok(applied) => first(&applied),
        Err(Failure::Conflict(status)) => Err(Failure::Stale(status)),
        Err(other) => Err(other),
    }
}

/// Commits one change with its companions. A conflict on the object's own guard is `mine`; on any
/// other, what was decided on has changed.
async fn propose(
    write: &Write<'_>,
    own: Guard,
    op: Op,
    companions: Companions,
    mine: impl FnOnce() -> Status,
) -> Result<Applied, Failure> {
    let mut guards = vec![own];
    guards.extend(companions.guards);
    guards.extend(write.fence.cloned());
    let mut ops = vec![op];
    ops.extend(companions.ops);
    let outcome = write.server.propose(Txn { guards, ops }).await;
    outcome.map_err(|error| match error {
        WriteError::Rejected(Rejection::Conflict { guard: Some(0), .. }) => Failure::Conflict(mine()),
        WriteError::Rejected(Rejection::Conflict { .. }) => Failure::Stale(unwritten(error)),
        other => Failure::Final(unwritten(other)),
    })
}

fn first(applied: &Applied) -> Result<Bytes, Failure> {
    applied.objects.first().map(|o| o.value.clone()).ok_or_else(no_object)
}

fn no_object() -> Failure {
    Failure::Final(Status::internal("the store applied the write and returned no object"))
}

/// The object as the store takes it.
pub(crate) fn put(write: &Write<'_>, key: String, object: &Value) -> Result<Put, Status> {
    let encoded = encode(write.storage, object);
    if encoded.bytes.len() > LARGEST_OBJECT {
        let message = format!("the object has {} bytes, the limit is {LARGEST_OBJECT}", encoded.bytes.len());
        return Err(Status::request_entity_too_large(message));
    }
    let is_event = write.storage.kind == "Event" && write.storage.plural == "events";
    Ok(Put {
        key,
        value: encoded.bytes,
        splice_at: Some(encoded.splice_at),
        labels: encoded.labels,
        fields: encoded.fields,
        ttl: is_event.then_some(EVENT_TTL),
    })
}

/// As [`put`], for an object in the version of the request.
async fn converted_put(write: &Write<'_>, key: String, object: &Value) -> Result<Put, Status> {
    let converted = convert::storable(write.server, write.storage, object).await?;
    put(write, key, converted.as_ref().unwrap_or(object))
}

/// An unchanged object is answered only when a confirmed read says that it is the newest.
async fn confirm_unchanged(write: &Write<'_>, old: &Stored) -> Result<(), Failure> {
    let view = write.server.store.view(store::Consistency::Linearizable).await;
    let view = view.map_err(|e| crate::failure::unreadable(&e))?;
    match view.get(&old.object.key) {
        Some(now) if now.revision == old.object.revision => Ok(()),
        _ => Err(Failure::Stale(write.modified(old.value["metadata"]["name"].as_str().unwrap_or_default()))),
    }
}

/// Equal but for the version they were read at.
fn same(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    new.len() == old.len()
        && new.iter().all(|(key, value)| match (key.as_str(), old.get(key)) {
            ("metadata", Some(other)) => same_metadata(value, other),
            (_, Some(other)) => value == other,
            (_, None) => false,
        })
}

fn same_metadata(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    let fields = |m: &serde_json::Map<String, Value>| m.keys().filter(|k| *k != "resourceVersion").count();
    let equal = |(key, value): (&String, &Value)| match key.as_str() {
        "resourceVersion" => true,
        "managedFields" => same_managers(value, old.get(key)),
        _ => old.get(key) == Some(value),
    };
    fields(new) == fields(old) && new.iter().all(equal)
}

/// Equal but for the times.
fn same_managers(new: &Value, old: Option<&Value>) -> bool {
    let (Some(new), Some(old)) = (new.as_array(), old.and_then(Value::as_array)) else {
        return Some(new) == old;
    };
    let names = ["manager", "operation", "apiVersion", "fieldsV1", "subresource"];
    new.len() == old.len() && new.iter().zip(old).all(|(a, b)| names.iter().all(|n| a[n] == b[n]))
}

/// The bytes for the store, with a version where the store would put its own.
fn with_version(put: &Put, revision: u64) -> Bytes {
    let at = put.splice_at.map_or(0, |at| at as usize);
    let mut bytes = put.value[..at].to_vec();
    bytes.extend_from_slice(revision.to_string().as_bytes());
    bytes.extend_from_slice(&put.value[at..]);
    Bytes::from(bytes)
}
