//! Server-side apply.

use serde_json::{Map, Value};

use super::compare::compare;
use super::entries::{self, Entries, Entry, Identity};
use super::merge::{merge, remove};
use super::misfit::misfit;
use super::set::{Element, Set};
use super::typed::{Place, to_set, with_named_fields};
use super::update::{self, NEVER_OWNED, empty_like, format_time, reconciled, without_list};
use super::{ApplyError, Conflict, Writer};
use crate::schema::{self, Schema};

/// Owner of what was there before the first apply to an object nobody tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Whose applies take over from client-side apply.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The annotations of one object together, in bytes of keys and values.
const MAX_ANNOTATIONS: usize = 256 * 1024;

pub(super) fn apply(
    schema: &Schema,
    live: Option<&Value>,
    patch: Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    check(schema, &patch, writer)?;
    let stored = live.and_then(entries::list_of);
    let entries = match stored {
        Some(list) => Entries::read(list)
            .map_err(|e| ApplyError::Typed(format!("failed to decode managed fields: {e}")))?,
        None => Entries::default(),
    };
    let base = match live {
        Some(live) => without_list(live),
        None => empty_like(schema, &patch),
    };
    let applier = Applier {
        schema,
        place: Place::root(schema),
        live: &base,
        existed: live.is_some(),
        writer,
        reset: Set::of_fields(writer.reset),
        id: Identity::new(writer.manager, true, "", writer.subresource),
    };
    let entries = applier.with_history(entries);
    let outcome = match applier.run(entries.clone(), &patch, force) {
        Err(conflicts) => {
            let open = applier.open_conflicts(conflicts);
            if !open.is_empty() {
                return Err(conflict_error(open));
            }
            applier.run(entries, &patch, true).map_err(conflict_error)?
        }
        Ok(outcome) => outcome,
    };
    let (mut object, entries) = outcome;
    if writer.manager == KUBECTL {
        refresh_last_applied(&mut object, patch);
    }
    entries::store(&mut object, entries);
    update::keep_times_of_no_change(live, &mut object);
    Ok(object)
}

fn check(schema: &Schema, patch: &Value, writer: &Writer<'_>) -> Result<(), ApplyError> {
    let text = |name: &str| patch.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = text("apiVersion");
    if version != writer.api_version {
        return Err(ApplyError::Invalid(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            writer.api_version
        )));
    }
    let metadata = patch.get("metadata");
    if metadata.and_then(|m| m.get("managedFields")).is_some_and(|m| !m.is_null()) {
        return Err(ApplyError::Invalid("metadata.managedFields must be nil".into()));
    }
    if let Some(problem) = misfit(Place::root(schema), patch) {
        let meta = |name: &str| {
            let value = metadata.and_then(|m| m.get(name)).and_then(Value::as_str);
            value.unwrap_or_default().to_string()
        };
        return Err(ApplyError::Typed(format!(
            "failed to create typed patch object ({}/{}; {version}, Kind={}): {problem}",
            meta("namespace"),
            meta("name"),
            text("kind"),
        )));
    }
    Ok(())
}

/// A manager and the paths it owns that the apply would change.
type Conflicts = Vec<(Identity, Vec<Vec<Element>>)>;

struct Applier<'a> {
    schema: &'a Schema,
    place: Place<'a>,
    /// The stored object without its managed fields.
    live: &'a Value,
    existed: bool,
    writer: &'a Writer<'a>,
    reset: Set,
    id: Identity,
}

impl Applier<'_> {
    /// An object that nobody tracked: all there is belongs to one manager.
    fn with_history(&self, entries: Entries) -> Entries {
        let mut entries = reconciled(self.place, entries);
        if entries.is_empty() && self.existed {
            let empty = empty_like(self.schema, self.live);
            let changes = compare(self.place, &empty, self.live);
            let version = self.writer.api_version;
            let subresource = self.writer.subresource;
            let id = Identity::new(BEFORE_FIRST_APPLY, false, version, subresource);
            update::record(&mut entries, id, changes, self.writer);
        }
        entries
    }

    /// Merges, gives up what is no longer applied, and takes ownership.
    fn run(&self, mut entries: Entries, patch: &Value, force: bool) -> Result<(Value, Entries), Conflicts> {
        let merged = merge(self.place, self.live, patch);
        let set = to_set(self.place, patch).recursive_difference(&self.reset);
        let last = entries.remove(&self.id);
        let time = last.as_ref().and_then(|entry| entry.time.clone());
        entries.0.push(Entry {
            id: self.id.clone(),
            api_version: self.writer.api_version.to_string(),
            time,
            set,
        });
        let mut object = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, &entries, &last.set),
            _ => merged,
        };
        if self.schema.builtin {
            // Nulls and empty values of the configuration end here, as in decoding into a struct.
            schema::prune(self.schema, &mut object);
        }
        let changes = compare(self.place, self.live, &object).without(&self.reset);
        let conflicts = entries.conflicts(Some(&self.id), &changes);
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        entries.yield_changes(Some(&self.id), &changes);
        if let Some(mut own) = entries.remove(&self.id) {
            own.set = own.set.difference(&NEVER_OWNED);
            if object != *self.live {
                own.time = Some(format_time(self.writer.now));
            }
            entries.put(own);
        }
        Ok((object, entries))
    }

    /// Removes what this manager applied last time, not now, and nobody else owns.
    fn prune(&self, merged: Value, entries: &Entries, last: &Set) -> Value {
        let place = self.place;
        let named = |set: &Set| with_named_fields(place, set);
        let cut = |doomed: &Set| remove(place, &merged, doomed).unwrap_or_else(|| Value::Object(Map::new()));
        let last = named(last);
        let pruned = cut(&last);
        // Give back what anybody owns, this apply included.
        let owned = entries.0.iter().fold(Set::default(), |all, e| all.union(&e.set));
        let merged_set = named(&to_set(place, &merged));
        let kept = named(&to_set(place, &pruned)).union(&named(&owned));
        let pruned = cut(&merged_set.clone().difference(&kept));
        // Give back what was never this manager's.
        let gone = merged_set.difference(&named(&to_set(place, &pruned)));
        cut(&gone.intersection(&last))
    }

    /// The conflicts that are not with the fields client-side apply set.
    fn open_conflicts(&self, conflicts: Conflicts) -> Conflicts {
        if self.writer.manager != KUBECTL {
            return conflicts;
        }
        let Some(allowed) = self.applied_by_client() else {
            return conflicts;
        };
        let all_allowed = conflicts.iter().flat_map(|(_, paths)| paths).all(|path| allowed.has(path));
        if all_allowed {
            return Vec::new();
        }
        let open = conflicts.into_iter().map(|(id, mut paths)| {
            paths.retain(|path| !allowed.has(path));
            (id, paths)
        });
        open.filter(|(_, paths)| !paths.is_empty()).collect()
    }

    /// The fields in the last-applied annotation that still have the value given there.
    fn applied_by_client(&self) -> Option<Set> {
        let annotations = self.live.get("metadata")?.get("annotations")?;
        let text = annotations.get(LAST_APPLIED)?.as_str()?;
        let applied: Value = serde_json::from_str(text).ok()?;
        if applied.get("apiVersion")?.as_str()? != self.writer.api_version {
            return None;
        }
        let changes = compare(self.place, &applied, self.live);
        let set = to_set(self.place, &applied)
            .difference(&changes.modified)
            .difference(&changes.added)
            .difference(&changes.removed);
        Some(set)
    }
}

/// Keeps the annotation of client-side apply in step, if the object has it.
fn refresh_last_applied(object: &mut Value, mut patch: Value) {
    let annotations =
        object.get_mut("metadata").and_then(|m| m.get_mut("annotations")).and_then(Value::as_object_mut);
    let Some(annotations) = annotations else {
        return;
    };
    let current = annotations.get(LAST_APPLIED).and_then(Value::as_str);
    if current.is_none_or(str::is_empty) {
        return;
    }
    let given =
        patch.get_mut("metadata").and_then(|m| m.get_mut("annotations")).and_then(Value::as_object_mut);
    if let Some(given) = given {
        given.remove(LAST_APPLIED);
        if given.is_empty()
            && let Some(metadata) = patch["metadata"].as_object_mut()
        {
            metadata.remove("annotations");
        }
    }
    annotations.insert(LAST_APPLIED.into(), format!("{patch}\n").into());
    let size: usize =
        annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(LAST_APPLIED);
    }
}

pub(super) fn conflict_error(conflicts: Conflicts) -> ApplyError {
    let join = |path: &[Element]| path.iter().map(Element::to_string).collect::<String>();
    let mut list = Vec::new();
    let mut lines = Vec::new();
    for (id, paths) in &conflicts {
        lines.push(format!("conflicts with {}:", id.describe()));
        for path in paths {
            let field = join(path);
            lines.push(format!("- {field}"));
            list.push(Conflict { message: format!("conflict with {}", id.describe()), field });
        }
    }
    let message = match list.as_slice() {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        many => format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n")),
    };
    ApplyError::Conflicts { message, conflicts: list }
}
