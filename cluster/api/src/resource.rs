//! `Resource`: everything the engine knows about one kind in one version.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::meta::{self, NameRule};
use crate::registry::version_order;
use crate::schema::{self, Schema};
use crate::selector::FieldSelector;
use crate::status::Status;
use crate::strategy::Strategy;
use crate::table::Column;
use crate::value::get;

/// `v1` or `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

/// One subresource of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `log`, ...
    pub name: String,
    /// Group, version and kind of its body; `None` group and version: those of the parent.
    pub group_version: Option<(String, String)>,
    pub kind: String,
    /// API verbs: `get`, `patch`, `update`, `create`, `delete`.
    pub verbs: Vec<String>,
}

/// Where and as what the objects of a resource are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
}

/// Deprecated built-in kinds: apiVersion, kind, and since when.
const DEPRECATED: [(&str, &str, &str); 2] = [
    ("v1", "ComponentStatus", "v1.19+"),
    ("v1", "Endpoints", "v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
];

/// What a version of a custom resource definition adds.
#[derive(Clone)]
pub struct Custom {
    /// Name of the definition: `PLURAL.GROUP`.
    pub definition: String,
    /// The element of `spec.versions`.
    pub version: Value,
    /// What the versions of the definition share.
    pub family: Arc<Family>,
}

/// What all versions of a custom resource definition share.
pub struct Family {
    /// The revision of the store at which the definition became what it is here. Objects that were
    /// written before may have another form.
    pub revision: u64,
    /// `spec.conversion.webhook`, when the strategy is `Webhook`.
    pub webhook: Option<Value>,
    /// The whole `spec`, and `status.acceptedNames`.
    pub spec: Value,
    pub accepted_names: Value,
    /// The definition is going away: nothing new is created. It may come to that while watches
    /// are open, which go on until the last object is gone.
    pub terminating: AtomicBool,
    /// What the stored version's objects can be selected by.
    pub(crate) stored_fields: Vec<SelectableField>,
    pub(crate) members: Vec<Member>,
}

/// One version of a family, served or not.
pub(crate) struct Member {
    pub name: String,
    pub given: Value,
    pub schema: OnceLock<Arc<Schema>>,
}

impl Family {
    /// The schema of a version, built on first use.
    pub fn schema(&self, version: &str) -> Option<Arc<Schema>> {
        let member = self.members.iter().find(|m| m.name == version)?;
        let build = || Arc::new(schema::from_crd(&member.given));
        Some(member.schema.get_or_init(build).clone())
    }
}

/// A field that objects can be selected by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectableField {
    /// As in the selector: `spec.nodeName`.
    pub name: String,
    /// Where the value is; mostly the same as the name.
    pub path: String,
    /// The name under which stored objects are indexed by it.
    pub index: String,
    /// The value of an absent field (`false`, `0`).
    pub absent: String,
}

/// What a status update may do to metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMetadata {
    /// Labels, annotations and finalizers can be changed through `/status`.
    Editable,
    /// Only managedFields.
    Kept,
}

/// A kind in one version, built in or custom.
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// API verbs, sorted.
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// Empty for kinds that are not stored.
    pub storage_version_hash: String,
    pub storage: Storage,
    pub custom: Option<Custom>,
    pub columns: Vec<Column>,
    pub name_rule: NameRule,
    /// Fields for field selectors, beyond `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<SelectableField>,
    /// Kubernetes' `AllowCreateOnUpdate`: a PUT of an absent object creates it.
    pub create_on_update: bool,
    /// Kubernetes' `AllowUnconditionalUpdate`: a PUT without resourceVersion is accepted.
    pub unconditional_update: bool,
    /// True when `metadata.generation` counts changes of the spec.
    pub generation: bool,
    /// True when `status` is written through its subresource only.
    pub has_status: bool,
    /// True when a create may bring a status (nodes register with theirs).
    pub status_on_create: bool,
    pub status_metadata: StatusMetadata,
    pub(crate) strategy: &'static dyn Strategy,
    pub(crate) schema: OnceLock<Arc<Schema>>,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// True when the resource serves `verb`.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// True when objects are stored (everything but reviews, bindings and component statuses).
    pub fn is_stored(&self) -> bool {
        self.allows("list") && self.allows("create")
    }

    /// `/GROUP-or-core/PLURAL/`: the prefix of all keys of this kind in the store.
    pub fn key_prefix(&self) -> String {
        let group = match self.storage.group.as_str() {
            "" => "core",
            group => group,
        };
        format!("/{group}/{}/", self.storage.plural)
    }

    /// The key of one object. `namespace` is ignored for cluster-scoped kinds.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        match self.namespaced {
            true => format!("{}{namespace}/{name}", self.key_prefix()),
            false => format!("{}{name}", self.key_prefix()),
        }
    }

    /// True when stored bytes of a built-in kind are not what this version serves, so that every
    /// object must pass [`Resource::convert_stored`] on its way out and
    /// [`Resource::convert_to_stored`] on its way in. Custom resources: see [`crate::conversion`].
    pub fn converts(&self) -> bool {
        self.custom.is_none() && !self.is_storage_version()
    }

    /// True for the version that objects are stored in.
    pub fn is_storage_version(&self) -> bool {
        self.storage.version == self.version
            && self.storage.group == self.group
            && self.storage.kind == self.kind
    }

    /// True when the bytes of an object that was stored at `revision` can be served as they are.
    pub fn serves_stored(&self, revision: u64) -> bool {
        match &self.custom {
            None => self.is_storage_version(),
            Some(custom) => {
                self.is_storage_version()
                    && revision > custom.family.revision
                    && !self.schema().has_defaults()
            }
        }
    }

    /// A stored object in this version (identity when [`Resource::converts`] is false).
    pub fn convert_stored(&self, stored: Value) -> Value {
        match self.converts() {
            true => self.strategy.convert_stored(self, stored),
            false => stored,
        }
    }

    /// An object of this version in the stored version.
    pub fn convert_to_stored(&self, object: Value) -> Value {
        match self.converts() {
            true => self.strategy.convert_to_stored(self, object),
            false => object,
        }
    }

    /// The values by which a stored object is indexed.
    pub fn stored_fields(&self, object: &Value) -> Vec<(String, String)> {
        match &self.custom {
            None => self.fields(object),
            Some(custom) => self.fields_of(object, &custom.family.stored_fields),
        }
    }

    /// The values of the fields that an object of this version can be selected by.
    pub fn fields(&self, object: &Value) -> Vec<(String, String)> {
        self.fields_of(object, &self.selectable)
    }

    fn fields_of(&self, object: &Value, selectable: &[SelectableField]) -> Vec<(String, String)> {
        let mut fields = vec![("metadata.name".to_owned(), meta::name(object).to_owned())];
        if self.namespaced {
            let namespace = meta::namespace(object).to_owned();
            fields.push(("metadata.namespace".to_owned(), namespace));
        }
        for field in selectable {
            let value = match get(object, &field.path) {
                Value::Null => field.absent.clone(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            fields.push((field.name.clone(), value));
        }
        self.strategy.more_fields(object, &mut fields);
        fields
    }

    /// A checked field selector in the names that stored objects are indexed by.
    pub fn index_names(&self, mut selector: FieldSelector) -> FieldSelector {
        for requirement in &mut selector.requirements {
            if let Some(field) = self.selectable.iter().find(|s| s.name == requirement.field) {
                requirement.field = field.index.clone();
            }
        }
        selector
    }

    /// Refuses a field selector that names a field this kind can not be selected by.
    pub fn check_field_selector(&self, selector: &FieldSelector) -> Result<(), Status> {
        for requirement in &selector.requirements {
            let field = requirement.field.as_str();
            let known = field == "metadata.name"
                || (field == "metadata.namespace" && (self.namespaced || self.custom.is_some()))
                || self.selectable.iter().any(|s| s.name == field);
            if !known {
                let message = match self.selectable.is_empty() && self.custom.is_none() {
                    true => format!(
                        "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ),
                    false if self.kind == "Job" => format!("field label {field:?} not supported for Job"),
                    false => format!("field label not supported: {field}"),
                };
                return Err(Status::bad_request(message));
            }
        }
        Ok(())
    }

    /// What clients of a deprecated version are warned with.
    pub fn deprecation(&self) -> Option<String> {
        let Some(custom) = &self.custom else {
            return DEPRECATED
                .iter()
                .find(|(v, k, _)| *k == self.kind && *v == self.api_version())
                .map(|(version, kind, rest)| format!("{version} {kind} is deprecated in {rest}"));
        };
        if custom.version.get("deprecated") != Some(&Value::Bool(true)) {
            return None;
        }
        if let Some(given) = custom.version.get("deprecationWarning").and_then(Value::as_str) {
            return Some(given.to_owned());
        }
        let truth = |version: &Value, name: &str| version.get(name) == Some(&Value::Bool(true));
        let versions = custom.family.spec.get("versions").and_then(Value::as_array).into_iter().flatten();
        let newer = versions
            .filter(|v| truth(v, "served") && !truth(v, "deprecated"))
            .filter_map(|v| v.get("name").and_then(Value::as_str))
            .filter(|name| version_order(name) < version_order(&self.version))
            .min_by_key(|name| version_order(name));
        let message = format!("{} {} is deprecated", self.api_version(), self.kind);
        Some(match newer {
            Some(newer) => format!("{message}; use {}/{newer} {}", self.group, self.kind),
            None => message,
        })
    }

    /// The schema of the kind: built on first use. A custom resource without a usable schema
    /// keeps everything.
    pub fn schema(&self) -> Arc<Schema> {
        let build = || match &self.custom {
            None => schema::builtin(&self.group, &self.version, &self.kind),
            Some(custom) => custom.family.schema(&self.version),
        };
        self.schema.get_or_init(|| build().unwrap_or_default()).clone()
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resource({}/{})", self.api_version(), self.plural)
    }
}
