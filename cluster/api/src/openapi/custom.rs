//! Schemas of custom resources as definitions.

use serde_json::{Map, Value};

use super::Version;
use super::definitions::{OBJECT_META, reference};

/// The published form of an `openAPIV3Schema`.
pub(super) fn definition(version: Version, schema: &Value) -> Value {
    let mut schema = match version {
        Version::V2 => to_v2(schema),
        Version::V3 => schema.clone(),
    };
    let Some(map) = schema.as_object_mut() else {
        return serde_json::json!({ "type": "object" });
    };
    // A root that keeps unknown fields has no known ones in v2, and is not completed either.
    if version == Version::V2 && !map.contains_key("properties") && keeps_unknown(map) {
        return schema;
    }
    let properties = map.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        let text = |description: &str| serde_json::json!({ "type": "string", "description": description });
        properties.insert("apiVersion".into(), text("Version of the object's schema."));
        properties.insert("kind".into(), text("Kind of the object."));
        let mut meta = reference(version, OBJECT_META, "Standard object metadata.");
        if let Some(meta) = meta.as_object_mut() {
            meta.remove("default");
        }
        properties.insert("metadata".into(), meta);
    }
    schema
}

fn keeps_unknown(map: &Map<String, Value>) -> bool {
    map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
}

/// What v2 can say: no alternatives, no null; anything goes where unknown fields are kept.
fn to_v2(schema: &Value) -> Value {
    let Value::Object(map) = schema else {
        return schema.clone();
    };
    let open = keeps_unknown(map);
    let either = map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    let nullable = map.get("nullable") == Some(&Value::Bool(true));
    let mut out = Map::new();
    for (key, value) in map {
        let value = match key.as_str() {
            "oneOf" | "anyOf" | "allOf" | "not" | "nullable" | "default" => continue,
            "type" | "items" | "properties" | "additionalProperties" if open || nullable => {
                continue;
            }
            "type" if either => continue,
            "properties" => match value.as_object() {
                Some(properties) => {
                    let properties = properties.iter().map(|(k, v)| (k.clone(), to_v2(v)));
                    Value::Object(properties.collect())
                }
                None => continue,
            },
            "items" | "additionalProperties" if value.is_object() => to_v2(value),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    Value::Object(out)
}
