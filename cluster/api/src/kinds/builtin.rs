//! How a built-in kind states its facts: a `const` built with [`Builtin`]'s methods.

use std::sync::OnceLock;

use crate::meta::NameRule;
use crate::resource::{Resource, SelectableField, StatusMetadata, Storage, Subresource};
use crate::strategy::{Plain, Strategy};
use crate::table::Column;

const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Verbs of most subresources.
pub const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];

/// A subresource: name, kind (`KIND` or `GROUP/VERSION.KIND`), verbs.
pub type Sub = (&'static str, &'static str, &'static [&'static str]);

/// A column: name, type, format, priority.
pub type Col = (&'static str, &'static str, &'static str, i32);

/// The columns of kinds without a printer of their own.
pub const DEFAULT_COLUMNS: &[Col] = &[("Name", "string", "name", 0), ("Created At", "date", "", 0)];

/// The facts of one built-in kind in one version.
#[derive(Clone, Copy)]
pub struct Builtin {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    namespaced: bool,
    verbs: &'static [&'static str],
    subresources: &'static [Sub],
    hash: &'static str,
    stored_as: Option<(&'static str, &'static str)>,
    columns: &'static [Col],
    name_rule: NameRule,
    selectable: &'static [(&'static str, &'static str)],
    create_on_update: bool,
    unconditional_update: bool,
    generation: bool,
    status_metadata: StatusMetadata,
    status_on_create: bool,
    strategy: &'static dyn Strategy,
}

impl Builtin {
    /// A cluster-scoped kind with all verbs; `hash` is its storage version hash.
    pub const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        hash: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            short_names: &[],
            categories: &[],
            namespaced: false,
            verbs: ALL_VERBS,
            subresources: &[],
            hash,
            stored_as: None,
            columns: DEFAULT_COLUMNS,
            name_rule: NameRule::Subdomain,
            selectable: &[],
            create_on_update: false,
            unconditional_update: true,
            generation: false,
            status_metadata: StatusMetadata::Editable,
            status_on_create: false,
            strategy: &Plain,
        }
    }

    pub const fn namespaced(mut self) -> Self {
        self.namespaced = true;
        self
    }

    pub const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    pub const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    pub const fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    pub const fn subresources(mut self, subresources: &'static [Sub]) -> Self {
        self.subresources = subresources;
        self
    }

    /// Stored as the same kind of another group and version.
    pub const fn stored_as(mut self, group: &'static str, version: &'static str) -> Self {
        self.stored_as = Some((group, version));
        self
    }

    pub const fn columns(mut self, columns: &'static [Col]) -> Self {
        self.columns = columns;
        self
    }

    pub const fn names(mut self, rule: NameRule) -> Self {
        self.name_rule = rule;
        self
    }

    /// Selectable fields: path and the value of an absent one. `NAME=PATH` when they differ.
    pub const fn selectable(mut self, fields: &'static [(&'static str, &'static str)]) -> Self {
        self.selectable = fields;
        self
    }

    pub const fn create_on_update(mut self) -> Self {
        self.create_on_update = true;
        self
    }

    pub const fn conditional_update(mut self) -> Self {
        self.unconditional_update = false;
        self
    }

    pub const fn generation(mut self) -> Self {
        self.generation = true;
        self
    }

    pub const fn status_keeps_metadata(mut self) -> Self {
        self.status_metadata = StatusMetadata::Kept;
        self
    }

    pub const fn status_on_create(mut self) -> Self {
        self.status_on_create = true;
        self
    }

    pub const fn strategy(mut self, strategy: &'static dyn Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// The resource of these facts.
    pub fn resource(&self) -> Resource {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let (group, version) = self.stored_as.unwrap_or((self.group, self.version));
        Resource {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            list_kind: format!("{}List", self.kind),
            plural: self.plural.into(),
            singular: self.kind.to_lowercase(),
            short_names: owned(self.short_names),
            categories: owned(self.categories),
            namespaced: self.namespaced,
            verbs: owned(self.verbs),
            subresources: self.subresources.iter().map(subresource).collect(),
            storage_version_hash: self.hash.into(),
            storage: Storage {
                group: group.into(),
                version: version.into(),
                kind: self.kind.into(),
                plural: self.plural.into(),
            },
            custom: None,
            columns: self.columns.iter().map(column).collect(),
            name_rule: self.name_rule,
            selectable: self.selectable.iter().map(selectable).collect(),
            create_on_update: self.create_on_update,
            unconditional_update: self.unconditional_update,
            generation: self.generation,
            has_status: self.subresources.iter().any(|s| s.0 == "status"),
            status_metadata: self.status_metadata,
            status_on_create: self.status_on_create,
            strategy: self.strategy,
            schema: OnceLock::new(),
        }
    }
}

fn subresource((name, kind, verbs): &Sub) -> Subresource {
    let (group_version, kind) = match kind.rsplit_once('.') {
        Some((group_version, kind)) => {
            let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
            (Some((group.to_owned(), version.to_owned())), kind)
        }
        None => (None, *kind),
    };
    Subresource {
        name: (*name).to_owned(),
        group_version,
        kind: kind.to_owned(),
        verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
    }
}

fn column((name, kind, format, priority): &Col) -> Column {
    Column {
        name: (*name).into(),
        kind: (*kind).into(),
        format: (*format).into(),
        description: String::new(),
        priority: *priority,
        json_path: String::new(),
    }
}

fn selectable((field, absent): &(&str, &str)) -> SelectableField {
    let (field, index) = field.split_once('@').map_or((*field, None), |(field, index)| (field, Some(index)));
    let (name, path) = field.split_once('=').unwrap_or((field, field));
    SelectableField {
        name: name.to_owned(),
        path: path.to_owned(),
        index: index.unwrap_or(name).to_owned(),
        absent: (*absent).to_owned(),
    }
}
