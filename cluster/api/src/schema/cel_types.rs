//! The types that CEL rules see in a schema, with the sizes that values of them may have at most.
//!
//! Sizes that a schema does not bound are those that fit into one request (Kubernetes' published
//! cost model: 3 MiB).

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::cel::escape;
use super::structural::{object, properties, truth, word};

/// The largest request, in bytes.
const REQUEST: u64 = 3 << 20;

/// A type, and how much of it there can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decl {
    pub kind: Kind,
    /// Characters, items or entries.
    pub size: u64,
    /// The fewest bytes that a value takes in a request.
    pub least: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    Type,
    List(Rc<Decl>),
    /// By the type of its values; keys are strings.
    Map(Rc<Decl>),
    Object(Rc<BTreeMap<String, Decl>>),
    Optional(Rc<Decl>),
}

impl Kind {
    /// As compiler messages name it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Dyn => "dyn".into(),
            Self::Null => "null".into(),
            Self::Bool => "bool".into(),
            Self::Int => "int".into(),
            Self::Uint => "uint".into(),
            Self::Double => "double".into(),
            Self::String => "string".into(),
            Self::Bytes => "bytes".into(),
            Self::Duration => "google.protobuf.Duration".into(),
            Self::Timestamp => "google.protobuf.Timestamp".into(),
            Self::Type => "type".into(),
            Self::List(item) => format!("list({})", item.kind.name()),
            Self::Map(value) => format!("map(string, {})", value.kind.name()),
            Self::Object(_) => "object".into(),
            Self::Optional(inner) => format!("optional_type({})", inner.kind.name()),
        }
    }
}

impl Decl {
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, size: 1, least: 1 }
    }

    pub(super) fn sized(kind: Kind, size: u64) -> Self {
        Self { kind, size, least: 1 }
    }

    pub(super) fn dynamic() -> Self {
        Self::sized(Kind::Dyn, u64::MAX)
    }
}

/// What a rule at this node sees as `self`; `None` for what has no type in CEL. Objects of the
/// API always have their common fields.
pub(super) fn decl(node: &Map<String, Value>, is_root: bool) -> Option<Decl> {
    let count = |name: &str| node.get(name).and_then(Value::as_u64);
    if truth(node, "x-kubernetes-int-or-string") {
        let size = count("maxLength").map_or(REQUEST - 2, |max| max.saturating_mul(4));
        return Some(Decl { kind: Kind::Dyn, size, least: 1 });
    }
    match word(node, "type") {
        "array" => {
            let item = child(object(node, "items")?)?;
            let size = count("maxItems").unwrap_or((REQUEST - 2) / (item.least + 1));
            Some(Decl { kind: Kind::List(Rc::new(item)), size, least: 2 })
        }
        "object" => match object(node, "additionalProperties") {
            Some(values) => {
                let value = child(values)?;
                let size = count("maxProperties").unwrap_or((REQUEST - 2) / (value.least + 6));
                Some(Decl { kind: Kind::Map(Rc::new(value)), size, least: 2 })
            }
            None => Some(fields(node, is_root)),
        },
        "string" => Some(text(node, count("maxLength"))),
        "boolean" => Some(Decl { kind: Kind::Bool, size: 0, least: 4 }),
        "number" => Some(Decl { kind: Kind::Double, size: 0, least: 1 }),
        "integer" => Some(Decl { kind: Kind::Int, size: 0, least: 1 }),
        _ => None,
    }
}

fn child(node: &Map<String, Value>) -> Option<Decl> {
    decl(node, truth(node, "x-kubernetes-embedded-resource"))
}

fn fields(node: &Map<String, Value>, is_root: bool) -> Decl {
    let required = node.get("required").and_then(Value::as_array);
    let mut least = 2;
    let mut known = BTreeMap::new();
    for (name, property) in properties(node) {
        let Some(field) = child(property) else { continue };
        let demanded = required.is_some_and(|names| names.iter().any(|n| n == name));
        if demanded && property.get("default").is_none_or(Value::is_null) {
            least += name.len() as u64 + field.least + 4;
        }
        known.insert(escape(name), field);
    }
    if is_root {
        let name = || Decl { kind: Kind::String, size: REQUEST - 2, least: 2 };
        for field in ["apiVersion", "kind"] {
            known.entry(field.into()).or_insert_with(name);
        }
        let names = BTreeMap::from([("name".to_owned(), name()), ("generateName".to_owned(), name())]);
        known.insert("metadata".into(), Decl { kind: Kind::Object(Rc::new(names)), size: 0, least: 2 });
    }
    Decl { kind: Kind::Object(Rc::new(known)), size: 0, least }
}

fn text(node: &Map<String, Value>, max: Option<u64>) -> Decl {
    let decl = |kind, size, least| Decl { kind, size, least };
    match word(node, "format") {
        "byte" => decl(Kind::Bytes, max.unwrap_or(REQUEST - 2), 2),
        "duration" => decl(Kind::Duration, 32, 4),
        "date" => decl(Kind::Timestamp, 12, 12),
        "date-time" => decl(Kind::Timestamp, 37, 22),
        _ => {
            let words = node.get("enum").and_then(Value::as_array);
            let longest = words.and_then(|w| w.iter().filter_map(Value::as_str).map(str::len).max());
            let unbounded = longest.map_or(REQUEST - 2, |length| length as u64);
            decl(Kind::String, max.map_or(unbounded, |max| max.saturating_mul(4)), 2)
        }
    }
}

/// How often a node can occur in one object when nothing above bounds it.
pub(super) fn cardinality(decl: &Decl) -> u64 {
    REQUEST / (decl.least + 1)
}
