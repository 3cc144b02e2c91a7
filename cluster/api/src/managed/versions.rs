//! Owners who wrote in another version of the kind: their fields are those of that version, and what a
//! change means to them is seen there.

use serde_json::Value;

use super::ApplyError;
use super::apply::conflict_error;
use super::compare::compare;
use super::entries::{self, Entries, Entry};
use super::set::Element;
use super::typed::Place;
use super::update::without_list;
use crate::schema::Schema;

/// Versions other than `own` in which owners of both objects wrote.
pub(super) fn others(old: &Value, new: &Value, own: &str) -> Vec<String> {
    let (before, mut versions) = (read(old), Vec::new());
    for entry in read(new).0 {
        let foreign = entry.api_version != own && find(&before, &entry).is_some();
        if foreign && !versions.contains(&entry.api_version) {
            versions.push(entry.api_version);
        }
    }
    versions
}

/// One change in one version: the object before and after it.
pub(super) struct Change<'a> {
    pub schema: &'a Schema,
    pub version: &'a str,
    pub old: &'a Value,
    pub new: &'a Value,
}

/// Gives the owners of a version what they had in `old`, less what has changed. Answers what they
/// had of it: the conflicts of an apply.
pub(super) fn yield_in(change: &Change<'_>, old: &Value, object: &mut Value) -> Option<ApplyError> {
    let changes = compare(Place::root(change.schema), &without_list(change.old), &without_list(change.new));
    let taken = changes.modified.clone().union(&changes.added);
    let (before, mut entries, mut conflicts) = (read(old), read(object), Vec::new());
    for entry in entries.0.iter_mut().filter(|e| e.api_version == change.version) {
        let Some(was) = find(&before, entry) else { continue };
        let mut paths: Vec<Vec<Element>> = Vec::new();
        was.set.intersection(&taken).each(&mut |path| paths.push(path.to_vec()));
        if !paths.is_empty() {
            conflicts.push((entry.id.clone(), paths));
        }
        let set = was.set.clone();
        entry.set = set.difference(&taken).difference(&changes.removed);
    }
    entries.0.retain(|entry| !entry.set.is_empty());
    entries::store(object, entries);
    conflicts.sort_by(|a, b| a.0.cmp(&b.0));
    (!conflicts.is_empty()).then(|| conflict_error(conflicts))
}

/// Forgets the owners of a version that is no more.
pub(super) fn forget(object: &mut Value, version: &str) {
    let mut entries = read(object);
    entries.0.retain(|entry| entry.api_version != version);
    entries::store(object, entries);
}

fn read(object: &Value) -> Entries {
    entries::list_of(object).and_then(|list| Entries::read(list).ok()).unwrap_or_default()
}

/// The same owner in the same version.
fn find<'e>(entries: &'e Entries, of: &Entry) -> Option<&'e Entry> {
    entries.get(&of.id).filter(|entry| entry.api_version == of.api_version)
}
