//! What in an applied configuration does not fit the schema, in the words of structured-merge-diff.

use serde_json::Value;

use super::typed::{Place, identify};
use crate::schema::{ListType, Schema, Type};
use crate::value::go_type;

/// `.spec.foo: field not declared in schema`, or several such lines below `errors:`.
pub(super) fn misfit(place: Place<'_>, value: &Value) -> Option<String> {
    let mut found = Vec::new();
    node(place, value, &mut String::new(), &mut found);
    match found.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn node(place: Place<'_>, value: &Value, path: &mut String, found: &mut Vec<String>) {
    if let Some(problem) = place.schema.and_then(|schema| mismatch(schema, value)) {
        found.push(format!("{path}: {problem}"));
        return;
    }
    let end = path.len();
    match (value, place.schema) {
        (Value::Object(map), _) => {
            for (name, value) in map {
                path.push_str(&format!(".{name}"));
                match place.knows(name) {
                    true => node(place.child(name), value, path, found),
                    false => found.push(format!("{path}: field not declared in schema")),
                }
                path.truncate(end);
            }
        }
        (Value::Array(items), Some(list)) if list.list != ListType::Atomic => {
            associative(place, list, items, path, found);
        }
        (Value::Array(items), _) => {
            for (i, item) in items.iter().enumerate() {
                path.push_str(&format!("[{i}]"));
                node(place.item(), item, path, found);
                path.truncate(end);
            }
        }
        _ => {}
    }
}

fn associative(place: Place<'_>, list: &Schema, items: &[Value], path: &mut String, found: &mut Vec<String>) {
    let end = path.len();
    let mut seen = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let element = match identify(list, item) {
            Ok(element) => element,
            Err(problem) => {
                found.push(format!("{path}: element {i}: {problem}"));
                return;
            }
        };
        if seen.contains(&element) {
            found.push(format!("{path}: duplicate entries for key {element}"));
        }
        path.push_str(&element.to_string());
        node(place.item(), item, path, found);
        path.truncate(end);
        seen.push(element);
    }
}

fn mismatch(schema: &Schema, value: &Value) -> Option<String> {
    let scalar = !matches!(value, Value::Object(_) | Value::Array(_));
    match (schema.kind, value) {
        (_, Value::Null) | (Type::Any, _) => None,
        (Type::Object, Value::Object(_)) | (Type::Array, Value::Array(_)) => None,
        (Type::Object, _) if schema.is_untyped() => None,
        (Type::Object, _) => Some(format!("expected map, got &{{{}}}", plain(value))),
        (Type::Array, _) => Some(format!("expected list, got &{{{}}}", plain(value))),
        (Type::Int32 | Type::Int64 | Type::Number, Value::Number(_)) => None,
        (Type::Int32 | Type::Int64 | Type::Number, _) => {
            Some(format!("expected numeric (int or float), got {}", go_type(value)))
        }
        (Type::String | Type::Bytes, Value::String(_)) => None,
        (Type::String | Type::Bytes, _) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", literal(value)))
        }
        (Type::Boolean, Value::Bool(_)) => None,
        (Type::Boolean, _) => Some(format!("expected boolean, got &{{{}}}", plain(value))),
        _ if scalar => None,
        _ => Some(format!("expected any scalar, got &{{{}}}", plain(value))),
    }
}

/// As Go's `%v`.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let members: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", plain(v))).collect();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}

/// As Go's `%#v`.
fn literal(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => format!("[]interface {{}}{{{}}}", join(items.iter().map(literal).collect())),
        Value::Object(map) => {
            let members = map.iter().map(|(k, v)| format!("{k:?}:{}", literal(v)));
            format!("map[string]interface {{}}{{{}}}", join(members.collect()))
        }
        other => other.to_string(),
    }
}
