//! Ownership of what creates, updates and patches change.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use super::Writer;
use super::compare::{Comparison, compare};
use super::entries::{self, Entries, Entry, Identity};
use super::set::Set;
use super::typed::{Place, blank, reconcile};
use crate::schema::Schema;

/// Fields that identify or describe the object have no owner.
pub(super) static NEVER_OWNED: LazyLock<Set> = LazyLock::new(|| {
    Set::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

pub(super) fn update(schema: &Schema, old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let mut entries = given_or_stored(old, new, writer);
    entries::take_list(new);
    let tracked = !entries.is_empty() || old.is_none();
    if tracked {
        let place = Place::root(schema);
        entries = reconciled(place, entries);
        let changes = match old {
            // The old list counts as removed, and nobody owns it.
            Some(old) => compare(place, old, new),
            None => compare(place, &empty_like(schema, new), new),
        };
        let id = Identity::new(writer.manager, false, writer.api_version, writer.subresource);
        record(&mut entries, id, changes, writer);
        entries.cap_updaters();
    }
    entries::store(new, entries);
    keep_times_of_no_change(old, new);
}

/// A request through the object itself may set managedFields; an unreadable or empty list means
/// the stored one, unless it asks for a reset with `[]` or `[{}]`.
fn given_or_stored(old: Option<&Value>, new: &Value, writer: &Writer<'_>) -> Entries {
    let stored = || {
        let list = old.and_then(entries::list_of);
        // A stored list that can not be read starts anew, as in Kubernetes.
        list.and_then(|list| Entries::read(list).ok()).unwrap_or_default()
    };
    if !writer.subresource.is_empty() {
        return stored();
    }
    match entries::list_of(new) {
        None => stored(),
        Some(list) if list.is_empty() => Entries::default(),
        Some(list) if list.len() == 1 && list[0].as_object().is_some_and(|e| e.is_empty()) => {
            Entries::default()
        }
        Some(list) => match Entries::read(list) {
            Ok(entries) if !entries.is_empty() => entries,
            _ => stored(),
        },
    }
}

pub(super) fn reconciled(place: Place<'_>, entries: Entries) -> Entries {
    let mut reconciled = Entries::default();
    for mut entry in entries.0 {
        entry.set = reconcile(place, entry.set);
        reconciled.0.push(entry);
    }
    reconciled
}

/// An object of the kind before anybody wrote into it.
pub(super) fn empty_like(schema: &Schema, object: &Value) -> Value {
    let mut empty = blank(schema);
    if let Some(map) = empty.as_object_mut() {
        for name in ["apiVersion", "kind"] {
            if let Some(value) = object.get(name) {
                map.insert(name.to_string(), value.clone());
            }
        }
    }
    empty
}

pub(super) fn without_list(object: &Value) -> Value {
    let mut object = object.clone();
    entries::take_list(&mut object);
    object
}

/// Takes the changed fields from their owners and gives them to the writer.
pub(super) fn record(entries: &mut Entries, id: Identity, changes: Comparison, writer: &Writer<'_>) {
    let reset = Set::of_fields(writer.reset);
    let changes = changes.without(&reset);
    entries.yield_changes(None, &changes);
    let taken = changes.modified.union(&changes.added).difference(&NEVER_OWNED);
    if taken.is_empty() {
        return;
    }
    let set = match entries.remove(&id) {
        Some(previous) => previous.set.union(&taken),
        None => taken,
    };
    entries.put(Entry {
        id,
        api_version: writer.api_version.to_string(),
        time: Some(format_time(writer.now)),
        set,
    });
}

/// `2024-01-01T00:00:00Z`
pub(super) fn format_time(now: Timestamp) -> String {
    let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
    format!("{seconds:.0}")
}

/// When nothing but times of managers changed, nothing changed: the stored list stays.
pub(super) fn keep_times_of_no_change(old: Option<&Value>, new: &mut Value) {
    let Some(old) = old else {
        return;
    };
    if !same_but_managers(old, new) {
        return;
    }
    let (Some(before), Some(after)) = (entries::list_of(old), entries::list_of(new)) else {
        return;
    };
    let unchanged = before.len() == after.len()
        && before.iter().all(|entry| after.iter().any(|other| same_but_time(entry, other)));
    if unchanged {
        let before = before.clone();
        new["metadata"]["managedFields"] = Value::Array(before);
    }
}

fn same_but_time(a: &Value, b: &Value) -> bool {
    let names = ["manager", "operation", "apiVersion", "subresource", "fieldsV1"];
    names.iter().all(|name| a.get(name) == b.get(name))
}

fn same_but_managers(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return false;
    };
    let metadata = |map: &serde_json::Map<String, Value>| {
        let metadata = map.get("metadata").and_then(Value::as_object);
        metadata.into_iter().flatten().filter(|(k, _)| *k != "managedFields").count()
    };
    let same_metadata = || {
        let (a, b) = (old.get("metadata"), new.get("metadata"));
        let (Some(a), Some(b)) = (a.and_then(Value::as_object), b.and_then(Value::as_object)) else {
            return false;
        };
        a.iter().all(|(k, v)| k == "managedFields" || b.get(k) == Some(v))
    };
    old.len() == new.len()
        && metadata(old) == metadata(new)
        && old.iter().all(|(k, v)| k == "metadata" || new.get(k) == Some(v))
        && same_metadata()
}
