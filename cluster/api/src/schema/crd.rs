//! Reading the `openAPIV3Schema` of a custom resource definition.
//!
//! Lenient: what is wrong with a schema was said when its definition was written
//! ([`super::definition`]), and a stored definition can always be read.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

use super::builtin::object_meta;
use super::cel::CelRule;
use super::formats::Format;
use super::rules::{Bound, Rules};
use super::structural::{MAX_DEPTH, truth, word};
use super::tree::{Default, Field, Link, ListType, MapType, PatchStrategy, Schema, Type};

/// The schema of a whole object.
pub(super) fn read(json: &Value) -> Schema {
    let mut schema = read_node(json, 0);
    schema.kind = Type::Object;
    complete_object(&mut schema, json);
    schema
}

/// The schema of a value inside an object.
pub(super) fn node(json: &Value) -> Schema {
    read_node(json, 1)
}

/// What every object has: apiVersion, kind and metadata. What a schema says of the metadata only
/// restricts it.
fn complete_object(schema: &mut Schema, json: &Value) {
    let mut fields: Vec<Field> = std::mem::take(&mut schema.properties).into_vec();
    fields.retain(|field| !matches!(&*field.name, "apiVersion" | "kind" | "metadata"));
    let text = || {
        let schema = Schema { kind: Type::String, ..Schema::default() };
        Link::Owned(Arc::new(schema))
    };
    for (name, link) in [("apiVersion", text()), ("kind", text()), ("metadata", object_meta())] {
        fields.push(field(name, link, None));
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    schema.properties = fields.into();
    if let Some(metadata) = json.get("properties").and_then(|p| p.get("metadata")) {
        let limits = field("metadata", Link::Owned(Arc::new(read_node(metadata, 1))), None);
        let part = Schema { properties: vec![limits].into(), preserve_unknown: true, ..Schema::default() };
        let rules = schema.rules.get_or_insert_default();
        rules.all_of.push(part);
    }
}

fn field(name: &str, link: Link, default: Option<Value>) -> Field {
    Field {
        name: Arc::from(name),
        link,
        default: default.map(Default::Value),
        map: None,
        patch: PatchStrategy::default(),
        replace: false,
        drop_empty: false,
    }
}

fn read_node(json: &Value, depth: usize) -> Schema {
    let Some(map) = json.as_object().filter(|_| depth <= MAX_DEPTH) else {
        return Schema { preserve_unknown: true, ..Schema::default() };
    };
    let mut schema = Schema {
        nullable: truth(map, "nullable"),
        preserve_unknown: truth(map, "x-kubernetes-preserve-unknown-fields"),
        embedded: truth(map, "x-kubernetes-embedded-resource"),
        default: given_default(map),
        kind: kind(map),
        ..Schema::default()
    };
    children(map, depth, &mut schema);
    list(map, &mut schema);
    if word(map, "x-kubernetes-map-type") == "atomic" {
        schema.map = MapType::Atomic;
    }
    let required = map.get("required").and_then(Value::as_array);
    schema.required =
        required.into_iter().flatten().filter_map(|name| name.as_str().map(Arc::from)).collect();
    schema.rules = rules(map, depth).map(Box::new);
    schema
}

fn given_default(map: &Map<String, Value>) -> Option<Value> {
    map.get("default").filter(|default| !default.is_null()).cloned()
}

fn kind(map: &Map<String, Value>) -> Type {
    match word(map, "type") {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Int64,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        "" if truth(map, "x-kubernetes-int-or-string") => Type::IntOrString,
        _ => Type::Any,
    }
}

fn children(map: &Map<String, Value>, depth: usize, schema: &mut Schema) {
    if let Some(properties) = map.get("properties").and_then(Value::as_object) {
        let mut fields = Vec::with_capacity(properties.len());
        for (name, json) in properties {
            // What a root says of the metadata is read as a restriction.
            if depth == 0 && name == "metadata" {
                continue;
            }
            let node = read_node(json, depth + 1);
            let default = node.default.clone();
            fields.push(field(name, Link::Owned(Arc::new(node)), default));
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        schema.properties = fields.into();
    }
    match map.get("additionalProperties") {
        Some(Value::Bool(true)) => {
            let open = Schema { preserve_unknown: true, ..Schema::default() };
            schema.additional = Some(Link::Owned(Arc::new(open)));
        }
        Some(json @ Value::Object(_)) => {
            schema.additional = Some(Link::Owned(Arc::new(read_node(json, depth + 1))));
        }
        _ => {}
    }
    if let Some(json) = map.get("items") {
        schema.items = Some(Link::Owned(Arc::new(read_node(json, depth + 1))));
    }
}

fn list(map: &Map<String, Value>, schema: &mut Schema) {
    let keys = map.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    let keys: Vec<&str> = keys.into_iter().flatten().filter_map(Value::as_str).collect();
    match word(map, "x-kubernetes-list-type") {
        "set" => schema.list = ListType::Set,
        "map" if !keys.is_empty() => {
            schema.list = ListType::Map;
            schema.list_keys = keys.into_iter().map(Arc::from).collect();
        }
        _ => {}
    }
}

fn rules(map: &Map<String, Value>, depth: usize) -> Option<Rules> {
    let count = |name: &str| map.get(name).and_then(Value::as_u64);
    let bound = |name: &str, exclusive: &str| {
        let at = map.get(name).and_then(Value::as_f64)?;
        let exclusive = map.get(exclusive) == Some(&Value::Bool(true));
        Some(Bound { at, exclusive })
    };
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let pattern = text("pattern").and_then(|source| Regex::new(source).ok());
    let rules = Rules {
        format: text("format").and_then(Format::of),
        values: map.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        minimum: bound("minimum", "exclusiveMinimum"),
        maximum: bound("maximum", "exclusiveMaximum"),
        multiple_of: map.get("multipleOf").and_then(Value::as_f64),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        pattern,
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        all_of: parts(map, "allOf", depth),
        any_of: parts(map, "anyOf", depth),
        one_of: parts(map, "oneOf", depth),
        not: map.get("not").map(|json| Box::new(read_node(json, depth + 1))),
        cel: cel(map),
    };
    let names = [
        "format",
        "enum",
        "minimum",
        "maximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "x-kubernetes-validations",
    ];
    names.iter().any(|name| map.contains_key(*name)).then_some(rules)
}

fn parts(map: &Map<String, Value>, name: &str, depth: usize) -> Vec<Schema> {
    let list = map.get(name).and_then(Value::as_array);
    list.into_iter().flatten().map(|json| read_node(json, depth + 1)).collect()
}

fn cel(map: &Map<String, Value>) -> Vec<CelRule> {
    let list = map.get("x-kubernetes-validations").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|json| CelRule::read(json).ok()).collect()
}
