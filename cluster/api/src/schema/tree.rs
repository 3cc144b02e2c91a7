//! The schema tree: what every walker reads.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::rules::Rules;

/// The JSON shape of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Type {
    /// Anything: an unset type, or `x-kubernetes-preserve-unknown-fields` without one.
    #[default]
    Any,
    Object,
    Array,
    String,
    /// base64 text
    Bytes,
    Int32,
    Int64,
    Number,
    Boolean,
    IntOrString,
    /// `resource.Quantity`: a string, or a number that is read as one
    Quantity,
    /// RFC 3339, seconds
    Time,
    /// RFC 3339, microseconds
    MicroTime,
}

/// How the items of a list are identified (`x-kubernetes-list-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    Map,
}

/// Whether the fields of an object have owners of their own (`x-kubernetes-map-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MapType {
    #[default]
    Granular,
    Atomic,
}

/// `x-kubernetes-patch-strategy`, which only strategic merge patches read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    pub merge: bool,
    pub retain_keys: bool,
}

/// One node of a schema.
#[derive(Debug, Default)]
pub struct Schema {
    pub kind: Type,
    pub nullable: bool,
    /// Unknown fields are kept (`x-kubernetes-preserve-unknown-fields`, RawExtension).
    pub preserve_unknown: bool,
    /// A whole object with apiVersion, kind and metadata (`x-kubernetes-embedded-resource`).
    pub embedded: bool,
    /// A built-in definition's name (`io.k8s.api.core.v1.PodSpec`), empty elsewhere.
    pub name: &'static str,
    /// Belongs to the built-in API: null means "not given", and empty values are not written.
    pub builtin: bool,
    /// Sorted by name.
    pub properties: Box<[Field]>,
    /// The values of a map.
    pub additional: Option<Link>,
    pub items: Option<Link>,
    pub required: Box<[Arc<str>]>,
    pub list: ListType,
    pub list_keys: Box<[Arc<str>]>,
    pub map: MapType,
    pub patch: PatchStrategy,
    pub merge_key: Option<Arc<str>>,
    /// The default of this value where it is not a property (list items, map values).
    pub default: Option<Value>,
    /// What only custom resources have: ranges, patterns, enums, CEL rules.
    pub rules: Option<Box<Rules>>,
}

/// A named property of an object.
#[derive(Debug)]
pub struct Field {
    pub name: Arc<str>,
    pub link: Link,
    pub default: Option<Default>,
    /// Overrides the map type of what is linked to.
    pub map: Option<MapType>,
    /// Patch strategy given on the property rather than on the type.
    pub patch: PatchStrategy,
    /// A strategic merge patch replaces the object instead of merging it.
    pub replace: bool,
    /// An empty value (`""`, `0`, `false`, `[]`, `{}`) is the same as none.
    pub drop_empty: bool,
}

/// A property's default.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// A value the API documents: filled in when the field is absent.
    Value(Value),
    /// What Go writes for a field that is never omitted (`""`, `0`, `false`, `{}`).
    Zero(Value),
}

/// Leads to another node: owned in place, or a named definition.
#[derive(Clone, Debug)]
pub enum Link {
    Owned(Arc<Schema>),
    Named(&'static Definition),
}

/// A definition of the built-in API, shared by all that refer to it.
pub struct Definition {
    pub name: &'static str,
    pub(super) schema: OnceLock<Arc<Schema>>,
}

impl fmt::Debug for Definition {
    /// The name only: definitions may refer to themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Definition {
    /// The schema. Whoever makes a link also fills in the definition, under one lock.
    pub fn get(&self) -> &Arc<Schema> {
        let built = self.schema.get();
        built.expect("a definition is filled in before links to it are handed out")
    }
}

impl Link {
    pub fn get(&self) -> &Arc<Schema> {
        match self {
            Self::Owned(schema) => schema,
            Self::Named(definition) => definition.get(),
        }
    }
}

impl Schema {
    /// The property of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let at = self.properties.binary_search_by(|field| (*field.name).cmp(name));
        at.ok().map(|i| &self.properties[i])
    }

    /// The schema of a property or map value.
    pub fn child(&self, name: &str) -> Option<&Arc<Schema>> {
        match self.field(name) {
            Some(field) => Some(field.link.get()),
            None => self.additional.as_ref().map(Link::get),
        }
    }

    /// Whether the object's fields have one owner together, as seen through `field`.
    pub fn is_atomic(&self, field: Option<&Field>) -> bool {
        field.and_then(|f| f.map).unwrap_or(self.map) == MapType::Atomic
    }

    /// Neither properties nor map values are known: any content is fine.
    pub fn is_untyped(&self) -> bool {
        self.kind == Type::Any
            || (self.preserve_unknown && self.properties.is_empty() && self.additional.is_none())
    }

    /// The schema of a list's items.
    pub fn item(&self) -> Option<&Arc<Schema>> {
        self.items.as_ref().map(Link::get)
    }

    /// Whether a default is given anywhere in a custom resource's schema.
    pub fn has_defaults(&self) -> bool {
        let fields = self.properties.iter();
        let inner = fields.clone().map(|field| &field.link).chain(&self.additional).chain(&self.items);
        !self.builtin
            && (self.default.is_some()
                || fields.clone().any(|field| field.default.is_some())
                || inner.map(Link::get).any(|child| child.has_defaults()))
    }

    /// Follows property names: `schema.at(&["spec", "template"])`.
    pub fn at(&self, path: &[&str]) -> Option<&Schema> {
        path.iter().try_fold(self, |s, name| s.child(name).map(|c| &**c))
    }
}
