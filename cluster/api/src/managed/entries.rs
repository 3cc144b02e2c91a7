//! The managers of an object: `metadata.managedFields` read, changed and written.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::compare::Comparison;
use super::set::{Element, Set};

/// More update managers than this are merged into [`OLD_UPDATES`], oldest first.
const MAX_UPDATE_MANAGERS: usize = 10;
const OLD_UPDATES: &str = "ancient-changes";

/// What tells managers apart. An applier is the same whichever version it applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub manager: String,
    pub applies: bool,
    /// Empty for appliers.
    pub version: String,
    pub subresource: String,
}

/// One manager and what it owns.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: Identity,
    pub api_version: String,
    /// RFC 3339, as stored.
    pub time: Option<String>,
    pub set: Set,
}

/// All managers of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(pub Vec<Entry>);

/// A `managedFields` that can not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadEntries {
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    ApiVersion,
    #[error("invalid fieldsType in managed fields entry {0}")]
    FieldsType(usize),
    #[error("error decoding set: {0}")]
    Fields(#[from] super::set::BadFields),
}

impl Identity {
    pub(super) fn new(manager: &str, applies: bool, version: &str, subresource: &str) -> Self {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        let version = if applies { "" } else { version };
        Self {
            manager: manager.to_string(),
            applies,
            version: version.to_string(),
            subresource: subresource.to_string(),
        }
    }

    /// `"NAME" with subresource "scale" using apps/v1`
    pub(super) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.applies {
            text.push_str(&format!(" using {}", self.version));
        }
        text
    }
}

impl Entries {
    pub(super) fn read(list: &[Value]) -> Result<Self, BadEntries> {
        let mut entries = Self::default();
        for (i, item) in list.iter().enumerate() {
            let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
            let applies = match text("operation") {
                "Apply" => true,
                "Update" => false,
                _ => return Err(BadEntries::Operation),
            };
            let version = text("apiVersion");
            if version.is_empty() {
                return Err(BadEntries::ApiVersion);
            }
            if text("fieldsType") != "FieldsV1" {
                return Err(BadEntries::FieldsType(i));
            }
            let set = Set::from_fields(item.get("fieldsV1").unwrap_or(&Value::Null))?;
            let mut id = Identity::new(text("manager"), applies, version, text("subresource"));
            id.manager = text("manager").to_string();
            let time = item.get("time").and_then(Value::as_str);
            entries.remove(&id);
            entries.0.push(Entry {
                id,
                api_version: version.to_string(),
                time: time.map(str::to_string),
                set,
            });
        }
        Ok(entries)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, id: &Identity) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.id == *id)
    }

    pub(super) fn remove(&mut self, id: &Identity) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.id == *id)?;
        Some(self.0.remove(at))
    }

    /// Puts the entry in, or takes it out when it owns nothing.
    pub(super) fn put(&mut self, entry: Entry) {
        self.remove(&entry.id);
        if !entry.set.is_empty() {
            self.0.push(entry);
        }
    }

    /// What others than `writer` own of the changed fields.
    pub(super) fn conflicts(
        &self,
        writer: Option<&Identity>,
        changes: &Comparison,
    ) -> Vec<(Identity, Vec<Vec<Element>>)> {
        let changed = changes.modified.clone().union(&changes.added);
        let mut conflicts = Vec::new();
        for entry in self.0.iter().filter(|e| Some(&e.id) != writer) {
            let mut paths = Vec::new();
            let both = entry.set.intersection(&changed);
            both.each(&mut |path| paths.push(path.to_vec()));
            if !paths.is_empty() {
                conflicts.push((entry.id.clone(), paths));
            }
        }
        conflicts.sort_by(|a, b| a.0.cmp(&b.0));
        conflicts
    }

    /// Takes changed and removed fields away from all but `writer`.
    pub(super) fn yield_changes(&mut self, writer: Option<&Identity>, changes: &Comparison) {
        for entry in self.0.iter_mut().filter(|e| Some(&e.id) != writer) {
            let set = std::mem::take(&mut entry.set);
            entry.set =
                set.difference(&changes.modified).difference(&changes.added).difference(&changes.removed);
        }
        self.0.retain(|entry| !entry.set.is_empty());
    }

    /// Merges the oldest update managers when there are too many.
    pub(super) fn cap_updaters(&mut self) {
        let mut updaters: Vec<(Option<String>, Identity)> = self
            .0
            .iter()
            .filter(|entry| !entry.id.applies)
            .map(|entry| (entry.time.clone(), entry.id.clone()))
            .collect();
        let mut count = updaters.len();
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        updaters.sort();
        let mut first_of: Vec<(String, Identity)> = Vec::new();
        for (time, id) in updaters {
            if count <= MAX_UPDATE_MANAGERS {
                break;
            }
            let version = id.version.clone();
            let Some((_, first)) = first_of.iter().find(|(v, _)| *v == version) else {
                first_of.push((version, id));
                continue;
            };
            let bucket = Identity::new(OLD_UPDATES, false, &version, "");
            let older = match self.get(&bucket) {
                Some(_) => self.remove(&bucket),
                None => self.remove(first),
            };
            let newer = self.remove(&id);
            let sets = [older, newer].into_iter().flatten().map(|entry| entry.set);
            let set = sets.fold(Set::default(), |all, set| all.union(&set));
            self.0.push(Entry { id: bucket, api_version: version, time, set });
            count -= 1;
        }
    }

    /// `metadata.managedFields`, in Kubernetes' order: appliers first, then by time and name.
    pub(super) fn write(mut self) -> Vec<Value> {
        let seconds = |entry: &Entry| {
            let time = entry.time.as_ref()?.parse::<Timestamp>().ok()?;
            Some(time.as_second())
        };
        self.0.sort_by_cached_key(|entry| {
            (
                !entry.id.applies,
                seconds(entry).unwrap_or_default(),
                entry.id.manager.clone(),
                entry.api_version.clone(),
                entry.id.subresource.clone(),
            )
        });
        self.0.into_iter().map(Entry::write).collect()
    }
}

impl Entry {
    fn write(self) -> Value {
        let mut map = Map::new();
        let operation = if self.id.applies { "Apply" } else { "Update" };
        map.insert("manager".into(), self.id.manager.into());
        map.insert("operation".into(), operation.into());
        map.insert("apiVersion".into(), self.api_version.into());
        if let Some(time) = self.time {
            map.insert("time".into(), time.into());
        }
        map.insert("fieldsType".into(), "FieldsV1".into());
        map.insert("fieldsV1".into(), self.set.to_fields());
        if !self.id.subresource.is_empty() {
            map.insert("subresource".into(), self.id.subresource.into());
        }
        Value::Object(map)
    }
}

/// The list in the object's metadata, if there is one.
pub(super) fn list_of(object: &Value) -> Option<&Vec<Value>> {
    object.get("metadata")?.get("managedFields")?.as_array()
}

/// Takes the list out of the object.
pub(super) fn take_list(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

/// Puts the entries into the object's metadata.
pub(super) fn store(object: &mut Value, entries: Entries) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        match entries.is_empty() {
            true => metadata.remove("managedFields"),
            false => metadata.insert("managedFields".into(), entries.write().into()),
        };
    }
}
