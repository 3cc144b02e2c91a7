//! Schemas of custom resources as definitions.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::Version;
use super::definitions::{OBJECT_META, reference};
use crate::schema::builtin::generator;

/// Where a served resource's schema says what its objects can be selected by.
pub const SELECTABLE: &str = "x-kubernetes-selectable-fields";

/// What the API says of `apiVersion`, `kind` and `metadata` of every object.
static COMMON: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut generator = generator();
    generator.subschema_for::<k8s_openapi::api::core::v1::ConfigMap>();
    let mut described = generator.take_definitions(false);
    let map = described.get_mut("io.k8s.api.core.v1.ConfigMap").map(|d| d["properties"].take());
    let Some(Value::Object(mut properties)) = map else { return Map::new() };
    properties.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
    properties
});

/// The published form of an `openAPIV3Schema`.
pub(super) fn definition(version: Version, schema: &Value) -> Value {
    let selectable = schema.get(SELECTABLE).cloned();
    let open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let mut out = match schema.as_object() {
        // Clients of v2 take known fields for all fields: where any is allowed, none is named.
        Some(_) if version == Version::V2 && open => json!({ "type": "object" }),
        Some(map) => {
            let mut out = node(version, map);
            add_common(version, &mut out, &["apiVersion", "kind", "metadata"]);
            Value::Object(out)
        }
        None => json!({ "type": "object" }),
    };
    if let Some(selectable) = selectable {
        out[SELECTABLE] = selectable;
    }
    out
}

fn add_common(version: Version, map: &mut Map<String, Value>, names: &[&str]) {
    let properties = map.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let Some(properties) = properties.as_object_mut() else { return };
    for name in names {
        let description = COMMON.get(*name).and_then(|p| p["description"].as_str()).unwrap_or_default();
        let property = match *name {
            "metadata" => {
                let mut meta = reference(version, OBJECT_META, description);
                if let Some(meta) = meta.as_object_mut() {
                    meta.remove("default");
                }
                meta
            }
            _ => json!({ "type": "string", "description": description }),
        };
        properties.insert((*name).into(), property);
    }
}

fn truth(map: &Map<String, Value>, name: &str) -> bool {
    map.get(name) == Some(&Value::Bool(true))
}

/// What a dialect can say of a node. v2 knows no alternatives and no null; anything goes where
/// unknown fields are kept.
fn node(version: Version, map: &Map<String, Value>) -> Map<String, Value> {
    let v2 = version == Version::V2;
    let open = v2 && truth(map, "x-kubernetes-preserve-unknown-fields");
    let nullable = v2 && truth(map, "nullable");
    let mut out = Map::new();
    for (key, value) in map {
        let value = match key.as_str() {
            "$schema" | "id" | "example" | "externalDocs" | SELECTABLE => continue,
            "oneOf" | "anyOf" | "allOf" | "not" | "nullable" if v2 => continue,
            "type" if nullable || (open && value == "object") => continue,
            "items" | "properties" if open || nullable => continue,
            "properties" => match value.as_object() {
                Some(properties) => Value::Object(children(version, properties)),
                None => continue,
            },
            "items" | "additionalProperties" => match value.as_object() {
                Some(child) => Value::Object(node(version, child)),
                None => value.clone(),
            },
            "required" if v2 => match required(map, value) {
                Some(names) => names,
                None => continue,
            },
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    if v2 && out.get("type").is_some_and(|t| t == "array") && !out.contains_key("items") {
        out.remove("type");
    }
    if !v2
        && truth(map, "x-kubernetes-int-or-string")
        && !map.contains_key("anyOf")
        && !map.contains_key("allOf")
    {
        out.insert("anyOf".into(), json!([{ "type": "integer" }, { "type": "string" }]));
    }
    if truth(map, "x-kubernetes-embedded-resource") && !open {
        embed(version, &mut out);
    }
    out
}

fn children(version: Version, properties: &Map<String, Value>) -> Map<String, Value> {
    let child = |(name, value): (&String, &Value)| {
        let value = match value.as_object() {
            Some(map) => Value::Object(node(version, map)),
            None => value.clone(),
        };
        (name.clone(), value)
    };
    properties.iter().map(child).collect()
}

/// A field that may be null can not be required in v2.
fn required(map: &Map<String, Value>, names: &Value) -> Option<Value> {
    let may_be_null = |name: &Value| {
        let property = map.get("properties").zip(name.as_str()).and_then(|(p, name)| p.get(name));
        property.and_then(Value::as_object).is_some_and(|p| truth(p, "nullable"))
    };
    let left: Vec<Value> =
        names.as_array().into_iter().flatten().filter(|name| !may_be_null(name)).cloned().collect();
    (!left.is_empty()).then_some(Value::Array(left))
}

/// An object inside an object has the fields of every object.
fn embed(version: Version, map: &mut Map<String, Value>) {
    add_common(version, map, &["apiVersion", "kind", "metadata"]);
    let names = map.entry("required").or_insert_with(|| Value::Array(Vec::new()));
    if let Some(names) = names.as_array_mut() {
        for name in ["kind", "apiVersion"] {
            if !names.iter().any(|n| n == name) {
                names.push(name.into());
            }
        }
    }
}
